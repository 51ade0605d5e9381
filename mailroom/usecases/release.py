"""Let a held message go; and what all decisions of a person about a delivery have in common."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from mailroom.domain.hold import release as released
from mailroom.domain.lifecycle import State
from mailroom.domain.message import RAW_DAYS, Delivery, DeliveryKey, WakeUp
from mailroom.domain.settlement import Settlement
from mailroom.errors import (
    HandOverError,
    MessageNotFoundError,
    NotHeldError,
    StateConflictError,
)
from mailroom.ports import Clock, DueWork, Lane, Ledger
from mailroom.usecases.accept import WATCH_SECONDS, lifetime_seconds


@dataclass(frozen=True, slots=True)
class HoldPorts:
    """The world of `release`, `cancel`, `retry` and `reschedule`, plugged in once per process."""

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
    held = _found(key, ports.ledger)
    if held.state is not State.HELD:
        raise NotHeldError(f"the message is not held, it is {held.state}")
    now = ports.clock.now()
    settlement = released(
        held,
        by,
        now=now,
        lifetime=lifetime_seconds(bulk=held.bulk) / ports.delay_divisor,
        due_at=look_at(now, ports),
    )
    if not ports.work.settle(held, settlement.after, settlement.event):
        raise NotHeldError(f"the message is not held any more, it is {_state(key, ports.ledger)}")
    return woken(settlement.after, ports)


def waiting_delivery(
    key: DeliveryKey, states: Collection[State], wish: str, ledger: Ledger
) -> Delivery:
    """Return a delivery that is in one of `states`; `wish` says in the error what was asked.

    Raises MessageNotFoundError and StateConflictError.
    """
    delivery = _found(key, ledger)
    if delivery.state not in states:
        raise StateConflictError(f"the message cannot be {wish}, it is {delivery.state}")
    return delivery


def decided(before: Delivery, settlement: Settlement, wish: str, ports: HoldPorts) -> Delivery:
    """Write a decision down and return the delivery. Raises StateConflictError if it came late."""
    if not ports.work.settle(before, settlement.after, settlement.event):
        state = _state(before.key, ports.ledger)
        raise StateConflictError(f"the message cannot be {wish} any more, it is {state}")
    return settlement.after


def content_until(delivery: Delivery, ledger: Ledger) -> float:
    """Return until when the content of a delivery's message is kept (Unix seconds).

    Raises MessageNotFoundError when not even its submission is.
    """
    submission = ledger.submission(delivery.key.server, delivery.key.number)
    if submission is None:
        raise MessageNotFoundError(f"there is no message {delivery.key.postal_id}")
    if submission.raw_until is not None:
        return submission.raw_until
    return submission.expires_at + RAW_DAYS * 86_400  # accepted before that was written down


def look_at(now: float, ports: HoldPorts) -> float:
    """Return when the scheduler looks whether a wake-up of `now` came through."""
    return now + max(1.0, WATCH_SECONDS / ports.delay_divisor)


def woken(after: Delivery, ports: HoldPorts) -> Delivery:
    """Wake egress for a delivery and return it; the due index has it if the queue does not."""
    with suppress(HandOverError):
        ports.lane.send([WakeUp.of(after)])
    return after


def _found(key: DeliveryKey, ledger: Ledger) -> Delivery:
    delivery = ledger.delivery(key)
    if delivery is None:
        raise MessageNotFoundError(f"there is no message {key.postal_id}")
    return delivery


def _state(key: DeliveryKey, ledger: Ledger) -> str:
    delivery = ledger.delivery(key)
    return delivery.state if delivery else "gone"
