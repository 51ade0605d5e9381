"""The submission server's moments: where a crash could lose or repeat mail (`egress/faults.py`)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from egress.faults import Faults
from mailroom.domain.message import WakeUp
from mailroom.ports import Lane
from mailroom.usecases.accept import Accepted, Parcel


class Moment(StrEnum):
    """The instants around the commit, which is the acceptance."""

    BEFORE_ACCEPT = "before-accept"  # the whole message is here, nothing of it is stored
    BEFORE_HAND_OVER = "before-hand-over"  # committed; no queue and no client knows of it
    AFTER_ACCEPT = "after-accept"  # only the reply is missing


@dataclass(frozen=True, slots=True)
class FaultyLane:
    """A lane before which the process may die."""

    lane: Lane
    faults: Faults

    def send(self, wake_ups: Iterable[WakeUp], *, delay: float = 0.0) -> None:
        """See Lane.send."""
        self.faults.reach(Moment.BEFORE_HAND_OVER)
        self.lane.send(wake_ups, delay=delay)


def faulty(accept: Callable[[Parcel], Accepted], faults: Faults) -> Callable[[Parcel], Accepted]:
    """Return `accept` with a moment before and one after it."""

    def accepting(parcel: Parcel) -> Accepted:
        faults.reach(Moment.BEFORE_ACCEPT)
        accepted = accept(parcel)
        faults.reach(Moment.AFTER_ACCEPT)
        return accepted

    return accepting
