"""The engine's world on a real host: leases, shaping, warm-up, shared limits and orders."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from egress.core.engine.gcra import Gcra, acquire
from egress.core.engine.path_record import PathRecord
from egress.core.engine.work import MoveKind
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.job import JobFacts
from mailroom.domain.sending.judgement import Judgement
from mailroom.domain.sending.order import OrderVerb
from mailroom.domain.sending.order_book import Effects, OrderBook, Throttle
from mailroom.domain.sending.path import PathKey, Site
from mailroom.domain.sending.settings import AddressLimits, PathSettings
from mailroom.domain.sending.source import HOST_POOL, AddressState, Fleet, SourceAddress

PAUSE_LOOK = 300.0  # seconds after which paused mail is looked at again
_MOST_THROTTLES = 1_000

SharedKeys = Sequence[Any]  # (limit, key) pairs, as egress.shared_limits takes them

_ENDS = {
    OrderVerb.BOUNCE: MoveKind.BOUNCE,
    OrderVerb.DROP: MoveKind.DROP,
    OrderVerb.HOLD: MoveKind.HOLD,
}


class Holder(Protocol):
    """Who knows which addresses are ours (egress.leases fulfils it)."""

    @property
    def fleet(self) -> Fleet:
        """All pools and addresses."""

    def held(self) -> Sequence[SourceAddress]:
        """Return the sources that new work may go to."""

    def holds(self, address: str, now: float) -> int | None:
        """Return the fencing number if an address may be used."""


class Shaper(Protocol):
    """The shaping in force."""

    def settings(self, site: Site, pool: str, address: str) -> PathSettings:
        """Return what a path may do."""

    def address_limits(self, pool: str, address: str) -> AddressLimits:
        """Return what an address may do over all sites."""

    def shared_keys(self, job: JobFacts, site: Site) -> SharedKeys:
        """Return the limits over several addresses that a job falls under."""


class Warmer(Protocol):
    """The warm-up (egress.warmup fulfils it)."""

    def room(self, source: SourceAddress, provider: str, now: float) -> float:
        """Return when the next message may go."""

    def connections(self, source: SourceAddress, provider: str) -> int | None:
        """Return the most connections, None where warm-up sets none."""

    def attempted(self, source: SourceAddress, provider: str, now: float) -> bool:
        """Count a message that goes now."""

    def concluded(
        self,
        source: SourceAddress,
        provider: str,
        judgement: Judgement | None,
        reply: SmtpReply,
        now: float,
        *,
        silenced: bool,
    ) -> None:
        """Note the reply to a counted message; no judgement: it was accepted."""

    def returned(self, source: SourceAddress, provider: str, now: float) -> None:
        """Note that a counted message was not offered to anybody."""


class Sharer(Protocol):
    """Limits over several addresses and hosts."""

    def earliest(self, keys: SharedKeys, now: float) -> float:
        """Return when all of them let one more message go."""

    def later(self, keys: SharedKeys, now: float) -> float:
        """Return when a message that they send away should be back, each a turn later."""

    def take(self, keys: SharedKeys, now: float) -> bool:
        """Count one message; False, and nothing is counted, if one of them has no room."""


@dataclass(slots=True)
class FleetWorld:
    """See egress.core.engine.world.World. `book` returns the orders in force."""

    holder: Holder
    shaper: Shaper
    warmer: Warmer
    sharer: Sharer
    book: Callable[[], OrderBook]
    records: Mapping[PathKey, PathRecord]
    known: Container[str]  # addresses whose paths' states have been read
    pause_look: float = PAUSE_LOOK
    throttles: dict[str, Gcra] = field(default_factory=dict)

    def sources(self, pool: str) -> Sequence[SourceAddress]:
        """See World.sources."""
        held = self.holder.held()
        return [each for each in held if each.pool == pool and each.id in self.known]

    def is_elsewhere(self, pool: str) -> bool:
        """See World.is_elsewhere. Mail for a host's own address may come to a host without one."""
        if pool == HOST_POOL:
            return True
        return any(each.state is not AddressState.DISABLED for each in self.holder.fleet.of(pool))

    def overflow(self, pool: str) -> str:
        """See World.overflow."""
        facts = self.holder.fleet.pools.get(pool)
        return facts.overflow if facts is not None else ""

    def holds(self, address: str, now: float) -> bool:
        """See World.holds."""
        return self.holder.holds(address, now) is not None

    def settings(self, site: Site, source: SourceAddress) -> PathSettings:
        """See World.settings."""
        return self.shaper.settings(site, source.pool, source.id)

    def address_limits(self, source: SourceAddress) -> AddressLimits:
        """See World.address_limits."""
        return self.shaper.address_limits(source.pool, source.id)

    def room(self, source: SourceAddress, provider: str, now: float) -> float:
        """See World.room."""
        return self.warmer.room(source, provider, now)

    def connections(self, source: SourceAddress, provider: str) -> int | None:
        """See World.connections."""
        return self.warmer.connections(source, provider)

    def started(self, source: SourceAddress, provider: str, now: float) -> None:
        """See World.started."""
        self.warmer.attempted(source, provider, now)

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
        """See World.ended."""
        self.warmer.concluded(source, provider, judgement, reply, now, silenced=silenced)

    def unsent(self, source: SourceAddress, provider: str, now: float) -> None:
        """See World.unsent."""
        self.warmer.returned(source, provider, now)

    def stopped(self, source: SourceAddress, site: Site, now: float) -> float | None:
        """See World.stopped."""
        found = self.book().path_orders(
            address=source.id, pool=source.pool, site=site.key, provider=site.provider, now=now
        )
        return found.stopped_until

    def shared_earliest(self, job: JobFacts, site: Site, now: float) -> float:
        """See World.shared_earliest."""
        keys = self.shaper.shared_keys(job, site)
        when = self.sharer.earliest(keys, now) if keys else now
        for each in self._throttles(job, site, now):
            when = max(when, self._limiter(each, now).earliest(now))
        return when

    def shared_later(self, job: JobFacts, site: Site, now: float) -> float:
        """See World.shared_later."""
        when = self.shared_earliest(job, site, now)
        keys = self.shaper.shared_keys(job, site)
        return max(when, self.sharer.later(keys, now)) if keys else when

    def shared_take(self, job: JobFacts, site: Site, now: float) -> None:
        """See World.shared_take."""
        if keys := self.shaper.shared_keys(job, site):
            self.sharer.take(keys, now)
        if found := self._throttles(job, site, now):
            acquire([(self._limiter(each, now), 1.0) for each in found], now)

    def record(self, path: PathKey) -> PathRecord | None:
        """See World.record."""
        return self.records.get(path)

    def ordered(self, job: JobFacts, site: Site, now: float) -> tuple[MoveKind, str, float] | None:
        """See World.ordered."""
        effects = self._effects(job, site, now)
        if effects.end is not None:
            return _ENDS[effects.end.verb], effects.end.reason, now
        if effects.paused_until is not None:
            until = min(effects.paused_until, now + self.pause_look)
            return MoveKind.LATER, "paused by an order", until
        return None

    def priority(self, job: JobFacts, site: Site, now: float) -> int | None:
        """See World.priority."""
        return self._effects(job, site, now).priority

    def weight(self, tenant: str) -> float:
        """See World.weight."""
        return 1.0

    def _throttles(self, job: JobFacts, site: Site, now: float) -> Sequence[Throttle]:
        return self._effects(job, site, now).throttles

    def _effects(self, job: JobFacts, site: Site, now: float) -> Effects:
        return self.book().effects(job, provider=site.provider, site=site.key, now=now)

    def _limiter(self, throttle: Throttle, now: float) -> Gcra:
        limiter = self.throttles.get(throttle.key)
        if limiter is None:
            if len(self.throttles) >= _MOST_THROTTLES:
                self.throttles.clear()
            limiter = self.throttles[throttle.key] = Gcra(throttle.rate)
        elif limiter.rate != throttle.rate:
            limiter.change(throttle.rate, now)
        return limiter
