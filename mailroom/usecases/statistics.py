"""Read statistics back: one number for each hour, day or month, the empty ones included."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from mailroom.domain.message import ServerId
from mailroom.domain.statistic import DAY, HOUR, Counts, Dimension, Slot, shortened, summed
from mailroom.errors import RangeError
from mailroom.ports.statistics import Grain, Statistics

MOST_ROWS = 10_000  # that one answer is made from, over all servers of an organisation


class By(StrEnum):
    """How long each number is for. All are of UTC."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


MOST = {By.HOUR: 31 * 24, By.DAY: 400, By.MONTH: 60}
DEFAULT = {By.HOUR: 24, By.DAY: 30, By.MONTH: 12}


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive hours, days or months: `first` to `last`, both included.

    Hours and days are counted from 1970, months from the year 0.
    """

    by: By
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    @property
    def grain(self) -> Grain:
        """How what it is made from is kept."""
        return Grain.HOUR if self.by is By.HOUR else Grain.DAY

    @property
    def rows(self) -> tuple[int, int]:
        """The first and the last row it is made from."""
        if self.by is not By.MONTH:
            return self.first, self.last
        return _start(By.MONTH, self.first) // DAY, _start(By.MONTH, self.last + 1) // DAY - 1

    def starts(self) -> Iterator[tuple[int, int]]:
        """Yield the number of each hour, day or month, and when it begins (Unix seconds)."""
        for number in range(self.first, self.last + 1):
            yield number, _start(self.by, number)


@dataclass(frozen=True, slots=True)
class Point:
    """The counts of what begins at `start` (Unix seconds)."""

    start: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Series:
    """All points of a span in order. `units` are the read units it cost."""

    by: By
    points: Sequence[Point]
    total: Counts
    units: float


def span_of(by: By, since: float | None, until: float | None, now: float) -> Span:
    """Return the hours, days or months from the one that holds `since` to that of `until`.

    Times are Unix seconds; without them the last 24 hours, 30 days or 12 months. Raises RangeError
    for more than there may be, or an end before its beginning.
    """
    last = _number(by, now if until is None else until)
    first = last - DEFAULT[by] + 1 if since is None else _number(by, since)
    if first > last:
        raise RangeError("the range ends before it begins")
    if last - first >= MOST[by]:
        raise RangeError(f"at most {MOST[by]} {by}s are shown at once")
    return Span(by, first, last)


def series(slots: Sequence[Slot], span: Span, statistics: Statistics) -> Series:
    """Return the sum over `slots`. One query for each: its cost depends on the span alone.

    Raises RangeError when slots and span together are too much for one answer.
    """
    first, last = span.rows
    if (last - first + 1) * len(slots) > max(MOST_ROWS, last - first + 1):
        raise RangeError("too many servers for that many hours, days or months; ask for fewer")
    sums: dict[int, list[Counts]] = {}
    units = 0.0
    for slot in slots:
        rows = statistics.read(slot, span.grain, first, last)
        units += rows.units
        for number, counts in rows.counts.items():
            sums.setdefault(_point(span.by, number), []).append(counts)
    points = [Point(start, summed(sums.get(number, ()))) for number, start in span.starts()]
    return Series(span.by, points, summed(point.counts for point in points), units)


def slot_of(server: ServerId, dimension: Dimension = Dimension.SERVER, value: str = "") -> Slot:
    """Return where the counts of one value are."""
    return Slot(server, dimension, shortened(value))


def values_of(
    server: ServerId, dimension: Dimension, span: Span, statistics: Statistics
) -> Sequence[str]:
    """Return the domains, tags or streams that have counts in a span, sorted.

    Raises RangeError for more than 400 days.
    """
    first, last = span.rows
    if span.by is By.HOUR:
        first, last = first * HOUR // DAY, last * HOUR // DAY
    if last - first >= MOST[By.DAY]:
        raise RangeError(f"values are listed for at most {MOST[By.DAY]} days")
    return sorted(statistics.values(server, dimension, range(first, last + 1)))


def _point(by: By, row: int) -> int:
    return _number(by, row * DAY) if by is By.MONTH else row


def _number(by: By, at: float) -> int:
    if by is By.HOUR:
        return int(at // HOUR)
    if by is By.DAY:
        return int(at // DAY)
    moment = datetime.fromtimestamp(at, UTC)
    return moment.year * 12 + moment.month - 1


def _start(by: By, number: int) -> int:
    if by is By.HOUR:
        return number * HOUR
    if by is By.DAY:
        return number * DAY
    return int(datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC).timestamp())
