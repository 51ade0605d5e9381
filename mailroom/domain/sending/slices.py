"""Limits over several addresses and hosts: whose turn it is, in slices of time.

A row for each key says up to when its turns are given away (the theoretical arrival time of the
generic cell rate algorithm). A process reserves turns worth a few seconds with one conditional
write. A turn is a moment, and may be used from then on for as long as a slice lasts; one that was
not used by then is lost. So in any time `w` no more than `rate * w`, one slice and one message
leave, however many processes there are and whatever happens to them.

When the table does not answer, a process that had steady need goes on at its share of the rate,
one by the number of live processes, from 32 until 58 seconds after its last booking. The share is
in the row, and the others leave it alone from the moment on at which they can tell: nobody who
still reaches the table takes what one who does not reach it may be using. Whoever had no claim
waits: the limit fails closed. Each process on its share may be one message early.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import SharedLimit
from mailroom.domain.tenancy.record import Place

SLICE_SECONDS = 5.0
ROUND_SECONDS = 2.0
AHEAD_SECONDS = 10.0  # turns are given away so far ahead
QUIET_SECONDS = 10.0  # who has not booked for so long may be cut off
CLAIM_SECONDS = 60.0  # who has been cut off for so long sends nothing any more
SKEW_SECONDS = 2.0  # that clocks may differ
CUT_OFF_SECONDS = QUIET_SECONDS + AHEAD_SECONDS + 2 * SLICE_SECONDS + SKEW_SECONDS
KEEP_SECONDS = 86_400.0
_LEAST_SHARE = 1e-6
_LONGEST_KEY = 400

SharedKey = tuple[SharedLimit, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right of a process to `share` (0 to 1) of the rate if it is cut off; booked at `at`."""

    at: float
    share: float

    @property
    def until(self) -> float:
        """When it ends."""
        return self.at + CLAIM_SECONDS


@dataclass(frozen=True, slots=True)
class Bucket:
    """The row of a key: turns are given away up to `tat` (Unix seconds)."""

    tat: float = 0.0
    claims: Mapping[str, Claim] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slice:
    """`count` turns, the first at `start`, one every `step` seconds."""

    start: float
    step: float
    count: int

    @property
    def end(self) -> float:
        """Up to when they are given away."""
        return self.start + self.count * self.step


@dataclass(frozen=True, slots=True)
class Booked:
    """What came of a booking; without `turns` there are some again at `again` (Unix seconds)."""

    turns: Slice | None
    again: float
    claim: Claim | None


def slice_size(rate: Rate) -> int:
    """Return the most turns of one slice: worth five seconds, and one at least."""
    return max(1, int(rate.per_second * SLICE_SECONDS))


def book(
    bucket: Bucket, holder: str, rate: Rate, *, wanted: int, steady: bool, live: int, now: float
) -> tuple[Bucket, Booked]:
    """Give `holder` turns; `steady` need is what gives a claim, among `live` processes.

    None are `wanted` by one who only has to say that it is still there: a claim has to be given
    again within ten seconds.
    """
    others = {
        name: claim for name, claim in bucket.claims.items() if name != holder and claim.until > now
    }
    claim = None
    if steady:
        room = 1.0 - sum(each.share for each in others.values())
        claim = Claim(now, max(0.0, min(1.0 / max(1, live), room)))
    claims = others if claim is None else {**others, holder: claim}
    silent = [each for each in others.values() if each.at + QUIET_SECONDS <= now]
    share = 1.0 - sum(each.share for each in silent)
    if share < _LEAST_SHARE:
        again = min(each.until for each in silent)
        return Bucket(bucket.tat, claims), Booked(None, again, claim)
    start = max(bucket.tat, now)
    if wanted <= 0 or start > now + AHEAD_SECONDS:
        return Bucket(bucket.tat, claims), Booked(None, start - AHEAD_SECONDS, claim)
    # Several take turns in rounds of two seconds: none has to send mail away to wait elsewhere.
    most = slice_size(rate)
    if len(claims) > 1:
        most = max(1, int(rate.per_second * ROUND_SECONDS / len(claims)))
    turns = Slice(start, 1.0 / (rate.per_second * share), min(wanted, most))
    return Bucket(turns.end, claims), Booked(turns, now, claim)


def leave(bucket: Bucket, holder: str, unused: Slice | None) -> Bucket:
    """Take a holder's claim out, and its unused turns where nobody has booked behind them."""
    claims = {name: claim for name, claim in bucket.claims.items() if name != holder}
    last = unused is not None and abs(unused.end - bucket.tat) < 1e-6
    return Bucket(unused.start if unused is not None and last else bucket.tat, claims)


def slice_place(limit: SharedLimit, key: tuple[str, ...]) -> Place:
    """Return where the row of a key lies."""
    text = "#".join(part.replace("%", "%25").replace("#", "%23") for part in key)
    if len(text.encode()) > _LONGEST_KEY:
        text = f"%{sha256(text.encode()).hexdigest()}"
    return Place(f"slice#{limit.scope}", text or "%")


def dump_bucket(bucket: Bucket) -> dict[str, Any]:
    """Return a bucket as the body of its row."""
    claims = {name: [claim.at, claim.share] for name, claim in bucket.claims.items()}
    return {"tat": bucket.tat, "claims": claims}


def load_bucket(body: Mapping[str, Any]) -> Bucket:
    """Read what `dump_bucket` wrote."""
    claims = body.get("claims", {})
    return Bucket(
        float(body.get("tat", 0.0)),
        {name: Claim(float(at), float(share)) for name, (at, share) in claims.items()},
    )


@dataclass(frozen=True, slots=True)
class Hand:
    """Turns of one slice that are left; `next` counts those that are used or lost."""

    turns: Slice
    next: int = 0

    @property
    def at(self) -> float:
        """The moment of the next turn."""
        return self.turns.start + self.next * self.turns.step

    @property
    def late(self) -> float:
        """For how long a turn may be used."""
        return max(SLICE_SECONDS, self.turns.step)

    @property
    def left(self) -> int:
        """How many turns are left."""
        return self.turns.count - self.next

    def due(self, now: float) -> int:
        """How many turns could be used at once."""
        if now < self.at:
            return 0
        return min(self.left, int((now - self.at) / self.turns.step) + 1)

    def at_time(self, now: float) -> "Hand":
        """Return what is left when turns that are too old are taken out."""
        since = now - self.late - self.turns.start
        if since <= 0:
            return self
        old = min(self.turns.count, int(since / self.turns.step) + 1)
        return self if old <= self.next else Hand(self.turns, old)

    def without(self, count: int = 1) -> "Hand":
        """Return it after `count` turns were used."""
        return Hand(self.turns, self.next + count)
