"""What one process holds of a limit over several addresses: its turns, and its share without them.

It never waits: what it lacks is booked by whoever runs it. Times are Unix seconds.
"""

from collections import deque
from dataclasses import dataclass

from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.slices import (
    CUT_OFF_SECONDS,
    QUIET_SECONDS,
    SKEW_SECONDS,
    SLICE_SECONDS,
    Booked,
    Claim,
    Hand,
    Slice,
    slice_size,
)

MOST_LATER = 3_600.0  # seconds for which a message goes away to wait
BOOKING_SECONDS = 0.25  # so long a booking takes, about
_NEED_SECONDS = 5.0  # so long after somebody asked there still is a need
_LEAD_SECONDS = SLICE_SECONDS / 2  # turns are booked so long before the last one is over


@dataclass(frozen=True, slots=True)
class Wish:
    """What to book: how many turns, and whether there was a need for a while."""

    wanted: int
    steady: bool


class Turns:
    """The turns of one process for one key."""

    __slots__ = (
        "_again",
        "_appetite",
        "_asked_at",
        "_asked_since",
        "_claim",
        "_cut_off_from",
        "_hands",
        "_hungry",
        "_lost",
        "_promised",
        "_share_at",
        "_used",
        "rate",
    )

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._hands: deque[Hand] = deque()
        self._asked_at = self._asked_since = float("-inf")
        self._again = 0.0
        self._appetite = 1.0
        self._hungry = False
        self._used = self._lost = 0
        self._promised = 0.0
        self._claim: Claim | None = None
        self._cut_off_from = 0.0
        self._share_at = 0.0

    def earliest(self, now: float) -> float:
        """Return when the next message may go: `now`, or when to ask again."""
        when = self._earliest(now)
        self._hungry = when > now
        return when

    def _earliest(self, now: float) -> float:
        self._asked(now)
        if self._hands:
            return max(now, self._hands[0].at)
        share = self._share(now)
        if share is not None:
            return max(now, share)
        return self._again if self._again > now else now + BOOKING_SECONDS

    def take(self, now: float) -> bool:
        """Use a turn; False, and nothing is used, if there is none yet."""
        self._asked(now)
        if self._hands:
            if self._hands[0].at > now:
                return False
            self._hands[0] = self._hands[0].without()
            self._used += 1
            self._tidy(now)
            return True
        share = self._share(now)
        if share is None or share > now or self._claim is None:
            return False
        self._share_at = now + 1.0 / (self.rate.per_second * self._claim.share)
        return True

    def later(self, now: float) -> float:
        """Return when a message that goes away to wait should be back: each one a turn later.

        All of them at the next turn would be back for nothing, but for one.
        """
        share = self._claim.share if self._claim is not None and self._claim.share else 1.0
        after = max(self._promised, self.earliest(now))
        self._promised = min(after + 1.0 / (self.rate.per_second * share), now + MOST_LATER)
        return after

    def wish(self, now: float) -> Wish | None:
        """Return what to book now so that nobody waits who need not, None for nothing."""
        self._tidy(now)
        if now - self._asked_at > _NEED_SECONDS or now < self._again:
            return None
        steady = self._asked_at - self._asked_since >= _NEED_SECONDS
        due = sum(hand.due(now) for hand in self._hands)
        ends = self._hands[-1].turns.end if self._hands else now
        if due * 4 > self._appetite or ends > now + _LEAD_SECONDS:
            ages = self._claim is not None and now >= self._claim.at + QUIET_SECONDS / 2
            return Wish(0, steady) if ages else None
        self._learn()
        return Wish(int(self._appetite), steady)

    def booked(self, booked: Booked) -> None:
        """Take over what was booked."""
        if booked.turns is not None:
            self._hands.append(Hand(booked.turns))
        self._again = booked.again
        self._claim = booked.claim
        if booked.claim is not None:
            # A claim is a sign of life too, and has to be given again in time.
            self._again = min(self._again, booked.claim.at + QUIET_SECONDS / 2)
            self._cut_off_from = self._share_at = booked.claim.at + CUT_OFF_SECONDS

    def failed(self, now: float, *, in_doubt: bool) -> None:
        """Note that the table did not answer; `in_doubt`: it may have written nevertheless."""
        self._again = now + 1.0
        if in_doubt:
            self._cut_off_from = max(self._cut_off_from, now + CUT_OFF_SECONDS)
            self._share_at = max(self._share_at, self._cut_off_from)

    def leaves(self, now: float) -> bool:
        """Say whether a claim is held without need: it costs the others its share."""
        return self._claim is not None and now - self._asked_at > _NEED_SECONDS

    def give_up(self, now: float) -> Slice | None:
        """Let go of the claim and of all turns; return those of the last slice, if it has any."""
        self._tidy(now)
        last = self._hands[-1] if self._hands else None
        self._hands.clear()
        self._claim = None
        return Slice(last.at, last.turns.step, last.left) if last else None

    def is_idle(self, now: float) -> bool:
        """Say whether there is nothing to remember."""
        return not self._hands and self._claim is None and now - self._asked_at > _NEED_SECONDS

    def _share(self, now: float) -> float | None:
        """Return when the share gives the next turn to one who is cut off, None if never."""
        claim = self._claim
        if claim is None or claim.share <= 0 or now < self._cut_off_from:
            return None
        when = max(now, self._share_at)
        return when if when < claim.until - SKEW_SECONDS else None

    def _asked(self, now: float) -> None:
        if now - self._asked_at > _NEED_SECONDS:
            self._asked_since = now
        self._asked_at = now
        self._tidy(now)

    def _tidy(self, now: float) -> None:
        while self._hands:
            before = self._hands[0]
            hand = before.at_time(now)
            if hand is not before:
                self._lost += hand.next - before.next
                self._hands[0] = hand
            if hand.next < hand.turns.count:
                return
            self._hands.popleft()

    def _learn(self) -> None:
        """Ask for twice as much if mail had to wait, for less if turns were lost."""
        if self._lost:
            self._appetite *= self._used / (self._used + self._lost)
        elif self._hungry and self._used:
            self._appetite *= 2
        self._appetite = min(float(slice_size(self.rate)), max(1.0, self._appetite))
        self._used = self._lost = 0
