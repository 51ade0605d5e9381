"""Rates: so many things in so much time, written `100/min` in settings."""

import re
from dataclasses import dataclass

_SECOND, _MINUTE, _HOUR, _DAY = 1.0, 60.0, 3_600.0, 86_400.0
_UNITS = {
    **dict.fromkeys(("s", "sec", "second"), _SECOND),
    **dict.fromkeys(("m", "min", "minute"), _MINUTE),
    **dict.fromkeys(("h", "hour"), _HOUR),
    **dict.fromkeys(("d", "day"), _DAY),
}
_RATE = re.compile(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*/\s*(\d{0,6})\s*([a-z]+)\s*\Z")


@dataclass(frozen=True, slots=True)
class Rate:
    """`amount` things in `seconds`. Both are above zero."""

    amount: float
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if not (self.amount > 0 and self.seconds > 0):
            raise ValueError("a rate is above zero: leave it out for no limit")

    @property
    def per_second(self) -> float:
        """Things a second."""
        return self.amount / self.seconds

    def times(self, factor: float) -> "Rate":
        """Return the rate multiplied; `factor` is above zero."""
        return Rate(self.amount * factor, self.seconds)

    def __str__(self) -> str:
        # Whole digits, so that `parse_rate` reads it back: `g` would write 1e+07.
        return f"{_plain(self.amount)}/{_plain(self.seconds)}s"


def parse_rate(text: str) -> Rate:
    """Return the rate that `100/min`, `5/s`, `20000/day` or `3/10s` means. Raises ValueError."""
    found = _RATE.match(text.lower())
    if not found or found[3] not in _UNITS or found[2] == "0":
        raise ValueError(
            f"{text[:40]!r} is no rate: write it like 100/min, 5/s, 3/10s or 20000/day"
        )
    return Rate(float(found[1]), int(found[2] or 1) * _UNITS[found[3]])


def _plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
