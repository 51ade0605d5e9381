"""Whether a copy may go out at all: holds, suppressions, send limits, mail that never leaves."""

from dataclasses import dataclass
from typing import TypeAlias

from egress.sender.limits import Allowance
from mailroom.domain.hold import Hold, hold_reason
from mailroom.domain.message import Delivery, Mode, OnSuppressed, Server, Submission
from mailroom.domain.reply import SmtpReply
from mailroom.domain.send_limit import LimitAction
from mailroom.domain.suppression import Suppression


@dataclass(frozen=True, slots=True)
class Held:
    """It waits for a person; `content_until` (Unix seconds) is how long its content is kept."""

    reason: Hold
    content_until: float | None = None


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Its recipient gets no mail any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Parked:
    """It waits until there is room in a send limit (Unix seconds)."""

    until: float


@dataclass(frozen=True, slots=True)
class Simulated:
    """It never leaves; this is the answer it gets all the same."""

    reply: SmtpReply


Stop: TypeAlias = Held | Suppressed | Parked | Simulated


def standing_stop(
    delivery: Delivery, submission: Submission, server: Server, suppression: Suppression | None
) -> Held | Suppressed | None:
    """Return what stops a delivery whatever the send limit says."""
    reason = hold_reason(
        submission, server, manual=delivery.manual, suppressed=suppression is not None
    )
    ends = reason is Hold.SUPPRESSED and server.suppressed is OnSuppressed.SUPPRESS
    if suppression is not None and ends:
        return Suppressed(suppression.reason)
    if reason is Hold.DEVELOPMENT and is_simulated(submission, server):
        return None  # there is nothing a person could let go
    return Held(reason, submission.raw_until) if reason else None


def is_simulated(submission: Submission, server: Server) -> bool:
    """Say whether a message never leaves."""
    return submission.test or server.mode is Mode.SANDBOX


async def counted_stop(
    delivery: Delivery, submission: Submission, server: Server, allowance: Allowance
) -> Held | Parked | None:
    """Count a delivery that is about to go out; return what stops it if that is one too many.

    Each delivery is counted at its first attempt only; Postal counts every retry. What is held
    is not counted either. Raises LimitUnavailableError if nobody knows.
    """
    full = await allowance.take(server) if delivery.attempts == 0 else None
    if full is None:
        return None
    if server.send_limits.action is LimitAction.DELAY:
        return Parked(full.until)
    return Held(Hold.LIMIT, submission.raw_until)
