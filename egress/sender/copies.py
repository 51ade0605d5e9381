"""Makes one recipient's signed copy of a message."""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from egress.sender.holds import Held, Simulated, Stop, counted_stop, is_simulated, standing_stop
from egress.sender.limits import Allowance, NoLimits
from egress.sender.tenants import PlatformKeys, Tenant
from egress.signer import Signer
from mailroom.domain.hold import Hold
from mailroom.domain.message import BodyRef, Delivery, Server, ServerId, Submission
from mailroom.domain.render import render
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.simulate import simulate
from mailroom.domain.suppression import Suppression
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


class Blocked(Protocol):
    """Where suppressions are read."""

    def of(
        self, server: Server, stream: str, recipient: str, secret: bytes
    ) -> Awaitable[Suppression | None]:
        """Return what suppresses a recipient; `secret` is the key of the hashes."""


class NobodyBlocked:
    """For processes without a table of suppressions: acceptance alone looks."""

    async def of(
        self, server: Server, stream: str, recipient: str, secret: bytes
    ) -> Suppression | None:
        """See Blocked.of."""
        return None


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
        limits: Allowance | None = None,
        blocked: Blocked | None = None,
    ) -> None:
        """Without `limits` nothing is sent for a server that has a send limit."""
        self._submissions = submissions
        self._bodies = bodies
        self._tenants = tenants
        self._signer = signer
        self._limits = limits or NoLimits()
        self._blocked = blocked or NobodyBlocked()
        self._kept: dict[tuple[ServerId, int], Submission] = {}

    async def copy(self, delivery: Delivery) -> Copy | SmtpReply | Stop:
        """Return the copy, what stops it, or the refusal of one that can never be sent.

        Raises NotCommittedError for a delivery whose submission is not committed, UnfitCopyError
        for a copy that cannot be made, LimitUnavailableError, and what the adapters raise when
        AWS does not answer.
        """
        submission = await self._submission(delivery)
        # One after the other: both are nearly always in memory, where two tasks cost more.
        tenant = await self._tenants.of(submission)
        keys = await self._tenants.platform_keys()
        if tenant and tenant.server.suspended:  # before all else, as in Postal
            return Held(Hold.SUSPENDED, submission.raw_until)
        if tenant is None or tenant.signing_key is None:
            text = f"5.7.1 {submission.sign_domain} is not a verified domain of the server any more"
            return SmtpReply(550, text, Phase.MAIL)
        server = tenant.server
        try:
            body, suppression = await self._looked_up(delivery, submission, server, keys)
        except BodyGoneError:
            return SmtpReply(554, "5.3.0 the stored message is gone", Phase.DATA)
        stop = standing_stop(delivery, submission, server, suppression)
        if stop is not None:
            return stop
        if is_simulated(submission, server):
            return Simulated(simulate(delivery.recipient, attempts=delivery.attempts))
        try:
            copy = self._made(body, delivery, submission, tenant, keys)
        except Exception as trouble:
            log.exception("copy not made", extra={"delivery": str(delivery.key)})
            raise UnfitCopyError(type(trouble).__name__) from trouble
        # Last, so that nothing is counted that is not sent now.
        return await counted_stop(delivery, submission, server, self._limits) or copy

    async def _looked_up(
        self, delivery: Delivery, submission: Submission, server: Server, keys: PlatformKeys
    ) -> tuple[bytes, Suppression | None]:
        stream, to, secret = submission.stream, delivery.recipient, keys.recipients
        if submission.body.inline is not None:  # nothing to fetch: no task for it
            body = await self._bodies.get(submission.body)
            return body, await self._blocked.of(server, stream, to, secret)
        return await asyncio.gather(
            self._bodies.get(submission.body), self._blocked.of(server, stream, to, secret)
        )

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
            merge=delivery.merge,
            recipient=delivery.recipient if submission.individual else "",
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
