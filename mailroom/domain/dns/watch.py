"""From one check to the next: what is announced, and when to look again.

Nobody is nagged: an event comes when something changed, and only when a second look agrees. A
look-up that failed says nothing about a domain and changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mailroom.domain.dns.records import Need, Purpose
from mailroom.domain.dns.state import Check, State, total_state

MINUTE, HOUR = 60.0, 3600.0
CONFIRM_SECONDS = 5 * MINUTE  # how far apart two looks must be to count as two
DOUBT_SECONDS = 10 * MINUTE  # when a record that has just gone is looked at again
TROUBLE_SECONDS = 15 * MINUTE  # after a check in which the DNS did not answer
_FLOORS = {True: HOUR, False: 5 * MINUTE}  # by "all is well"
_CEILING = 6 * HOUR
_ABANDONED = 30 * 24 * HOUR  # unfinished for so long: look once a day
_DAY = 24 * HOUR
_FAILING = (State.MISSING, State.INVALID)


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of one record that counts, since when it has it (Unix seconds).

    `doubted_at` is when a good record was first found failing; it counts as good until a later
    check says the same.
    """

    purpose: Purpose
    need: Need
    state: State
    since: float
    doubted_at: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A record's state has changed and somebody should know."""

    key: str
    before: State
    after: State


class News(StrEnum):
    """What there is to announce about a domain."""

    FAILED = "failed"
    RECOVERED = "recovered"


Standings = Mapping[str, Standing]


@dataclass(frozen=True, slots=True)
class Watched:
    """What follows from a check: the standings to keep, changes, and the news if there is any.

    `announced` is to be kept with the standings: whether the last news was bad.
    """

    standings: Standings
    announced: bool
    changes: Sequence[Change] = field(default=())
    news: News | None = None


def advance(
    standings: Standings,
    checks: Sequence[Check],
    now: float,
    *,
    announced: bool,
    divisor: float = 1.0,
) -> Watched:
    """Return the standings after `checks` made at `now` (Unix seconds).

    Good news counts at once; bad news when two checks, at least `CONFIRM_SECONDS` apart, agree.
    Records nobody expects any more are forgotten. News is about the domain as a whole: FAILED when
    it was all right, or when something else fails too after that; RECOVERED when all is right
    again. A domain that was never right makes no news: its owner is still at it. `divisor` shortens
    the waits on the local stack.
    """
    apart = CONFIRM_SECONDS / divisor
    after: dict[str, Standing] = {}
    changes = []
    for check in checks:
        before = standings.get(check.key)
        after[check.key] = standing = _next(before, check, now, apart)
        if before is not None and _is_change(before.state, standing.state):
            changes.append(Change(check.key, before.state, standing.state))
    news = _news(standings, after, changes, announced=announced)
    if news is not None:
        announced = news is News.FAILED
    return Watched(after, announced, tuple(changes), news)


def total_of(standings: Standings) -> State:
    """Return the state of the whole domain that these standings give."""
    return total_state([(each.need, each.purpose, each.state) for each in standings.values()])


def state_of(standings: Standings, purpose: Purpose) -> State:
    """Return the standing state of a purpose that has one record, UNKNOWN if it has none."""
    standing = standings.get(str(purpose))
    return standing.state if standing else State.UNKNOWN


def next_check(
    standings: Standings,
    checks: Sequence[Check],
    now: float,
    chance: float,
    *,
    divisor: float = 1.0,
) -> float:
    """Return when to check again, in Unix seconds. `chance` is from 0 up to 1.

    A quarter of the time that nothing has changed, within limits: soon while somebody is at work
    on it, four times a day when it has long been well. A tenth of jitter either way keeps domains
    that were added together from being checked together for ever. `divisor` as in `advance`: for
    it a minute is `divisor` minutes.
    """
    since = max((standing.since for standing in standings.values()), default=now)
    wait = _wait(standings, checks, (now - since) * divisor)
    return now + wait * (0.9 + 0.2 * chance) / divisor


def _wait(standings: Standings, checks: Sequence[Check], still: float) -> float:
    if any(standing.doubted_at is not None for standing in standings.values()):
        return DOUBT_SECONDS
    if any(check.state is State.UNKNOWN for check in checks):
        return TROUBLE_SECONDS
    well = total_of(standings) is State.OK
    if not well and still > _ABANDONED:
        return _DAY
    return min(max(still / 4, _FLOORS[well]), _CEILING)


def _next(before: Standing | None, check: Check, now: float, apart: float) -> Standing:
    fresh = Standing(check.purpose, check.need, check.state, now)
    if before is None:
        return fresh
    kept = replace(before, need=check.need)
    if check.state is State.UNKNOWN:
        return kept
    if check.state is before.state:
        return replace(kept, doubted_at=None)
    if before.state is not State.OK:
        return fresh
    if before.doubted_at is None:
        return replace(kept, doubted_at=now)
    return fresh if now - before.doubted_at >= apart else kept


def _is_change(before: State, after: State) -> bool:
    return before is not after and State.UNKNOWN not in (before, after)


def _news(
    before: Standings, after: Standings, changes: Sequence[Change], *, announced: bool
) -> News | None:
    total = total_of(after)
    if announced:
        if total is State.OK:
            return News.RECOVERED
    elif total_of(before) is not State.OK:
        return None
    worse = [each for each in changes if each.before is State.OK and _harms(after[each.key])]
    return News.FAILED if worse else None


def _harms(standing: Standing) -> bool:
    return total_state([(standing.need, standing.purpose, standing.state)]) in _FAILING
