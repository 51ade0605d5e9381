"""Let a held message go."""

from contextlib import suppress
from dataclasses import dataclass

from mailroom.domain.hold import release as released
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, DeliveryKey, WakeUp
from mailroom.errors import HandOverError, MessageNotFoundError, NotHeldError
from mailroom.ports import Clock, DueWork, Lane, Ledger
from mailroom.usecases.accept import LIFETIME_SECONDS, WATCH_SECONDS


@dataclass(frozen=True, slots=True)
class HoldPorts:
    """The world of `release` and `cancel`, plugged in once per process."""

    ledger: Ledger
    work: DueWork
    lane: Lane
    clock: Clock
    delay_divisor: float = 1.0


def release(key: DeliveryKey, by: str, ports: HoldPorts) -> Delivery:
    """Queue a held delivery again and return it; `by` says in its history who asked.

    It gets a whole lifetime from now, and what held it will not hold it again (`hold_reason` says
    what else may). A wake-up that is not handed over loses nothing: the due index has the
    delivery. Raises MessageNotFoundError and NotHeldError; nothing has changed then.
    """
    held = held_delivery(key, ports.ledger)
    now = ports.clock.now()
    settlement = released(
        held,
        by,
        now=now,
        lifetime=LIFETIME_SECONDS / ports.delay_divisor,
        due_at=now + max(1.0, WATCH_SECONDS / ports.delay_divisor),
    )
    if not ports.work.settle(held, settlement.after, settlement.event):
        raise overtaken(key, ports.ledger)
    after = settlement.after
    with suppress(HandOverError):
        ports.lane.send([WakeUp(after.key, after.generation, after.recipient)])
    return after


def held_delivery(key: DeliveryKey, ledger: Ledger) -> Delivery:
    """Return a delivery that is held. Raises MessageNotFoundError and NotHeldError."""
    delivery = ledger.delivery(key)
    if delivery is None:
        raise MessageNotFoundError(f"there is no message {key.postal_id}")
    if delivery.state is not State.HELD:
        raise NotHeldError(f"the message is not held, it is {delivery.state}")
    return delivery


def overtaken(key: DeliveryKey, ledger: Ledger) -> NotHeldError:
    """Return the error for a hold that somebody else ended in the meantime."""
    delivery = ledger.delivery(key)
    state = delivery.state if delivery else "gone"
    return NotHeldError(f"the message is not held any more, it is {state}")
