"""Why a message waits for a person instead of going out, and what ends the wait."""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from mailroom.domain.event import AttemptFacts, Event, EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, Mode, Server, Submission
from mailroom.domain.settlement import Settlement

HOLD_SECONDS = 7 * 86_400.0  # Postal's default


class Hold(StrEnum):
    """What holds a message. Values appear in logs; never rename them."""

    SUSPENDED = "suspended"
    BRAKE = "brake"
    CREDENTIAL = "credential"
    SUPPRESSED = "suppressed"
    LIMIT = "limit"
    DEVELOPMENT = "development"
    ORDER = "order"


DETAILS: Mapping[Hold, str] = {
    Hold.SUSPENDED: "Held: the mail server is suspended",
    Hold.BRAKE: "Held: a brake is on the server because of bounces or complaints",
    Hold.CREDENTIAL: "Held: the credential it was submitted with holds all its messages",
    Hold.SUPPRESSED: "Held: the recipient is on the suppression list",
    Hold.LIMIT: "Held: the server has reached its send limit",
    Hold.DEVELOPMENT: "Held: the server is in development mode",
    Hold.ORDER: "Held: an operator of the platform ordered it",
}


def hold_reason(
    submission: Submission,
    server: Server,
    *,
    manual: bool,
    limit_reached: bool = False,
    suppressed: bool = False,
) -> Hold | None:
    """Say what holds a message, in Postal's order, or None if it may go out.

    `manual` says that a person released it: that overrides its credential and the development
    mode. As in Postal it overrides neither a suspension nor the send limit, which are the
    operator's, while a release is the tenant's; and it overrides no suppression, which is the
    recipient's.
    """
    if server.suspended:
        return Hold.SUSPENDED
    if server.braked:
        return Hold.BRAKE
    if submission.hold and not manual:
        return Hold.CREDENTIAL
    if suppressed:
        return Hold.SUPPRESSED
    if limit_reached:
        return Hold.LIMIT
    if server.mode is Mode.DEVELOPMENT and not manual:
        return Hold.DEVELOPMENT
    return None


def put_on_hold(before: Delivery, hold: Hold, *, now: float, seconds: float) -> Settlement:
    """Hold a claimed delivery for `seconds` at most. No attempt is counted."""
    return person_settlement(
        replace(before, state=State.HELD, due_at=round(now + seconds, 3)),
        EventType.HELD,
        DETAILS[hold],
        now,
    )


def release(before: Delivery, by: str, *, now: float, lifetime: float, due_at: float) -> Settlement:
    """Let a held delivery go: it has `lifetime` seconds again, and no release is asked twice.

    `due_at` (Unix seconds) is when the scheduler looks whether its wake-up came through.
    """
    after = replace(
        before,
        state=State.QUEUED,
        manual=True,
        late=False,
        expires_at=round(now + lifetime, 3),
        due_at=round(due_at, 3),
    )
    return person_settlement(after, EventType.RELEASED, f"Released by {by}", now)


def cancel(before: Delivery, by: str, *, now: float) -> Settlement:
    """Give up on a delivery that waits because somebody asked for it."""
    after = replace(before, state=State.CANCELLED, due_at=None)
    return person_settlement(after, EventType.CANCELLED, f"Cancelled by {by}", now)


def end_hold(before: Delivery, *, now: float) -> Settlement:
    """Give up on a held delivery that nobody released in time."""
    after = replace(before, state=State.CANCELLED, due_at=None)
    return person_settlement(
        after, EventType.CANCELLED, "Cancelled: nobody released it in time", now
    )


def person_settlement(moved: Delivery, kind: EventType, details: str, now: float) -> Settlement:
    """Return the settlement of a move that is no attempt: nothing of it is counted."""
    after = replace(moved, generation=moved.generation + 1, claim=None, claim_until=None)
    facts = AttemptFacts(
        attempt=after.attempts, details=details, final=after.state is State.CANCELLED
    )
    event = Event(
        id=f"{after.key}/{after.generation}/{kind}",
        type=kind,
        key=after.key,
        at=round(now, 3),
        attempt=facts,
    )
    return Settlement(after, event)
