"""Makes one recipient's signed copy of a message."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from egress.sender.tenants import PlatformKeys, Tenant
from egress.signer import Signer
from mailroom.domain.message import BodyRef, Delivery, ServerId, Submission
from mailroom.domain.render import render
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.token import message_token
from mailroom.domain.verp import return_path
from mailroom.errors import BodyGoneError

_KEPT_SUBMISSIONS = 5_000


@dataclass(frozen=True, slots=True)
class Copy:
    """Ready for the wire: `return_path` is empty for a bounce (RFC 5321 section 4.5.5)."""

    return_path: str
    raw: bytes
    untracked_long: int = 0


class NotCommittedError(Exception):
    """The delivery's submission is not committed: nobody was promised anything yet."""


class Submissions(Protocol):
    """Where submissions are read."""

    def submission(self, server: ServerId, number: int) -> Awaitable[Submission | None]:
        """Return the submission if it is committed."""


class RawBodies(Protocol):
    """Where raw messages are read."""

    def get(self, body: BodyRef) -> Awaitable[bytes]:
        """Return the raw message. Raises BodyGoneError if it is gone."""


class TenantSource(Protocol):
    """Where tenants and keys are read."""

    def of(self, submission: Submission) -> Awaitable[Tenant | None]:
        """Return the tenant of a submission; None if its server is gone."""

    def platform_keys(self) -> Awaitable[PlatformKeys]:
        """Return the platform's keys."""


class Copier:
    """Reads, renders and signs. A submission to many recipients is read once."""

    def __init__(
        self, *, submissions: Submissions, bodies: RawBodies, tenants: TenantSource, signer: Signer
    ) -> None:
        self._submissions = submissions
        self._bodies = bodies
        self._tenants = tenants
        self._signer = signer
        self._kept: dict[tuple[ServerId, int], Submission] = {}

    async def copy(self, delivery: Delivery) -> Copy | SmtpReply:
        """Return the copy, or the refusal that stands for a server's: it can never be sent.

        Raises NotCommittedError for a delivery whose submission is not committed, and what the
        adapters raise when AWS does not answer.
        """
        submission = await self._submission(delivery)
        tenant, keys = await asyncio.gather(
            self._tenants.of(submission), self._tenants.platform_keys()
        )
        if tenant is None or tenant.signing_key is None:
            text = f"5.7.1 {submission.sign_domain} is not a verified domain of the server any more"
            return SmtpReply(550, text, Phase.MAIL)
        try:
            body = await self._bodies.get(submission.body)
        except BodyGoneError:
            return SmtpReply(554, "5.3.0 the stored message is gone", Phase.DATA)
        rendered = render(
            body,
            submission=submission,
            key=delivery.key,
            server=tenant.server,
            token=message_token(delivery.key, keys.token),
            tracking_key=keys.tracking,
            host=tenant.return_path_domain,
        )
        sender = return_path(delivery.key, domain=tenant.return_path_domain, signer=keys.verp)
        return Copy(
            "" if submission.bounce else str(sender),
            self._signer.sign(rendered.raw, tenant.signing_key),
            rendered.untracked_long,
        )

    async def _submission(self, delivery: Delivery) -> Submission:
        place = (delivery.key.server, delivery.key.number)
        found = self._kept.get(place) or await self._submissions.submission(*place)
        if found is None:
            raise NotCommittedError(str(delivery.key))
        if found.recipients > 1:
            if len(self._kept) >= _KEPT_SUBMISSIONS:
                self._kept.clear()
            self._kept[place] = found
        return found
