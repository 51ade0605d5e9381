"""How many messages a server may still send: in any 60 minutes, in a day and in a month.

Senders reserve in slices, so that a table is asked once for many messages. A slice may be used
only within the minute it was reserved in, and what is left of it comes back with the next one:
together they are never over a limit, and under it by at most one slice for each process.
The hour is a ring of minutes that rolls; day and month are calendar windows that end at midnight.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

WINDOW = 60  # minutes
# The minute that began within the window and the one that ends within it are both partly in it,
# so sixty slots would let through too much at their edges.
SLOTS = WINDOW + 1
_MINUTE = 60.0
_APPROACHING = 0.9


class LimitAction(StrEnum):
    """What becomes of a message over the limit. Values are stored; never rename them."""

    HOLD = "hold"  # it is accepted and waits for a person
    DELAY = "delay"  # it is accepted and waits until there is room
    REJECT = "reject"  # it is not accepted


class Period(StrEnum):
    """What a limit is for. Values are stored; never rename them."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Limits:
    """The most messages of each period; None is no limit."""

    hour: int | None = None
    day: int | None = None
    month: int | None = None
    action: LimitAction = LimitAction.HOLD

    @property
    def by_period(self) -> Mapping[Period, int]:
        """Those that are set, shortest period first."""
        given = {Period.HOUR: self.hour, Period.DAY: self.day, Period.MONTH: self.month}
        return {period: limit for period, limit in given.items() if limit is not None}


class Notice(StrEnum):
    """What somebody should hear about a limit, at most once in 60 minutes, a day or a month."""

    APPROACHING = "approaching"  # nine tenths are reserved
    EXCEEDED = "exceeded"  # a message was refused


@dataclass(frozen=True, slots=True)
class Times:
    """A moment as the periods see it: the Unix minute, the number of its day and of its month in
    one time zone, and when those two end (Unix seconds)."""

    minute: int
    day: int
    day_ends: float
    month: int
    month_ends: float


