"""Clock and Chance of the real world."""

import secrets
import time


class SystemClock:
    """The Clock port."""

    def now(self) -> float:
        """See Clock.now."""
        return time.time()


class SystemChance:
    """The Chance port, from the operating system's generator."""

    def bits(self, count: int) -> int:
        """See Chance.bits."""
        return secrets.randbits(count)
