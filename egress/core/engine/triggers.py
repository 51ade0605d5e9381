"""When something has happened often enough to act on it: counts and shares, in sliding windows.

Counts alone misfire at high volume, shares alone at low volume; a rule says which it wants.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from math import ceil
from typing import TypeVar

from mailroom.domain.sending.judgement import Trigger

_V = TypeVar("_V")

_BUCKET = 30.0  # seconds counted together
_BUCKETS = 120  # so many are kept: an hour
_MOST_COUNT = 1_000  # times of one rule that are remembered
RATIO_SECONDS = 300.0
RATIO_LEAST = 50
SLOW_RATIO = 0.2
BACKOFF_RATIO = 0.6


class Sliding:
    """How often something happened lately, exact to half a minute. Times are Unix seconds."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: deque[list[int]] = deque(maxlen=_BUCKETS)

    def count(self, now: float) -> None:
        """Count one."""
        number = int(now // _BUCKET)
        if self._buckets and self._buckets[-1][0] >= number:
            self._buckets[-1][1] += 1
        else:
            self._buckets.append([number, 1])

    def total(self, now: float, seconds: float) -> int:
        """Return how often it happened in the last `seconds`, at most an hour."""
        oldest = int((now - seconds) // _BUCKET)
        total = 0
        for number, count in reversed(self._buckets):
            if number <= oldest:
                break
            total += count
        return total

    def clear(self) -> None:
        """Forget all."""
        self._buckets.clear()


class Shares:
    """How many attempts there were on a path, and how many of them the path is to blame for."""

    __slots__ = ("attempts", "blamed")

    def __init__(self) -> None:
        self.attempts = Sliding()
        self.blamed = Sliding()

    def count(self, now: float, *, blamed: bool) -> None:
        """Count an attempt."""
        self.attempts.count(now)
        if blamed:
            self.blamed.count(now)

    def ratio(self, now: float) -> float:
        """Return the share to blame in the last five minutes, 0 while there are few attempts."""
        attempts = self.attempts.total(now, RATIO_SECONDS)
        if attempts < RATIO_LEAST:
            return 0.0
        return self.blamed.total(now, RATIO_SECONDS) / attempts

    def clear(self) -> None:
        """Begin again, because what was seen has been acted upon."""
        self.attempts.clear()
        self.blamed.clear()


class Triggers:
    """The triggers of rules, each for itself; the one unused longest is forgotten first."""

    __slots__ = ("_counts", "_most", "_shares")

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._counts: OrderedDict[Hashable, deque[float]] = OrderedDict()
        self._shares: OrderedDict[Hashable, Sliding] = OrderedDict()

    def fires(
        self, name: Hashable, trigger: Trigger, now: float, attempts: Sliding | None = None
    ) -> bool:
        """Count that `name` happened and say whether it is to be acted upon now.

        It begins again after that. A share is one of `attempts`; where nobody counts them, the
        least number of happenings that would make the share is waited for.
        """
        if trigger.ratio <= 0:
            return self._often(name, trigger.count, trigger.window, now)
        if attempts is None:
            least = ceil(trigger.ratio * trigger.least)
            return self._often(name, least, trigger.window, now)
        return self._shared(name, trigger, now, attempts)

    def _often(self, name: Hashable, count: int, window: float, now: float) -> bool:
        count = min(count, _MOST_COUNT)
        if count <= 1:
            return True
        times = self._counts.get(name)
        if times is None or times.maxlen != count:
            times = self._counts[name] = deque(times or (), maxlen=count)
        _touch(self._counts, name, self._most)
        times.append(now)
        if len(times) < count or (window > 0 and now - times[0] > window):
            return False
        times.clear()
        return True

    def _shared(self, name: Hashable, trigger: Trigger, now: float, attempts: Sliding) -> bool:
        hits = self._shares.setdefault(name, Sliding())
        _touch(self._shares, name, self._most)
        hits.count(now)
        window = trigger.window or RATIO_SECONDS
        total = attempts.total(now, window)
        if total < trigger.least or hits.total(now, window) < trigger.ratio * total:
            return False
        hits.clear()
        return True


def _touch(kept: OrderedDict[Hashable, _V], name: Hashable, most: int) -> None:
    kept.move_to_end(name)
    if len(kept) > most:
        kept.popitem(last=False)
