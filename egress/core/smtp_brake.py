"""Leaky counters: how often something happened lately, in bounded memory."""

from collections import OrderedDict


class Brake:
    """Says stop after `limit` counts of one name; they leak away evenly over `seconds`.

    At most `names` are remembered, the longest unused is forgotten first. Times are any
    monotonic seconds.
    """

    def __init__(self, limit: int, seconds: float, names: int) -> None:
        self._limit = limit
        self._leak = limit / seconds
        self._names = names
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def is_on(self, name: str, now: float) -> bool:
        """Say whether `name` has used up what it may."""
        return self._level(name, now) > self._limit - 1

    def count(self, name: str, now: float) -> None:
        """Count one more for `name`."""
        # Full is full: a flood must not keep the brake on for longer than `seconds`.
        self._levels[name] = (min(float(self._limit), self._level(name, now) + 1), now)
        self._levels.move_to_end(name)
        if len(self._levels) > self._names:
            self._levels.popitem(last=False)

    def __len__(self) -> int:
        return len(self._levels)

    def _level(self, name: str, now: float) -> float:
        level, at = self._levels.get(name, (0.0, now))
        return max(0.0, level - (now - at) * self._leak)
