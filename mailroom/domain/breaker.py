"""When an endpoint in trouble may be called: its breaker, and how many calls it may have at once.

A healthy endpoint has no gate at all and costs no write. A gate is written when something changes:
the endpoint fails again and again, works again, or answers so slowly that its calls must be
counted. Times are Unix seconds; whoever holds a place for longer than it lasts has crashed.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

DEAD = frozenset({0, 408, 429})  # with 5xx, what says that the endpoint itself is in trouble


class State(StrEnum):
    """What the breaker of an endpoint is doing."""

    CLOSED = "closed"  # calls pass
    OPEN = "open"  # nobody calls
    HALF_OPEN = "half_open"  # one call finds out whether it works again


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers. `divisor` shortens pauses and spans on the local stack, never the places."""

    failures: int = 5  # in a row, as one process sees them
    span: float = 30.0  # seconds they must last at least: a restart is not an outage
    first_pause: float = 30.0
    longest_pause: float = 900.0
    slow: float = 2.0  # seconds from which a call counts as slow
    slow_memory: float = 60.0
    places: int = 10  # calls at once to a slow endpoint, all processes together
    hold: float = 30.0  # seconds a place or a probe lasts; a call takes at most 15
    busy_wait: float = 5.0
    divisor: float = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """One call under way to a slow endpoint."""

    holder: str
    until: float


@dataclass(frozen=True, slots=True)
class Gate:
    """What all processes know of one endpoint. `opens` counts openings since it last worked."""

    opens: int = 0
    open_until: float = 0.0
    probe_until: float = 0.0
    slow_until: float = 0.0
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Streak:
    """Failures in a row as one process saw them, the first of them at `since`."""

    failures: int = 0
    since: float = 0.0


def state(gate: Gate, now: float) -> State:
    """Return what the breaker is doing at `now`."""
    if not gate.opens:
        return State.CLOSED
    return State.OPEN if now < gate.open_until else State.HALF_OPEN


def is_trouble(status: int) -> bool:
    """Say whether an answer (0 for none) is the endpoint's own trouble.

    A 404 or a redirect is not: the endpoint is there, and quick to say no.
    """
    return status in DEAD or status >= 500


def failed(streak: Streak, now: float) -> Streak:
    """Return `streak` with one more failure."""
    return Streak(streak.failures + 1, streak.since if streak.failures else now)


def is_broken(streak: Streak, now: float, policy: Policy) -> bool:
    """Say whether the failures are enough to open the breaker."""
    lasting = now - streak.since >= policy.span / policy.divisor
    return streak.failures >= policy.failures and lasting


def opened(gate: Gate, now: float, policy: Policy, *, jitter: float) -> Gate:
    """Return `gate` open for the next, longer pause; `jitter` (-1 to 1) moves it by a tenth."""
    pause = min(policy.longest_pause, policy.first_pause * (1 << min(gate.opens, 10)))
    until = now + max(1.0, pause * (1 + jitter / 10) / policy.divisor)
    return replace(gate, opens=gate.opens + 1, open_until=until, probe_until=0.0)


def mended(gate: Gate) -> Gate:
    """Return `gate` closed: the probe was answered."""
    return replace(gate, opens=0, open_until=0.0, probe_until=0.0)


def probed(gate: Gate, now: float, policy: Policy) -> Gate | None:
    """Return `gate` with a probe under way; None if there is one already."""
    if now < gate.probe_until:
        return None
    return replace(gate, probe_until=now + policy.hold)


def slowed(gate: Gate, now: float, policy: Policy) -> Gate:
    """Return `gate` with its calls counted from now on, for a while."""
    return replace(gate, slow_until=now + policy.slow_memory)


def is_slow(gate: Gate, now: float) -> bool:
    """Say whether calls need a place."""
    return now < gate.slow_until


def seated(gate: Gate, holder: str, now: float, policy: Policy) -> Gate | None:
    """Return `gate` with a place for `holder`; None if all are taken."""
    taken = tuple(place for place in gate.places if now < place.until)
    if len(taken) >= policy.places:
        return None
    return replace(gate, places=(*taken, Place(holder, now + policy.hold)))


def left(gate: Gate, holder: str) -> Gate:
    """Return `gate` without the place of `holder`."""
    return replace(gate, places=tuple(p for p in gate.places if p.holder != holder))


def busy_delay(waits: int, policy: Policy, *, jitter: float) -> float:
    """Return seconds until a call that was sent back `waits` times may ask for a place again."""
    wait = min(policy.longest_pause, policy.busy_wait * (1 << min(waits, 10)))
    return max(1.0, wait * (1 + jitter / 2) / policy.divisor)
