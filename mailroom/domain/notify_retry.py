"""When a webhook that was not taken is called again."""

import math
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

MAX_HOP = 900  # seconds a queue can hide a message; longer waits are several hops
MAX_RETRY_AFTER = 86_400.0  # seconds; what an endpoint may ask for at most
_MAX_TEXT = 64
_DOUBLINGS = 20


@dataclass(frozen=True, slots=True)
class NotifyPolicy:
    """Waits double from `first` to `longest` seconds until `hours` have passed since the event.

    Postal stops after five retries in 36 minutes; an endpoint that is down overnight loses
    nothing here. `divisor` shortens every wait on the local stack, and `hours` with it.
    """

    hours: float = 24.0
    first: float = 120.0
    longest: float = 4 * 3600.0
    divisor: float = 1.0

    def deadline(self, first_at: float) -> float:
        """Return the moment (Unix seconds) after which no try begins."""
        return first_at + self.hours * 3600.0 / self.divisor

    def retry_at(
        self, tries: int, now: float, first_at: float, *, jitter: float, retry_after: float = 0.0
    ) -> float | None:
        """Return when to try again after `tries` (1 or more) failed tries, or None to give up.

        `jitter` (-1 to 1) moves a wait by at most a fifth, so that calls that failed together do
        not come back together. `retry_after` is what the endpoint asked for (seconds, not
        divided): no earlier than that, but the last try is at the deadline at the latest.
        """
        deadline = self.deadline(first_at)
        if now >= deadline:
            return None
        step = min(self.longest, self.first * (1 << min(tries - 1, _DOUBLINGS)))
        wait = max(1.0, step * (1 + jitter / 5) / self.divisor, retry_after)
        return min(now + wait, max(deadline, now + 1.0))


def retry_after_seconds(text: str, now: float) -> float:
    """Return the seconds a Retry-After header asks for at `now`: 0 to 86,400.

    Seconds or an HTTP date (RFC 9110 section 10.2.3); anything else asks for nothing.
    """
    text = text.strip()
    if not text or len(text) > _MAX_TEXT:
        return 0.0
    if text.isascii() and text.isdigit():
        return min(MAX_RETRY_AFTER, float(text))
    try:
        wait = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError, OSError):
        return 0.0
    return min(MAX_RETRY_AFTER, max(0.0, wait))


def hop(now: float, not_before: float) -> int:
    """Return whole seconds to hide a call that must wait until `not_before`: 0 to 900.

    Rounded up, so that a call never comes out of the queue before its time.
    """
    return max(0, min(MAX_HOP, math.ceil(not_before - now)))
