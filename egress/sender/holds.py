"""Whether a copy may go out at all: the holds, and the send limit among them."""

from egress.sender.limits import Limits
from mailroom.domain.hold import Hold, hold_reason
from mailroom.domain.message import Delivery, Server, Submission


def standing_hold(delivery: Delivery, submission: Submission, server: Server) -> Hold | None:
    """Return what holds a delivery whatever the send limit says."""
    return hold_reason(submission, server, manual=delivery.manual, limit_reached=False)


async def counted_hold(
    delivery: Delivery, submission: Submission, server: Server, limits: Limits
) -> Hold | None:
    """Count a delivery that is about to go out; return the hold if that is one too many.

    Each delivery is counted at its first attempt only; Postal counts every retry. What is held
    is not counted either. Raises LimitUnavailableError if nobody knows.
    """
    reached = delivery.attempts == 0 and not await limits.take(server)
    return hold_reason(submission, server, manual=delivery.manual, limit_reached=reached)
