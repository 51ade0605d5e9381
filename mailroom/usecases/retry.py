"""Have a message tried at once, or sent once more after it has come to its end."""

from mailroom.domain.intervention import redeliver, try_now
from mailroom.domain.lifecycle import REDELIVERABLE, State
from mailroom.domain.message import Delivery, DeliveryKey
from mailroom.errors import StateConflictError
from mailroom.usecases.accept import lifetime_seconds
from mailroom.usecases.release import (
    HoldPorts,
    content_until,
    decided,
    look_at,
    waiting_delivery,
    woken,
)

WAITING = frozenset({State.DEFERRED, State.SCHEDULED})
RETRYABLE = WAITING | REDELIVERABLE


def retry(key: DeliveryKey, by: str, ports: HoldPorts) -> Delivery:
    """Try a delivery now and return it; `by` says in its history who asked.

    One that waits for its time does not wait any longer, and its attempts still count. One that
    bounced, expired, was cancelled, suppressed or left uncertain begins anew: no attempts yet and
    a whole lifetime. What holds or suppresses mail is asked again before it is sent. Raises
    MessageNotFoundError and StateConflictError; nothing has changed then.
    """
    before = waiting_delivery(key, RETRYABLE, "retried", ports.ledger)
    now = ports.clock.now()
    due_at = look_at(now, ports)
    if before.state in WAITING:
        settlement = try_now(before, by, now=now, due_at=due_at)
    elif now >= content_until(before, ports.ledger):
        raise StateConflictError("the content of the message is not kept any more")
    else:
        lifetime = lifetime_seconds(bulk=before.bulk) / ports.delay_divisor
        settlement = redeliver(before, by, now=now, lifetime=lifetime, due_at=due_at)
    return woken(decided(before, settlement, "retried", ports), ports)
