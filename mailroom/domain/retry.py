"""When to try again, and when to give up."""

from dataclasses import dataclass

MINUTE = 60.0
HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays in seconds after the first, second, ... deferral; the last one repeats.

    The first five are close together because the mail is transactional (reference design:
    a password reset is worth nothing after an hour); RFC 5321 section 4.5.4.1 allows that.
    """

    delays: tuple[float, ...] = (MINUTE, 3 * MINUTE, 7 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR)
    give_up_after: float = 48 * HOUR
    uncertain_delay: float = 15 * MINUTE
    uncertain_resends: int = 3  # a copy too many is better than none: the mail is transactional
    divisor: float = 1.0  # the local stack shortens every wait by this factor

    def delay(self, attempts: int, *, jitter: float) -> float:
        """Return seconds to wait after `attempts` (1 or more) deferred attempts.

        `jitter` is a number from -1 to 1 and moves the delay by at most a tenth.
        """
        step = self.delays[min(attempts, len(self.delays)) - 1]
        return step * (1 + jitter / 10) / self.divisor

    def resend_delay(self) -> float:
        """Return seconds to wait before an uncertain attempt is repeated."""
        return self.uncertain_delay / self.divisor
