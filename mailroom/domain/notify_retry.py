"""When a webhook that was not taken is called again."""

import math

# Postal stops after the first five (36 minutes); an endpoint that is down overnight loses
# nothing with the rest, 32 hours in all.
RETRY_MINUTES = (2, 3, 6, 10, 15, 30, 60, 120, 240, 480, 960)
MAX_HOP = 900  # seconds a queue can hide a message; longer waits are several hops


def retry_delay(tries: int, *, divisor: float = 1.0) -> int | None:
    """Return whole seconds to wait after `tries` (1 or more) failed tries, or None to give up.

    `divisor` shortens every wait on the local stack; no wait is shorter than a second.
    """
    if tries > len(RETRY_MINUTES):
        return None
    return max(1, math.ceil(RETRY_MINUTES[tries - 1] * 60 / divisor))


def hop(now: float, not_before: float) -> int:
    """Return whole seconds to hide a call that must wait until `not_before`: 0 to 900.

    Rounded up, so that a call never comes out of the queue before its time.
    """
    return max(0, min(MAX_HOP, math.ceil(not_before - now)))
