"""How many messages a minute a path may send: halved at trouble, raised by small steps after."""

from mailroom.domain.sending.rate import Rate

_PAUSE = 60.0  # seconds between two cuts, and between two raises
_SHARE = 0.05  # of the configured rate: one step up
_CREEP = 0.2  # of the present rate: no step is larger
_LEAST = 1.0  # a minute
_FORGET = 6 * 3_600.0  # seconds after which a path without configured rate is free again
_FAST = 60.0  # a minute: below this the rate itself is cut, not what was sent of it


class Pace:
    """Messages a minute within a configured rate; None is without limit. Times: Unix seconds.

    A cut starts from what really went in the last minute where that is less than was allowed: a
    limit that nobody reached would otherwise be halved many times before anything slows down.
    """

    __slots__ = (
        "_before",
        "_configured",
        "_cut_at",
        "_minute",
        "_raised_at",
        "_sent",
        "hold_until",
        "per_minute",
    )

    def __init__(
        self, configured: Rate | None, now: float, per_minute: float | None = None
    ) -> None:
        self._configured = configured.per_second * 60.0 if configured else None
        self.per_minute = self._fit(self._configured if per_minute is None else per_minute)
        self._cut_at = self._raised_at = now - _PAUSE
        self._minute, self._sent, self._before = now, 0.0, 0.0
        self.hold_until = 0.0  # it does not rise before

    @property
    def rate(self) -> Rate | None:
        """The rate as it is now."""
        return None if self.per_minute is None else Rate(self.per_minute, 60.0)

    @property
    def least(self) -> float:
        """Messages a minute below which nothing cuts it."""
        return _LEAST if self._configured is None else min(_LEAST, self._configured)

    def observed(self, now: float) -> float:
        """Return how many messages went in the last 60 seconds, nearly."""
        self._roll(now)
        return self._sent + self._before * (1.0 - (now - self._minute) / _PAUSE)

    def sent(self, now: float) -> None:
        """Count a message that goes."""
        self._roll(now)
        self._sent += 1.0

    def unsent(self) -> None:
        """Count one less: it did not go after all."""
        self._sent = max(0.0, self._sent - 1.0)

    def cut(self, now: float, factor: float = 0.5) -> bool:
        """Multiply the rate, at most once a minute; say whether it changed."""
        if now - self._cut_at < _PAUSE:
            return False
        used = max(_FAST, self.observed(now))
        base = used if self.per_minute is None else min(self.per_minute, used)
        self.per_minute = self._fit(max(self.least, base * factor))
        self._cut_at = self._raised_at = now
        return True

    def limit(self, rate: Rate, now: float, seconds: float = 0.0) -> bool:
        """Fall to a rate that a rule names; say whether it changed.

        It is kept for so many seconds from the last time it was named, then rises again.
        """
        self.hold_until = max(self.hold_until, now + seconds)
        named = rate.per_second * 60.0
        if self.per_minute is not None and self.per_minute <= named:
            return False
        self.per_minute = self._fit(named)
        self._cut_at = self._raised_at = now
        return True

    def clean(self, now: float) -> bool:
        """Note a success: raise the rate if the last minute was clean and the rate was needed."""
        rate = self.per_minute
        if rate is None or rate == self._configured or now - self._raised_at < _PAUSE:
            return False
        if now < self.hold_until:
            return False
        if self.observed(now) < 0.5 * rate and rate >= _LEAST:
            return False
        ceiling = self._configured
        if ceiling is None and now - self._cut_at >= _FORGET:
            self.per_minute = None
            return True
        step = _CREEP * rate if ceiling is None else min(_SHARE * ceiling, _CREEP * rate)
        self.per_minute = self._fit(rate + max(_LEAST, step))
        self._raised_at = now
        return True

    def quarter(self, now: float) -> None:
        """Fall to a quarter, which is where a path begins again after silence."""
        self._cut_at = now - _PAUSE
        self.cut(now, 0.25)

    def begin(self, now: float) -> None:
        """Note that silence has ended: a minute passes before the rate is raised."""
        self._cut_at, self._raised_at = now - _PAUSE, now

    def restore(self) -> None:
        """Go back to the configured rate."""
        self.per_minute, self.hold_until = self._configured, 0.0

    def reconfigure(self, configured: Rate | None) -> None:
        """Take another configured rate. One that was not cut follows it."""
        was = self._configured
        self._configured = configured.per_second * 60.0 if configured else None
        self.per_minute = self._configured if self.per_minute == was else self._fit(self.per_minute)

    def _fit(self, per_minute: float | None) -> float | None:
        if per_minute is None or self._configured is None:
            return per_minute
        return min(per_minute, self._configured)

    def _roll(self, now: float) -> None:
        passed = now - self._minute
        if passed >= _PAUSE:
            self._before = self._sent if passed < 2 * _PAUSE else 0.0
            self._sent = 0.0
            self._minute = now if passed >= 2 * _PAUSE else self._minute + _PAUSE
