"""What a person may do with a delivery beside ending a hold: now, later, or once more."""

from dataclasses import replace
from datetime import UTC, datetime

from mailroom.domain.event import EventType
from mailroom.domain.hold import person_settlement
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery
from mailroom.domain.settlement import Settlement


def try_now(before: Delivery, by: str, *, now: float, due_at: float) -> Settlement:
    """Try a delivery that waits for its time at once. Its attempts so far still count.

    `due_at` (Unix seconds) is when the scheduler looks whether its wake-up came through.
    """
    state = State.QUEUED if before.state is State.SCHEDULED else before.state
    after = replace(before, state=state, due_at=round(due_at, 3))
    return person_settlement(after, EventType.RETRIED, f"Retried by {by}", now)


def redeliver(
    before: Delivery, by: str, *, now: float, lifetime: float, due_at: float
) -> Settlement:
    """Send what has ended once more, as if it were new: `lifetime` seconds, no attempts yet."""
    after = replace(
        before,
        state=State.QUEUED,
        attempts=0,
        uncertain=0,
        stalls=0,
        late=False,
        expires_at=round(now + lifetime, 3),
        due_at=round(due_at, 3),
    )
    return person_settlement(after, EventType.RETRIED, f"Sent again by {by}", now)


def reschedule(
    before: Delivery, by: str, *, now: float, send_at: float, lifetime: float
) -> Settlement:
    """Send a scheduled delivery at another time; its lifetime in seconds counts from there."""
    after = replace(
        before,
        state=State.SCHEDULED,
        due_at=round(send_at, 3),
        expires_at=round(send_at + lifetime, 3),
    )
    when = datetime.fromtimestamp(send_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return person_settlement(after, EventType.SCHEDULED, f"Scheduled for {when} by {by}", now)
