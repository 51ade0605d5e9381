"""What was learned about hosts and holds for a while."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """At most `limit` facts, each for `seconds`; the one learned first is forgotten first."""

    def __init__(self, seconds: float, *, clock: Callable[[], float], limit: int = 10_000) -> None:
        """Take a `clock` in seconds that never jumps."""
        self._seconds = seconds
        self._clock = clock
        self._limit = limit
        self._facts: dict[K, tuple[float, V]] = {}

    def learn(self, key: K, fact: V) -> None:
        """Keep `fact` from now on."""
        self.keep(key, fact, self._clock() + self._seconds)

    def keep(self, key: K, fact: V, until: float) -> None:
        """Keep a fact until a time of the clock."""
        self._facts.pop(key, None)
        if len(self._facts) >= self._limit:
            del self._facts[next(iter(self._facts))]
        self._facts[key] = (until, fact)

    def about(self, key: K) -> V | None:
        """Return the fact about `key`, or None if none was learned lately."""
        until, fact = self._facts.get(key, (0.0, None))
        return fact if until > self._clock() else None
