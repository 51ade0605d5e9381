"""When to try again, and when to give up: one schedule for each class of mail."""

from dataclasses import dataclass

from mailroom.domain.sending.judgement import Category, Judgement, Verb

MINUTE = 60.0
HOUR = 3600.0
SHORTEST_HINT = 30.0  # seconds; what a reply asks for is bounded
LONGEST_HINT = 4 * HOUR
# A receiver that asks for the same short wait for ever is not asked hundreds of times.
HINTED_TRIES = 6
AT_ONCE_TRIES = 3  # how often in a row a try may follow at once without being counted
_HINT_SPREAD = 0.1


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long mail of one class waits. Times are seconds.

    `delays` follow the first, second, ... deferral; the last one repeats. A jitter from -1 to 1
    moves a delay by at most the share `spread`. A lost final reply is answered with another copy
    after `uncertain_delay` to twice that, `uncertain_resends` times.
    """

    delays: tuple[float, ...]
    lifetime: float
    spread: float
    uncertain_resends: int
    uncertain_delay: float = 15 * MINUTE

    def delay(self, attempts: int, *, jitter: float) -> float:
        """Return the wait after `attempts` (1 or more) deferred attempts."""
        step = self.delays[min(max(attempts, 1), len(self.delays)) - 1]
        return step * (1 + jitter * self.spread)

    def resend_delay(self, *, jitter: float) -> float:
        """Return the wait before an uncertain attempt is repeated."""
        return self.uncertain_delay * (1 + (jitter + 1) / 2)


# The first five are close together: a password reset is worth nothing after an hour, and RFC 5321
# section 4.5.4.1 allows that. A copy too many is better than none.
TRANSACTIONAL_SCHEDULE = Schedule(
    delays=(MINUTE, 3 * MINUTE, 7 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR),
    lifetime=48 * HOUR,
    spread=0.1,
    uncertain_resends=3,
)
BULK_SCHEDULE = Schedule(
    delays=tuple(each * MINUTE for each in (10, 20, 40, 80, 160, 240)),
    lifetime=72 * HOUR,
    spread=0.2,
    uncertain_resends=0,
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The schedules of both classes, and what they have in common. Times are seconds.

    `notice_after` is the age at which a delivery counts as late, once.
    """

    transactional: Schedule = TRANSACTIONAL_SCHEDULE
    bulk: Schedule = BULK_SCHEDULE
    greylist_delay: float = 5 * MINUTE  # to twice that
    notice_after: float = 4 * HOUR
    divisor: float = 1.0  # the local stack shortens every wait by this factor

    def schedule(self, *, bulk: bool = False) -> Schedule:
        """Return the schedule of a class."""
        return self.bulk if bulk else self.transactional

    @property
    def give_up_after(self) -> float:
        """The longer of both lifetimes, not divided."""
        return max(self.transactional.lifetime, self.bulk.lifetime)

    def lifetime(self, *, bulk: bool = False) -> float:
        """Return how long mail of a class is tried."""
        return self.schedule(bulk=bulk).lifetime / self.divisor

    def delay(self, attempts: int, *, jitter: float, bulk: bool = False) -> float:
        """Return the schedule's wait after `attempts` (1 or more); `jitter` is from -1 to 1."""
        return self.schedule(bulk=bulk).delay(attempts, jitter=jitter) / self.divisor

    def wait(
        self, attempts: int, judgement: Judgement, *, jitter: float, bulk: bool = False
    ) -> float:
        """Return the wait after `attempts` (1 or more), the last of which was judged like this.

        A wait that the reply asked for comes first, bounded; then greylisting, which wants
        another try within minutes; then the schedule.
        """
        scheduled = self.delay(attempts, jitter=jitter, bulk=bulk)
        asked = self._asked(judgement, jitter)
        if asked is None:
            return scheduled
        return asked if attempts <= HINTED_TRIES else max(asked, scheduled)

    def resend_delay(self, *, jitter: float = -1.0, bulk: bool = False) -> float:
        """Return the wait before an uncertain attempt is repeated."""
        return self.schedule(bulk=bulk).resend_delay(jitter=jitter) / self.divisor

    def is_late(self, age: float) -> bool:
        """Say whether a delivery of that age (seconds) counts as late."""
        return age >= self.notice_after / self.divisor

    def _asked(self, judgement: Judgement, jitter: float) -> float | None:
        later = (jitter + 1) / 2  # never sooner than asked
        if judgement.retry_after is not None:
            hint = min(LONGEST_HINT, max(SHORTEST_HINT, judgement.retry_after))
            return hint * (1 + _HINT_SPREAD * later) / self.divisor
        if is_greylisted(judgement):
            return self.greylist_delay * (1 + later) / self.divisor
        return None


def is_greylisted(judgement: Judgement) -> bool:
    """Say whether the next try must come from the same source address."""
    return judgement.category is Category.GREYLISTED or judgement.action(Verb.STICKY) is not None


def is_at_once(judgement: Judgement) -> bool:
    """Say whether the next try follows at once: the reply was about the way it was offered."""
    return judgement.action(Verb.RETRY_NOW) is not None
