"""A path after silence: one connection and a few messages, then a little more, cohort by cohort."""

MESSAGES = 5  # for each connection of a cohort
COHORTS = 3  # clean ones, until the path is believed
_LOST_SECONDS = 900.0  # an answer that has not come by then is not waited for any more


class Probe:
    """Counts the messages of a cohort: no more go than it has, until all are answered.

    Cohort `passed` + 1 has as many connections. Times are Unix seconds.
    """

    __slots__ = ("_at", "_clean", "_taken", "passed")

    def __init__(self, passed: int = 0) -> None:
        self.passed = max(0, min(passed, COHORTS - 1))
        self._clean = self._taken = 0
        self._at = 0.0

    @property
    def connections(self) -> int:
        """How many connections this cohort has."""
        return self.passed + 1

    @property
    def touched(self) -> bool:
        """Whether anything went well so far."""
        return bool(self.passed or self._clean)

    def earliest(self, now: float) -> float:
        """Return when a message may go: `now`, or when the missing answers are given up."""
        if self._taken < MESSAGES * self.connections:
            return now
        return self._at + _LOST_SECONDS

    def take(self, now: float) -> None:
        """Count a message that goes."""
        if self._taken >= MESSAGES * self.connections:
            self._taken = self._clean
        self._taken += 1
        self._at = now

    def give_back(self) -> None:
        """Note that a message said nothing about the path."""
        self._taken = max(self._clean, self._taken - 1)

    def succeeded(self) -> bool:
        """Count a clean message; say whether that was the last one needed."""
        self._clean += 1
        self._taken = max(self._taken, self._clean)
        if self._clean >= MESSAGES * self.connections:
            self.passed += 1
            self._clean = self._taken = 0
        return self.passed >= COHORTS
