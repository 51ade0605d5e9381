"""How many messages a server may still send in any 60 minutes: arithmetic over one shared ring.

Senders reserve in slices, so that a table is asked once for many messages. A slice may be used
only within the minute it was reserved in, and what is left of it comes back with the next one:
together they are never over the limit, and under it by at most one slice for each process.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

WINDOW = 60  # minutes
# The minute that began within the window and the one that ends within it are both partly in it,
# so sixty slots would let through too much at their edges.
SLOTS = WINDOW + 1
_APPROACHING = 0.9


class Notice(StrEnum):
    """What somebody should hear about a limit, at most once in 60 minutes."""

    APPROACHING = "approaching"  # nine tenths are reserved
    EXCEEDED = "exceeded"  # a message was refused


@dataclass(frozen=True, slots=True)
class Slice:
    """`size` messages booked in slot `minute` (Unix minutes)."""

    minute: int
    size: int


@dataclass(frozen=True, slots=True)
class Ring:
    """What is reserved, by Unix minute, and the minutes of the last notices (0: never)."""

    reserved: dict[int, int] = field(default_factory=dict)
    notices: dict[Notice, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The ring as it is from now on, and what was had: `slice.size` 0 means the limit is reached.

    `used` is what is reserved in the window now, the new slice included.
    """

    ring: Ring
    slice: Slice
    used: int
    notice: Notice | None = None


def slice_size(limit: int) -> int:
    """Return how many messages are reserved at once: a hundredth of the limit, at least one."""
    return max(1, limit // 100)


def reserve(ring: Ring, *, limit: int, minute: int, leftover: Slice | None = None) -> Reservation:
    """Reserve the next slice at Unix minute `minute`, after giving `leftover` back.

    A clock that is behind books in the newest slot, which only counts it for longer. Clocks that
    differ make the window inexact by their difference.
    """
    newest = max([minute, *ring.reserved])
    kept = {at: count for at, count in ring.reserved.items() if at > newest - SLOTS}
    if leftover is not None and leftover.minute in kept:
        kept[leftover.minute] = max(0, kept[leftover.minute] - leftover.size)
    used = sum(kept.values())
    granted = max(0, min(slice_size(limit), limit - used))
    if granted:
        kept[newest] = kept.get(newest, 0) + granted
    used += granted
    after = Ring({at: count for at, count in kept.items() if count}, ring.notices)
    notice = _notice(ring, used, granted, limit, newest)
    if notice is not None:
        after = replace(after, notices={**ring.notices, notice: newest})
    return Reservation(after, Slice(newest, granted), used, notice)


def _notice(ring: Ring, used: int, granted: int, limit: int, minute: int) -> Notice | None:
    if granted and used < _APPROACHING * limit:
        return None
    notice = Notice.APPROACHING if granted else Notice.EXCEEDED
    last = ring.notices.get(notice)
    return notice if last is None or minute - last >= WINDOW else None
