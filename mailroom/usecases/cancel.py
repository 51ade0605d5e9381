"""Give up on a message that waits: for a person, for its time, or for another attempt."""

from mailroom.domain.hold import cancel as cancelled
from mailroom.domain.lifecycle import CLAIMABLE, State
from mailroom.domain.message import Delivery, DeliveryKey
from mailroom.usecases.release import HoldPorts, decided, waiting_delivery

CANCELLABLE = CLAIMABLE | {State.HELD}


def cancel(key: DeliveryKey, by: str, ports: HoldPorts) -> Delivery:
    """End the wait of a delivery for good and return it; `by` says in its history who asked.

    One that is being sent at the moment, or has come to its end, cannot be cancelled. Raises
    MessageNotFoundError and StateConflictError; nothing has changed then.
    """
    before = waiting_delivery(key, CANCELLABLE, "cancelled", ports.ledger)
    return decided(before, cancelled(before, by, now=ports.clock.now()), "cancelled", ports)
