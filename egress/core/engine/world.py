"""What the engine asks of the world around it. Every answer comes from memory, at once."""

from collections.abc import Sequence
from typing import Protocol

from egress.core.engine.path_record import PathRecord
from egress.core.engine.work import MoveKind
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.job import JobFacts
from mailroom.domain.sending.judgement import Judgement
from mailroom.domain.sending.path import PathKey, Site
from mailroom.domain.sending.settings import AddressLimits, PathSettings
from mailroom.domain.sending.source import SourceAddress


class World(Protocol):
    """Sources, settings, limits and orders, as the host knows them now. Times are Unix seconds."""

    def sources(self, pool: str) -> Sequence[SourceAddress]:
        """Return the addresses of a pool that this process may send from."""

    def is_elsewhere(self, pool: str) -> bool:
        """Say whether other processes send, or could, from a pool of which nothing is ours."""

    def overflow(self, pool: str) -> str:
        """Return the pool that takes what this one may not send now, "" for none."""

    def holds(self, address: str, now: float) -> bool:
        """Say whether an address is still ours: asked before every MAIL FROM."""

    def settings(self, site: Site, source: SourceAddress) -> PathSettings:
        """Return what a path may do."""

    def address_limits(self, source: SourceAddress) -> AddressLimits:
        """Return what an address may do over all sites."""

    def room(self, source: SourceAddress, provider: str, now: float) -> float:
        """Return when the warm-up of an address lets the next message go; `now` or before: now."""

    def connections(self, source: SourceAddress, provider: str) -> int | None:
        """Return the most connections while an address is warmed up, None where that sets none."""

    def stopped(self, source: SourceAddress, site: Site, now: float) -> float | None:
        """Return until when orders stop a path, None if none does."""

    def started(self, source: SourceAddress, provider: str, now: float) -> None:
        """Count a message against the warm-up of its address."""

    def ended(
        self,
        source: SourceAddress,
        provider: str,
        judgement: Judgement | None,
        reply: SmtpReply,
        now: float,
        *,
        silenced: bool,
    ) -> None:
        """Tell the warm-up the reply to a counted message; no judgement: it was accepted.

        `silenced` says whether its path is suspended or disabled since.
        """

    def unsent(self, source: SourceAddress, provider: str, now: float) -> None:
        """Tell the warm-up that a counted message was not offered to anybody."""

    def shared_earliest(self, job: JobFacts, site: Site, now: float) -> float:
        """Return when the limits over several addresses let a job go; `now` or before: now."""

    def shared_later(self, job: JobFacts, site: Site, now: float) -> float:
        """Return when a job that such a limit sends away should be back, each a turn later."""

    def shared_take(self, job: JobFacts, site: Site, now: float) -> None:
        """Count a job against them."""

    def record(self, path: PathKey) -> PathRecord | None:
        """Return what is remembered of a path from before."""

    def ordered(self, job: JobFacts, site: Site, now: float) -> tuple[MoveKind, str, float] | None:
        """Return what an operator ordered for a job: how it leaves, the reason, until when."""

    def priority(self, job: JobFacts, site: Site, now: float) -> int | None:
        """Return the priority that an order gives a job, None if none does."""

    def weight(self, tenant: str) -> float:
        """Return a tenant's weight among others, 1 for an ordinary one."""
