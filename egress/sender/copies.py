"""Makes one recipient's signed copy of a message."""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from egress.sender.holds import counted_hold, standing_hold
from egress.sender.limits import Limits, NoLimits
from egress.sender.tenants import PlatformKeys, Tenant
from egress.signer import Signer
from mailroom.domain.hold import Hold
from mailroom.domain.message import BodyRef, Delivery, ServerId, Submission
from mailroom.domain.render import render
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.token import message_token
from mailroom.domain.verp import return_path
from mailroom.errors import BodyGoneError

log = logging.getLogger(__name__)

_KEPT_SUBMISSIONS = 5_000


@dataclass(frozen=True, slots=True)
class Copy:
    """Ready for the wire: `return_path` is empty for a bounce (RFC 5321 section 4.5.5)."""

    return_path: str
    raw: bytes
    untracked_long: int = 0
    utf8: bool = False  # the receiver must offer SMTPUTF8 (RFC 6531)


class NotCommittedError(Exception):
    """The delivery's submission is not committed: nobody was promised anything yet."""


class UnfitCopyError(Exception):
    """The copy could not be rendered or signed; the text names the kind of trouble only."""


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
        self,
        *,
        submissions: Submissions,
        bodies: RawBodies,
        tenants: TenantSource,
        signer: Signer,
        limits: Limits | None = None,
    ) -> None:
        """Without `limits` nothing is sent for a server that has a send limit."""
        self._submissions = submissions
        self._bodies = bodies
        self._tenants = tenants
        self._signer = signer
        self._limits = limits or NoLimits()
        self._kept: dict[tuple[ServerId, int], Submission] = {}

    async def copy(self, delivery: Delivery) -> Copy | SmtpReply | Hold:
        """Return the copy, the hold, or the refusal of one that can never be sent.

        Raises NotCommittedError for a delivery whose submission is not committed, UnfitCopyError
        for a copy that cannot be made, LimitUnavailableError, and what the adapters raise when
        AWS does not answer.
        """
        submission = await self._submission(delivery)
        tenant, keys = await asyncio.gather(
            self._tenants.of(submission), self._tenants.platform_keys()
        )
        hold = standing_hold(delivery, submission, tenant.server) if tenant else None
        if hold is Hold.SUSPENDED:  # before all else, as in Postal
            return hold
        if tenant is None or tenant.signing_key is None:
            text = f"5.7.1 {submission.sign_domain} is not a verified domain of the server any more"
            return SmtpReply(550, text, Phase.MAIL)
        try:
            body = await self._bodies.get(submission.body)
        except BodyGoneError:
            return SmtpReply(554, "5.3.0 the stored message is gone", Phase.DATA)
        if hold is not None:
            return hold
        try:
            copy = self._made(body, delivery, submission, tenant, keys)
        except Exception as trouble:
            log.exception("copy not made", extra={"delivery": str(delivery.key)})
            raise UnfitCopyError(type(trouble).__name__) from trouble
        # Last, so that nothing is counted that is not sent now.
        return await counted_hold(delivery, submission, tenant.server, self._limits) or copy

    def _made(
        self,
        body: bytes,
        delivery: Delivery,
        submission: Submission,
        tenant: Tenant,
        keys: PlatformKeys,
    ) -> Copy:
        if tenant.signing_key is None:
            raise LookupError("no key to sign with")
        sender = return_path(delivery.key, domain=tenant.return_path_domain, signer=keys.verp)
        path = "" if submission.bounce else str(sender)
        rendered = render(
            body,
            submission=submission,
            key=delivery.key,
            server=tenant.server,
            token=message_token(delivery.key, keys.token),
            tracking_key=keys.tracking,
            host=tenant.return_path_domain,
            resent_sender=path if tenant.server.resent_sender else "",
        )
        signed = self._signer.sign(rendered.raw, tenant.signing_key, *tenant.more_keys)
        return Copy(path, signed, rendered.untracked_long, utf8=submission.utf8)

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
