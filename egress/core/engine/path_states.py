"""The states of a path and how they follow one another; docs/paths.md tells it to operators.

It knows no replies: `path_blame.py` reads those and says here what they come to. Times are Unix
seconds, durations seconds.
"""

from collections import deque
from math import inf

from egress.core.engine.pace import Pace
from egress.core.engine.path_record import (
    ENGINE,
    MOST_TEXT,
    Cause,
    PathRecord,
    PathState,
    Transition,
)
from egress.core.engine.probe import Probe
from egress.core.engine.strikes import decayed, penalty
from egress.core.engine.triggers import Shares, Triggers
from egress.core.engine.window import Window
from mailroom.domain.sending.settings import PathSettings

SLOW_SECONDS = 600.0  # clean ones, until a slow path is normal
PROBE_SECONDS = 3_600.0  # clean ones, until a path with too little mail for cohorts is believed
FREE = frozenset((PathState.NORMAL, PathState.SLOW))
SILENT = frozenset((PathState.SUSPENDED, PathState.DISABLED))
_DEAD_SECONDS, _DEAD_MOST = 15.0, 1_800.0
_DAY = 86_400.0
_MOST_CHANGES = 100
_NO_CAUSE = Cause()


class PathStates:
    """One path's state, with the controllers that move within it."""

    def __init__(
        self, settings: PathSettings, now: float, record: PathRecord | None, *, warm: bool
    ) -> None:
        kept = record or PathRecord(since=now, clean_since=now, seen=now)
        self.settings = settings
        self.state, self.since, self.until = kept.state, kept.since, kept.until
        self.strikes, self.clean_since = kept.strikes, kept.clean_since
        self.base, self.cause, self.by = kept.base, kept.cause, kept.by
        self.hold_until = kept.hold_until  # one connection is kept to until then, 0 for not
        self._warm = warm
        fresh = record is None or now - record.seen > _DAY
        self.window = Window(self._start, settings.connections, None if fresh else kept.window)
        self.pace = Pace(settings.message_rate, now, kept.rate)
        self.pace.hold_until = kept.rate_hold_until
        self.probe = Probe(kept.probed)
        self.shares, self.triggers = Shares(), Triggers()
        self.changes: deque[Transition] = deque(maxlen=_MOST_CHANGES)
        self.failures = 0  # connections that failed in a row
        self.failed_at = -inf  # the last one that was counted
        self._clean = 0  # deliveries in BACKOFF
        self.version = 0  # rises when something changes that limits or the record depend on
        self.seen = now
        self.due = inf  # when `advance` has something to do
        self.settle(now)
        self.version = 0  # nothing to write yet

    @property
    def connections(self) -> int:
        """The most connections that may be open now."""
        if self.state in SILENT:
            return 0
        if self.hold_until:
            return 1
        if self.state is PathState.PROBE:
            return min(self.probe.connections, self.window.ceiling)
        if self.state is PathState.BACKOFF:
            return min(self.window.size, self.settings.backoff.connections)
        return self.window.size

    # Time passes.

    def advance(self, now: float) -> None:
        """Let end what ends by time, until nothing more is due."""
        while now >= self.due:
            if self.hold_until and now >= self.hold_until:
                self.hold_until = 0.0
                self.settle(now)
            elif self.state in SILENT:
                self.clean_since = now  # silence forgives nothing
                self.pace.begin(now)
                self._enter(PathState.PROBE, now, cause=self.cause)
            elif self.state is PathState.SLOW:
                self._enter(PathState.NORMAL, now)
            else:
                self._enter(PathState.SLOW, now, cause=self.cause)

    # Things go well.

    def succeeded(self, now: float, in_use: int) -> None:
        """Count an accepted message."""
        self.failures = 0
        self.shares.count(now, blamed=False)
        state = self.state
        if state in FREE:
            if self.window.succeeded(in_use):
                self._touch(now)
            if self.pace.clean(now):
                self._touch(now)
        elif state is PathState.PROBE:
            self.probe_clean(now)
        elif state is PathState.BACKOFF:
            self._clean += 1
            if self.by == ENGINE and 0 < self.settings.backoff.clean_deliveries <= self._clean:
                self._enter(PathState.NORMAL, now)

    def answered(self, now: float) -> None:
        """Count a message that was refused for its own sake: the path works."""
        self.failures = 0
        self.shares.count(now, blamed=False)
        if self.state is PathState.PROBE:
            self.probe_clean(now)

    def probe_clean(self, now: float) -> None:
        """Count a clean message of a probe."""
        passed, touched = self.probe.passed, self.probe.touched
        if self.probe.succeeded():
            self._enter(PathState.SLOW, now, cause=self.cause)
        elif self.probe.passed != passed or not touched:
            self.settle(now)

    # Things go wrong.

    def stain(self, now: float) -> None:
        """Note trouble: clean time and clean deliveries are counted anew."""
        if self.state in SILENT:
            return
        self.strikes = decayed(self.strikes, self.clean_since, now)
        self.clean_since = now
        self._clean = 0
        if self.state is PathState.SLOW:
            self.settle(now)

    def slow(self, now: float, cause: Cause) -> None:
        """Halve the rate and stop the window from growing; a SLOW path is only halved again."""
        if self.state not in FREE:
            return
        cut = self.pace.cut(now)
        if self.state is PathState.NORMAL:
            self._enter(PathState.SLOW, now, cause=cause)
        elif cut:
            self.settle(now)

    def back_off(self, now: float, seconds: float, cause: Cause) -> None:
        """Fall to the backoff limits; in BACKOFF, stay for longer."""
        if self.state in FREE:
            self._strike(now)
            self.pace.quarter(now)
            until = now + penalty(seconds, self.strikes, cause.category)
            self._enter(PathState.BACKOFF, now, until=until, cause=cause)
        elif self.state is PathState.BACKOFF and self.until is not None:
            self.until = max(self.until, now + seconds)
            self.settle(now)

    def suspend(self, now: float, seconds: float, cause: Cause) -> None:
        """Be silent, for longer at each strike, and then probe."""
        if self.state is PathState.SUSPENDED:
            # Answers to what was under way: the same trouble, not another strike.
            if self.until is not None:
                self.until = max(self.until, now + seconds)
                self.settle(now)
        elif self.state is not PathState.DISABLED:
            self.base = seconds
            self._strike(now)
            self.pace.quarter(now)
            until = now + penalty(seconds, self.strikes, cause.category)
            self._enter(PathState.SUSPENDED, now, until=until, cause=cause)

    def dead(self, now: float, cause: Cause) -> None:
        """Be silent because nothing can be connected to; then probe.

        A host that is down says nothing against us: no strike, and half an hour at most.
        """
        seconds = min(_DEAD_MOST, _DEAD_SECONDS * self.failures**2)
        self._enter(PathState.SUSPENDED, now, until=now + seconds, cause=cause)

    def doubt(self, now: float, cause: Cause) -> None:
        """Go on with a single connection until it is seen that connections work again."""
        self._enter(PathState.PROBE, now, cause=cause)

    def disable(self, now: float, seconds: float, cause: Cause) -> None:
        """Send nothing for so long, longer at each strike, or with 0 until a person says so."""
        if self.state is PathState.DISABLED:
            return
        self.pace.quarter(now)
        until = None
        if seconds > 0:
            self.base = seconds
            self._strike(now)
            until = now + penalty(seconds, self.strikes, cause.category)
        self._enter(PathState.DISABLED, now, until=until, cause=cause)

    def relieve(self, now: float) -> None:
        """End a BACKOFF or SLOW that nobody ordered."""
        if self.by == ENGINE and self.state in (PathState.BACKOFF, PathState.SLOW):
            self._enter(PathState.NORMAL, now)

    # What a person says.

    def ordered(
        self, now: float, state: PathState, until: float | None, reason: str, author: str
    ) -> None:
        """Put the path into a state. NORMAL forgets strikes and what the controllers learned."""
        normal = state is PathState.NORMAL
        cause = Cause(reply=reason[:MOST_TEXT])
        self._enter(state, now, until=None if normal else until, cause=cause, by=author)
        if normal:
            self.strikes, self.hold_until, self.clean_since = 0, 0.0, now
            self.window.restart()
            self.pace.restore()
            self.settle(now)

    def reconfigure(self, settings: PathSettings, now: float) -> None:
        """Take other settings; what was learned stays as far as it fits."""
        self.settings = settings
        self.window.reset(self._start, settings.connections)
        self.pace.reconfigure(settings.message_rate)
        self.settle(now)

    # Inside.

    @property
    def _start(self) -> int:
        return self.settings.start_connections if self._warm else 1

    def _strike(self, now: float) -> None:
        self.strikes = decayed(self.strikes, self.clean_since, now) + 1
        self.clean_since = now

    def _enter(
        self,
        state: PathState,
        now: float,
        *,
        until: float | None = None,
        cause: Cause = _NO_CAUSE,
        by: str = ENGINE,
    ) -> None:
        before = self.state
        if state is not before or by != self.by or by != ENGINE:
            self.changes.append(Transition(now, before, state, cause, until, by))
        if state is not before:
            self.since = now
            self._turn(before, state)
        self.state, self.until, self.cause, self.by = state, until, cause, by
        self._clean = 0
        self.settle(now)

    def _turn(self, before: PathState, state: PathState) -> None:
        """Set the controllers as the new state begins with them."""
        self.shares.clear()
        if before is PathState.PROBE:
            self.window.restart(max(1, self.probe.passed))
        elif before is PathState.BACKOFF:
            self.window.restart()
        if state is PathState.PROBE:
            self.probe = Probe()
        elif state is PathState.NORMAL:
            self.base = 0.0

    def settle(self, now: float) -> None:
        """Bring timers into line with the state and the controllers, after any of them moved."""
        due = inf if self.until is None else self.until
        if self.state is PathState.SLOW:
            due = max(self.since, self.clean_since) + SLOW_SECONDS
        elif self.state is PathState.PROBE:
            clean_since = max(self.since, self.clean_since)
            due = clean_since + PROBE_SECONDS if self.probe.touched else inf
        self.window.freeze = self.state is not PathState.NORMAL or self.hold_until > now
        self.due = min(due, self.hold_until) if self.hold_until else due
        self._touch(now)

    def _touch(self, now: float) -> None:
        self.seen = now
        self.version += 1
