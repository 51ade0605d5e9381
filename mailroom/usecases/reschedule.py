"""Move the time at which a scheduled message is sent."""

from datetime import UTC, datetime

from mailroom.domain.intervention import reschedule as rescheduled
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, DeliveryKey
from mailroom.errors import InvalidRequestError
from mailroom.usecases.accept import MAX_SCHEDULE_SECONDS, lifetime_seconds
from mailroom.usecases.release import HoldPorts, content_until, decided, waiting_delivery
from mailroom.usecases.retry import retry

SOON_SECONDS = 60.0  # the scheduler looks once a minute; what is nearer is sent now


def reschedule(key: DeliveryKey, send_at: float, by: str, ports: HoldPorts) -> Delivery:
    """Send a scheduled delivery at `send_at` (Unix seconds) instead, and return it.

    A time within the next minute, or one that is over, is now. It may be 90 days from its
    acceptance and no more, and not so late that its content would be deleted before it is sent:
    how long that is kept was decided when it was accepted. Raises MessageNotFoundError,
    StateConflictError and InvalidRequestError; nothing has changed then.
    """
    before = waiting_delivery(key, {State.SCHEDULED}, "rescheduled", ports.ledger)
    now = ports.clock.now()
    lifetime = lifetime_seconds(bulk=before.bulk) / ports.delay_divisor
    latest = min(
        before.accepted_at + MAX_SCHEDULE_SECONDS, content_until(before, ports.ledger) - lifetime
    )
    if send_at > latest:
        when = datetime.fromtimestamp(latest, UTC).strftime("%Y-%m-%d %H:%M UTC")
        raise InvalidRequestError(f"it can be sent at {when} or before")
    if send_at <= now + SOON_SECONDS:
        return retry(key, by, ports)
    settlement = rescheduled(before, by, now=now, send_at=send_at, lifetime=lifetime)
    return decided(before, settlement, "rescheduled", ports)
