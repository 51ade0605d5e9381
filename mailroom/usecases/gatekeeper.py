"""Let calls through to an endpoint, or say when to come back (`domain/breaker.py`).

Cheap where nothing is wrong: a healthy endpoint costs one read every five seconds a process and no
write. Failures in a row are counted by each process for itself; only a change is written.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from mailroom.domain.breaker import (
    Gate,
    Policy,
    State,
    Streak,
    busy_delay,
    failed,
    is_broken,
    is_slow,
    is_trouble,
    left,
    mended,
    opened,
    probed,
    seated,
    slowed,
    state,
)
from mailroom.ports import Chance, Gates

FRESH_SECONDS = 5.0
_TRIES = 4  # at a conditional write; whoever loses that often comes back later
_MAX_KNOWN = 5_000
_CLOSED = Gate()


class Kind(StrEnum):
    """How a call was let through."""

    FREE = "free"
    PROBE = "probe"  # the one call that finds out whether the endpoint works again
    PLACE = "place"  # one of the few at once that a slow endpoint gets


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to call an endpoint; give it back with `Gatekeeper.leave`."""

    name: str
    kind: Kind
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Closed:
    """Not now; `until` is when to ask again (Unix seconds)."""

    until: float


@dataclass(slots=True)
class _Known:
    gate: Gate = _CLOSED
    version: int = 0
    read_at: float = float("-inf")
    streak: Streak = field(default_factory=Streak)


class Gatekeeper:
    """One a process, shared by its threads."""

    def __init__(self, gates: Gates, chance: Chance, policy: Policy) -> None:
        self._gates = gates
        self._chance = chance
        self._policy = policy
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def enter(self, name: str, now: float, *, waits: int = 0) -> Pass | Closed:
        """Ask leave to call the endpoint `name`; `waits` says how often that was refused."""
        known = self._look(name, now)
        for _ in range(_TRIES):
            doing = state(known.gate, now)
            if doing is State.OPEN:
                return Closed(known.gate.open_until)
            if doing is State.CLOSED and not is_slow(known.gate, now):
                return Pass(name, Kind.FREE)
            taken = self._take(name, known, doing, now)
            if taken is not None:
                return taken
            known = self._read(name, now)
        return Closed(now + busy_delay(waits, self._policy, jitter=jitter(self._chance)))

    def leave(self, given: Pass, status: int, *, seconds: float, now: float) -> None:
        """Report how the call went: its status (0 for no answer) and how long it took."""
        known, trouble = self._of(given.name), is_trouble(status)
        with self._lock:
            known.streak = failed(known.streak, now) if trouble else Streak()
            broken = trouble and is_broken(known.streak, now, self._policy)
        swing = jitter(self._chance)

        def after(gate: Gate) -> Gate:
            if given.kind is Kind.PLACE:
                gate = left(gate, given.holder)
            if given.kind is Kind.PROBE:
                gate = opened(gate, now, self._policy, jitter=swing) if trouble else mended(gate)
            elif broken and not gate.opens:
                gate = opened(gate, now, self._policy, jitter=swing)
            remembered = gate.slow_until - now > self._policy.slow_memory / 2
            if seconds >= self._policy.slow and not remembered:
                gate = slowed(gate, now, self._policy)
            return gate

        self._change(given.name, now, after)

    def _take(self, name: str, known: _Known, doing: State, now: float) -> Pass | None:
        holder = f"{self._chance.bits(64):016x}"
        if doing is State.HALF_OPEN:
            gate, kind = probed(known.gate, now, self._policy), Kind.PROBE
        else:
            gate, kind = seated(known.gate, holder, now, self._policy), Kind.PLACE
        if gate is not None and self._swap(name, gate, known.version, now):
            return Pass(name, kind, holder)
        return None

    def _change(self, name: str, now: float, after: Callable[[Gate], Gate]) -> None:
        known = self._of(name)
        for _ in range(_TRIES):
            gate = after(known.gate)
            if gate == known.gate or self._swap(name, gate, known.version, now):
                return
            known = self._read(name, now)
        # Given up: places and probes expire, and the next failure opens the breaker as well.

    def _look(self, name: str, now: float) -> _Known:
        """Return what is known if that cannot be wrong for long, else what is stored."""
        known = self._of(name)
        settled = not known.gate.opens and not is_slow(known.gate, now)
        if now < known.gate.open_until or (settled and now - known.read_at < FRESH_SECONDS):
            return known
        return self._read(name, now)

    def _read(self, name: str, now: float) -> _Known:
        gate, version = self._gates.read(name)
        return self._keep(name, gate, version, now)

    def _swap(self, name: str, gate: Gate, version: int, now: float) -> bool:
        done = self._gates.swap(name, gate, version)
        if done:
            self._keep(name, gate, version + 1, now)
        return done

    def _of(self, name: str) -> _Known:
        with self._lock:
            return self._known.get(name) or self._put(name, _Known())

    def _keep(self, name: str, gate: Gate, version: int, now: float) -> _Known:
        with self._lock:
            old = self._known.get(name)
            return self._put(name, _Known(gate, version, now, old.streak if old else Streak()))

    def _put(self, name: str, known: _Known) -> _Known:
        if name not in self._known and len(self._known) >= _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[name] = known
        return known


def jitter(chance: Chance) -> float:
    """Return a random number from -1 to 1."""
    return chance.bits(16) / 32_767.5 - 1
