"""Give up on a held message."""

from mailroom.domain.hold import cancel as cancelled
from mailroom.domain.message import Delivery, DeliveryKey
from mailroom.usecases.release import HoldPorts, held_delivery, overtaken


def cancel(key: DeliveryKey, by: str, ports: HoldPorts) -> Delivery:
    """End a hold for good and return the delivery; `by` says in its history who asked.

    Raises MessageNotFoundError and NotHeldError; nothing has changed then.
    """
    held = held_delivery(key, ports.ledger)
    settlement = cancelled(held, by, now=ports.clock.now())
    if not ports.work.settle(held, settlement.after, settlement.event):
        raise overtaken(key, ports.ledger)
    return settlement.after
