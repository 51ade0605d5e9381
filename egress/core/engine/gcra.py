"""Rate limiters: the generic cell rate algorithm (ITU-T I.371), one float of state each."""

from collections.abc import Sequence

from mailroom.domain.sending.rate import Rate


class Gcra:
    """Lets things through at a rate. Times are Unix seconds; `rate` None is no limit.

    `burst` is how much may go at once after a pause. An amount above it goes when the limiter is
    fully rested, and what follows waits for longer: the average holds, and nothing is stuck.
    """

    __slots__ = ("_burst", "_rate", "_step", "_tat")

    def __init__(self, rate: Rate | None, burst: float = 1.0) -> None:
        self._rate = rate
        self._burst = burst
        self._step = 1.0 / rate.per_second if rate else 0.0  # seconds that one thing takes
        self._tat = 0.0  # the theoretical arrival time: when all that went is worked off

    def earliest(self, now: float, amount: float = 1.0) -> float:
        """Return when `amount` may go; `now` or before means now."""
        if not self._step:
            return now
        spare = self._burst - amount
        return self._tat - spare * self._step if spare > 0 else self._tat

    def take(self, now: float, amount: float = 1.0) -> None:
        """Count `amount`, whether it was time for it or not."""
        if self._step:
            self._tat = max(now, self._tat) + amount * self._step

    def refund(self, amount: float) -> None:
        """Give back what was taken and not used."""
        self._tat -= amount * self._step

    def change(self, rate: Rate | None, now: float, burst: float | None = None) -> None:
        """Set another rate; what is not worked off yet is worked off at that one."""
        if burst is not None:
            self._burst = burst
        if rate == self._rate:
            return
        step = 1.0 / rate.per_second if rate else 0.0
        if self._step and self._tat > now:
            self._tat = now + (self._tat - now) / self._step * step
        self._rate, self._step = rate, step

    @property
    def rate(self) -> Rate | None:
        """The rate, None for no limit."""
        return self._rate

    @property
    def tat(self) -> float:
        """When all that went is worked off: all there is to store."""
        return self._tat

    @tat.setter
    def tat(self, tat: float) -> None:
        self._tat = tat


def acquire(limiters: Sequence[tuple[Gcra, float]], now: float) -> float | None:
    """Take an amount of each limiter, or nothing of any.

    Returns None when taken, else when all of them would let it go, as far as is known now.
    """
    soonest = max((limiter.earliest(now, amount) for limiter, amount in limiters), default=now)
    if soonest > now:
        return soonest
    for limiter, amount in limiters:
        limiter.take(now, amount)
    return None