@dataclass(frozen=True, slots=True)
class Slice:
    """`size` messages booked in slot `minute` (Unix minutes), in a day and in a month."""

    minute: int
    size: int
    day: int = 0
    month: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """What is reserved in the calendar window `number`."""

    number: int = 0
    used: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What is reserved: by Unix minute, in the day, in the month; and the last notices.

    A notice is remembered by its minute (of the hour's limit) or its window.
    """

    reserved: dict[int, int] = field(default_factory=dict)
    day: Window = Window()
    month: Window = Window()
    notices: dict[tuple[Period, Notice], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """A notice that is due now."""

    period: Period
    notice: Notice
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """The usage as it is from now on, and what was had: `slice.size` 0 means a limit is reached.

    `retry_at` (Unix seconds) is then when all that are reached have room again, None otherwise.
    """

    usage: Usage
    slice: Slice
    retry_at: float | None = None
    told: tuple[Told, ...] = ()


def times(now: float, zone: tzinfo = UTC) -> Times:
    """Return the moment `now` (Unix seconds) with the day and month of `zone`."""
    local = datetime.fromtimestamp(now, zone)
    midnight = datetime(local.year, local.month, local.day, tzinfo=zone)
    # By way of the calendar and not of seconds: days are not all 24 hours long.
    tomorrow = midnight.replace(tzinfo=None) + timedelta(days=1)
    first = datetime(local.year + local.month // 12, local.month % 12 + 1, 1, tzinfo=zone)
    return Times(
        minute=int(now // _MINUTE),
        day=local.toordinal(),
        day_ends=tomorrow.replace(tzinfo=zone).timestamp(),
        month=local.year * 12 + local.month,
        month_ends=first.timestamp(),
    )


@lru_cache(maxsize=1_000)
def zone_of(name: str) -> tzinfo:
    """Return a time zone by its IANA name; UTC for "" and for one that is not known here."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def slice_size(limits: Iterable[int]) -> int:
    """Return how many messages are reserved at once: a hundredth of the least limit, or one."""
    return max(1, min(limits, default=0) // 100)


def used_now(usage: Usage, at: Times) -> Mapping[Period, int]:
    """Return what is reserved of each period at a moment."""
    kept, _ = _current(usage, at, None)
    return {period: _used(kept, period) for period in Period}


def reserve(
    usage: Usage,
    *,
    limits: Limits,
    at: Times,
    leftover: Slice | None = None,
    wanted: int | None = None,
) -> Reservation:
    """Reserve the next slice, or exactly `wanted` messages or none, after giving `leftover` back.

    A clock that is behind books in the newest slot and window, which only counts it for longer.
    Clocks that differ make the window inexact by their difference.
    """
    kept, at = _current(usage, at, leftover)
    given = limits.by_period
    need = 1 if wanted is None else wanted
    room = {period: limit - _used(kept, period) for period, limit in given.items()}
    full = [period for period, left in room.items() if left < need]
    granted = 0 if full else min([wanted or slice_size(given.values()), *room.values()])
    retry_at = max(
        (_free_at(kept, at, period, given[period], need) for period in full), default=None
    )
    after = _booked(kept, at, granted)
    told = tuple(_told(usage, after, at, given, full))
    if told:
        marks = {(each.period, each.notice): _mark(at, each.period) for each in told}
        after = replace(after, notices={**usage.notices, **marks})
    return Reservation(after, Slice(at.minute, granted, at.day, at.month), retry_at, told)


def _current(usage: Usage, at: Times, leftover: Slice | None) -> tuple[Usage, Times]:
    """Forget what is over, give `leftover` back, and return the newest times known."""
    newest = max([at.minute, *usage.reserved])
    at = replace(
        at,
        minute=newest,
        day=max(at.day, usage.day.number),
        month=max(at.month, usage.month.number),
    )
    kept = {minute: count for minute, count in usage.reserved.items() if minute > newest - SLOTS}
    if leftover is not None and leftover.minute in kept:
        kept[leftover.minute] = max(0, kept[leftover.minute] - leftover.size)
    back = leftover or Slice(0, 0)
    day = _window(usage.day, at.day, back.size if back.day == at.day else 0)
    month = _window(usage.month, at.month, back.size if back.month == at.month else 0)
    return Usage(kept, day, month, usage.notices), at


def _window(window: Window, number: int, back: int) -> Window:
    return Window(number, max(0, window.used - back) if window.number == number else 0)


def _used(usage: Usage, period: Period) -> int:
    match period:
        case Period.HOUR:
            return sum(usage.reserved.values())
        case Period.DAY:
            return usage.day.used
        case Period.MONTH:
            return usage.month.used


def _free_at(usage: Usage, at: Times, period: Period, limit: int, need: int) -> float:
    """Return when `need` messages fit again: a limit below that has to be raised first."""
    if period is Period.DAY:
        return at.day_ends
    if period is Period.MONTH:
        return at.month_ends
    used = _used(usage, Period.HOUR)
    for minute, count in sorted(usage.reserved.items()):
        used -= count
        if limit - used >= need:
            return (minute + SLOTS) * _MINUTE
    return (at.minute + SLOTS) * _MINUTE


def _booked(usage: Usage, at: Times, count: int) -> Usage:
    reserved = {**usage.reserved, at.minute: usage.reserved.get(at.minute, 0) + count}
    return replace(
        usage,
        reserved={minute: size for minute, size in reserved.items() if size},
        day=replace(usage.day, used=usage.day.used + count),
        month=replace(usage.month, used=usage.month.used + count),
    )


def _told(
    before: Usage, after: Usage, at: Times, limits: Mapping[Period, int], full: Iterable[Period]
) -> Iterable[Told]:
    """Yield the notices that are due; of a refusal only those of the limits that refused."""
    reached = frozenset(full)
    for period, limit in limits.items():
        used = _used(after, period)
        if reached and period not in reached:
            continue
        if not reached and used < _APPROACHING * limit:
            continue
        notice = Notice.EXCEEDED if reached else Notice.APPROACHING
        last, mark = before.notices.get((period, notice)), _mark(at, period)
        apart = WINDOW if period is Period.HOUR else 1
        if last is None or mark - last >= apart:
            yield Told(period, notice, used, limit)


def _mark(at: Times, period: Period) -> int:
    return {Period.HOUR: at.minute, Period.DAY: at.day, Period.MONTH: at.month}[period]
