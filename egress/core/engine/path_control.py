"""READ FIRST of a path's control: what it may do now, and what replies make of it.

    permit, earliest_* and take_*     before something is done
    opened, succeeded, refused, ...   after it, and the path learns
    ordered                           what a person says goes

States: NORMAL, SLOW, BACKOFF, SUSPENDED, PROBE and DISABLED; docs/paths.md says how they follow one
another. All is memory; what must outlive the process is `record`. Times are Unix seconds.
"""

from collections import Counter, deque
from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple

from egress.core.engine.gcra import Gcra
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
from egress.core.engine.triggers import BACKOFF_RATIO, SLOW_RATIO, Shares, Triggers
from egress.core.engine.window import Window
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.judgement import Action, Category, Judgement, Scope, Verb
from mailroom.domain.sending.path import PathKey
from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import PathSettings

SLOW_SECONDS = 600.0  # clean ones, until a slow path is normal
PROBE_SECONDS = 3_600.0  # clean ones, until a path with too little mail for cohorts is believed
SUSPEND_SECONDS = 600.0  # where no rule says how long
CONNECT_FAILURES = 3  # in a row, until the path is probed
_DEAD_SECONDS, _DEAD_MOST = 15.0, 1_800.0  # silence after them: times the square of how many
_PAUSE_MOST = 60.0  # between connections that fail
_BURST_SECONDS = 0.25  # of a message rate may go at once: less would lose what timers are late
_DAY = 86_400.0
_MOST_CHANGES = 100
_NONE = Cause()
_OURS = frozenset((Scope.PATH, Scope.ADDRESS))
_FREE = frozenset((PathState.NORMAL, PathState.SLOW))
_SILENT = frozenset((PathState.SUSPENDED, PathState.DISABLED))
_EARLY = frozenset((Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS, Phase.MAIL))
_NO_PENALTY = (Verb.RETRY_NOW, Verb.MESSAGES_PER_CONNECTION)


class Permit(NamedTuple):
    """What a path may do; `connections` is the most that may be open, `until` when it changes."""

    state: PathState
    connections: int
    may_send: bool
    until: float | None
    reason: str


class PathControl:
    """The limits, controllers and state of one path."""

    def __init__(
        self,
        key: PathKey,
        settings: PathSettings,
        now: float,
        record: PathRecord | None = None,
        warm: bool = True,  # noqa: FBT001, FBT002 - as the address is
    ) -> None:
        kept = record or PathRecord(since=now, clean_since=now, seen=now)
        self.key = key
        self.version = 0  # rises when the record is worth writing
        self._settings = settings
        self._state, self._since, self._until = kept.state, kept.since, kept.until
        self._strikes, self._clean_since = kept.strikes, kept.clean_since
        self._base, self._cause, self._by = kept.base, kept.cause, kept.by
        self._counters = Counter(kept.counters)
        start = settings.start_connections if warm else 1
        fresh = record is None or now - record.seen > _DAY
        self._window = Window(start, settings.connections, None if fresh else kept.window)
        self._pace = Pace(settings.message_rate, now, kept.rate)
        self._probe = Probe(kept.probed)
        self._shares, self._triggers = Shares(), Triggers()
        self._learned, self._learned_at = kept.learned, kept.learned_at
        self._messages = Gcra(None)
        self._octets = Gcra(settings.byte_rate, _burst(settings.byte_rate, 1.0))
        self._connects = Gcra(settings.connection_rate)
        self._connected_at = self._connect_after = -inf
        self._failures = self._clean = self._in_use = 0
        self._hold_until = 0.0  # the window does not grow before
        self._warm = warm
        self._changes: deque[Transition] = deque(maxlen=_MOST_CHANGES)
        self._permit: Permit | None = None
        self._due = inf
        self._settle(now)

    # What may be done.

    def permit(self, now: float) -> Permit:
        """Return what the path may do now. States that end by time end here."""
        if now >= self._due:
            self._advance(now)
        if self._permit is None:
            self._permit = self._judge()
        return self._permit

    def earliest_message(self, now: float, size: int = 0) -> float:
        """Return when a message of `size` octets may go; infinity: not before something happens."""
        if now >= self._due:
            self._advance(now)
        when = self._messages.earliest(now)
        if self._octets.rate is not None:
            when = max(when, self._octets.earliest(now, size))
        if self._state in _SILENT:
            return max(when, inf if self._until is None else self._until)
        if self._state is PathState.PROBE:
            return max(when, self._probe.earliest(now))
        return when

    def take_message(self, now: float, size: int) -> None:
        """Count a message that goes now."""
        self._messages.take(now)
        self._octets.take(now, size)
        self._pace.sent(now)
        if self._state is PathState.PROBE:
            self._probe.take(now)

    def refund_message(self, size: int) -> None:
        """Give back a message that was not offered to anybody."""
        self._messages.refund(1.0)
        self._octets.refund(size)
        self._pace.unsent()
        self._probe.give_back()

    def earliest_connection(self, now: float) -> float:
        """Return when the next connection may be opened, if there may be one more."""
        ramp = self._connected_at + self._settings.ramp_interval
        return max(self._connects.earliest(now), ramp, self._connect_after)

    def take_connection(self, now: float) -> None:
        """Count a connection that is opened now."""
        self._connects.take(now)
        self._connected_at = now

    @property
    def messages_per_connection(self) -> int:
        """The most messages that one connection carries."""
        most = self._settings.messages_per_connection
        return most if self._learned is None else max(1, min(most, int(self._learned)))

    # What came of it.

    def opened(self, now: float) -> None:
        """Note that a connection was greeted."""
        self._failures = 0
        self._connect_after = -inf
        if self._learned is not None and now - self._learned_at >= _DAY:
            more = self._learned + max(1.0, self._learned * 0.1)
            self._learned = more if more < self._settings.messages_per_connection else None
            self._learned_at = now
            self.version += 1

    def not_opened(self, now: float, judgement: Judgement, reply: SmtpReply) -> None:
        """Note that a connection came to nothing: refused, timed out, or 4xx or 5xx instead."""
        self.permit(now)
        self._counters["not_opened"] += 1
        if self._state in _SILENT or judgement.scope not in (*_OURS, Scope.MESSAGE):
            return
        cause = _cause(judgement, reply, Category.BAD_CONNECTION)
        pause = min(_PAUSE_MOST, 0.5 * 2 ** min(self._failures, 10))
        self._connect_after = now + pause
        if self._state is not PathState.PROBE and judgement.scope in _OURS:
            self._apply(now, judgement, cause)
        if self._state not in _SILENT:
            self._connection_trouble(now, judgement, cause)

    def lost(self, now: float, phase: str) -> None:
        """Note that a connection was dropped by the other side in a phase of the dialogue."""
        self.permit(now)
        self._counters["lost"] += 1
        if self._state in _SILENT:
            return
        if self._state is PathState.PROBE or phase in _EARLY:
            text = f"connection lost in {phase}"
            cause = Cause("", text, Category.BAD_CONNECTION.value)
            self._connection_trouble(now, Judgement(Scope.PATH), cause)

    def succeeded(self, now: float, in_use: int) -> None:
        """Note an accepted message while `in_use` connections were open."""
        if now >= self._due:
            self._advance(now)
        self._counters["accepted"] += 1
        self._in_use, self._failures = in_use, 0
        self._shares.count(now, blamed=False)
        state = self._state
        if state in _FREE:
            if self._window.succeeded(in_use):
                self._changed()
            if self._pace.clean(now):
                self._settle(now)
        elif state is PathState.PROBE:
            self._probe_clean(now)
        elif state is PathState.BACKOFF:
            self._clean += 1
            enough = self._settings.backoff.clean_deliveries
            if self._by == ENGINE and 0 < enough <= self._clean:
                self._enter(PathState.NORMAL, now)

    def refused(self, now: float, judgement: Judgement, reply: SmtpReply, in_use: int) -> None:
        """Note a reply that was not the wished one.

        One about the message or its recipient shows that the path works; one about a domain, a
        tenant or our configuration says nothing about the path.
        """
        self.permit(now)
        self._counters["refused"] += 1
        self._in_use = in_use
        if judgement.scope is Scope.MESSAGE:
            self._shares.count(now, blamed=False)
            if self._state is PathState.PROBE:
                self._probe_clean(now)
        elif judgement.scope not in _OURS:
            self._probe.give_back()
        elif any(judgement.action(verb) for verb in _NO_PENALTY):
            self._probe.give_back()
            self._apply(now, judgement, _cause(judgement, reply))
        elif self._state is not PathState.DISABLED:
            self._blamed(now, judgement, reply)

    def too_slow(self, now: float) -> None:
        """Note that a final dot waits so long that its answer says nothing about the path."""
        self._counters["slow"] += 1
        self._probe.give_back()

    def carried(self, count: int, now: float) -> None:
        """Note that a connection was ended after `count` messages: no more are tried from now."""
        count = max(1, count)
        if count < self.messages_per_connection:
            self._learned, self._learned_at = float(count), now
            self.version += 1

    # What a person says.

    def ordered(
        self, now: float, state: PathState, until: float | None, reason: str, author: str
    ) -> None:
        """Put the path into a state, until a time or (None) the next order.

        NORMAL forgets strikes and what the controllers learned.
        """
        if state is PathState.NORMAL:
            self._strikes = 0
            self._window.restart()
            self._pace.restore()
            self._shares.clear()
            until = None
        cause = Cause("", reason[:MOST_TEXT], Category.OTHER.value)
        self._enter(state, now, until=until, cause=cause, by=author)

    def reconfigure(self, settings: PathSettings, now: float) -> None:
        """Take other settings; what was learned stays as far as it fits."""
        if settings == self._settings:
            return
        self._settings = settings
        start = settings.start_connections if self._warm else 1
        self._window.reset(start, settings.connections)
        self._pace.reconfigure(settings.message_rate)
        self._octets.change(settings.byte_rate, now, _burst(settings.byte_rate, 1.0))
        self._settle(now)

    # What can be seen of it.

    @property
    def state(self) -> PathState:
        """The state, as of the last call."""
        return self._state

    @property
    def rate(self) -> float | None:
        """Messages a minute that the path is allowed now; None is without limit."""
        rate = self._messages.rate
        return None if rate is None else rate.per_second * 60.0

    @property
    def record(self) -> PathRecord:
        """What is worth keeping, as of the last call."""
        return PathRecord(
            state=self._state,
            since=self._since,
            until=self._until,
            strikes=self._strikes,
            clean_since=self._clean_since,
            base=self._base,
            window=self._window.size,
            rate=self._pace.per_minute,
            probed=self._probe.passed,
            learned=self._learned,
            learned_at=self._learned_at,
            cause=self._cause,
            by=self._by,
            seen=self._seen,
            counters=dict(self._counters),
        )

    def take_changes(self) -> tuple[Transition, ...]:
        """Return the changes of state since the last call, the oldest first."""
        changes = tuple(self._changes)
        self._changes.clear()
        return changes

    def binding(self, now: float) -> str:
        """Return what holds the path's next message back, for people; "nothing" if nothing does."""
        permit = self.permit(now)
        if not permit.may_send:
            return permit.reason
        if self._octets.earliest(now, 0) > now:
            return f"byte rate {self._octets.rate}"
        if self._messages.earliest(now) > now:
            return f"message rate {self._messages.rate}"
        if self.earliest_message(now) > now:
            return "a probe waits for its answers"
        if self._in_use >= permit.connections:
            whose = "settings" if permit.connections >= self._settings.connections else "window"
            return f"connections: {permit.connections} ({whose})"
        if self.earliest_connection(now) > now:
            return "connection rate, ramp interval or a connection that failed just now"
        return "nothing"

    def explain(self, now: float) -> Mapping[str, Any]:
        """Return all figures of the path, JSON-ready."""
        permit = self.permit(now)
        backoff = self._state is PathState.BACKOFF
        settings = self._settings
        connection_rate = self._connects.rate
        return {
            "state": permit.state.value,
            "since": self._since,
            "until": permit.until,
            "by": self._by,
            "rule": self._cause.rule,
            "reply": self._cause.reply,
            "category": self._cause.category,
            "strikes": decayed(self._strikes, self._clean_since, now),
            "clean_since": self._clean_since,
            "binding": self.binding(now),
            "connections": permit.connections,
            "window": self._window.size,
            "configured_connections": settings.backoff.connections
            if backoff
            else settings.connections,
            "rate_per_minute": self.rate,
            "sent_last_minute": round(self._pace.observed(now), 1),
            "byte_rate": str(self._octets.rate or ""),
            "connection_rate": str(connection_rate or ""),
            "messages_per_connection": self.messages_per_connection,
            "blamed_ratio": round(self._shares.ratio(now), 3),
            "probe_cohorts": self._probe.passed,
            "counters": dict(self._counters),
        }

    # Inside.

    def _judge(self) -> Permit:
        state = self._state
        reason = "" if state is PathState.NORMAL else f"{state.value}: {self._cause}".rstrip(": ")
        if state in _SILENT:
            return Permit(state, 0, False, self._until, reason)  # noqa: FBT003
        most = self._window.size
        if state is PathState.PROBE:
            most = min(most, self._probe.connections)
        elif state is PathState.BACKOFF:
            most = min(most, self._settings.backoff.connections)
        return Permit(state, most, True, self._until, reason)  # noqa: FBT003

    def _advance(self, now: float) -> None:
        """Let pass what ends by time, once for each state that is over."""
        while now >= self._due:
            if now >= self._hold_until > 0:
                self._hold_until = 0.0
                self._settle(now)
            elif self._state in _SILENT:
                self._clean_since = now  # silence forgives nothing
                self._pace.begin(now)
                self._enter(PathState.PROBE, now, cause=self._cause)
            elif self._state is PathState.SLOW:
                self._enter(PathState.NORMAL, now)
            else:
                self._enter(PathState.SLOW, now, cause=self._cause)

    def _enter(
        self,
        state: PathState,
        now: float,
        *,
        until: float | None = None,
        cause: Cause = _NONE,
        by: str = ENGINE,
    ) -> None:
        before = self._state
        if state is not before or by != self._by:
            self._changes.append(Transition(now, before, state, cause, until, by))
        if state is not before:
            self._since = now
            self._left(before, state)
        self._state, self._until, self._cause, self._by = state, until, cause, by
        self._clean = 0
        self._settle(now)

    def _left(self, before: PathState, state: PathState) -> None:
        """Set the window and the probe as the new state begins with them."""
        self._shares.clear()
        if state is PathState.PROBE:
            self._probe = Probe()
            self._window.restart(self._settings.connections)
        elif before is PathState.PROBE:
            self._window.restart(self._probe.connections)
        elif before is PathState.BACKOFF:
            self._window.restart()
        if state is PathState.NORMAL:
            self._base = 0.0

    def _settle(self, now: float) -> None:
        """Bring limiters and timers into line with state, settings and controllers."""
        rate, connects = self._pace.rate, self._settings.connection_rate
        if self._state is PathState.BACKOFF:
            rate = _lesser(rate, self._settings.backoff.message_rate)
            connects = _lesser(connects, self._settings.backoff.connection_rate)
        self._messages.change(rate, now, _burst(rate, _BURST_SECONDS))
        self._connects.change(connects, now)
        due = inf if self._until is None else self._until
        if self._state is PathState.SLOW:
            due = max(self._since, self._clean_since) + SLOW_SECONDS
        elif self._state is PathState.PROBE and self._probe.touched:
            due = max(self._since, self._clean_since) + PROBE_SECONDS
        self._window.freeze = self._state is not PathState.NORMAL or self._hold_until > now
        self._due = min(due, self._hold_until) if self._hold_until > 0 else due
        self._seen = now
        self._changed()

    def _changed(self) -> None:
        self._permit = None
        self.version += 1

    def _probe_clean(self, now: float) -> None:
        passed = self._probe.passed
        if self._probe.succeeded():
            self._enter(PathState.SLOW, now, cause=self._cause)
        elif self._probe.passed != passed or self._due == inf:
            self._settle(now)

    def _blamed(self, now: float, judgement: Judgement, reply: SmtpReply) -> None:
        self._shares.count(now, blamed=True)
        self._counters["blamed"] += 1
        cause = _cause(judgement, reply)
        if self._state is PathState.PROBE:
            self._probe_failed(now, judgement, cause)
            return
        self._stain(now)
        if reply.code == 0 and reply.phase in _EARLY and self._window.failed():
            self._changed()
        acted = self._apply(now, judgement, cause)
        if not acted and judgement.category is Category.RATE_LIMITED and self._state in _FREE:
            self._slow(now, cause)
        self._weigh(now, cause)

    def _stain(self, now: float) -> None:
        """Note trouble: clean time begins anew."""
        if self._state in _SILENT:
            return
        self._strikes = decayed(self._strikes, self._clean_since, now)
        self._clean_since = now
        if self._state is PathState.SLOW:
            self._settle(now)

    def _weigh(self, now: float, cause: Cause) -> None:
        """Act on the share of attempts that the path is to blame for."""
        if self._state not in _FREE:
            return
        ratio = self._shares.ratio(now)
        if ratio >= BACKOFF_RATIO:
            self._back_off(now, self._settings.backoff.seconds, cause)
        elif ratio >= SLOW_RATIO and self._state is PathState.NORMAL:
            self._slow(now, cause)

    def _apply(self, now: float, judgement: Judgement, cause: Cause) -> bool:
        """Do what the rule asks of the path, if its trigger fires; say whether it did anything."""
        if not judgement.actions:
            return False
        name = judgement.rule
        if not self._triggers.fires(name, judgement.trigger, now, self._shares.attempts):
            return False
        acted = [self._act(now, action, cause, judgement) for action in judgement.actions]
        return any(acted)

    def _act(self, now: float, action: Action, cause: Cause, judgement: Judgement) -> bool:
        if action.verb in _STATES:
            self._turn(now, action, cause, judgement)
        elif self._state not in _SILENT and action.verb in _CONTROLS:
            self._control(now, action)
        else:
            return False
        return True

    def _turn(self, now: float, action: Action, cause: Cause, judgement: Judgement) -> None:
        if action.verb is Verb.SLOW:
            self._slow(now, cause)
        elif action.verb is Verb.BACKOFF:
            self._back_off(now, action.seconds or self._settings.backoff.seconds, cause)
        elif action.verb is Verb.SUSPEND:
            seconds = max(action.seconds or SUSPEND_SECONDS, judgement.retry_after or 0.0)
            self._suspend(now, seconds, cause)
        elif action.verb is Verb.DISABLE_ADDRESS:
            until = now + action.seconds if action.seconds > 0 else None
            self._pace.quarter(now)
            self._enter(PathState.DISABLED, now, until=until, cause=cause)
        elif self._by == ENGINE and self._state in (PathState.BACKOFF, PathState.SLOW):
            self._enter(PathState.NORMAL, now)

    def _control(self, now: float, action: Action) -> None:
        if action.verb is Verb.ONE_CONNECTION:
            self._window.one()
        elif action.verb is Verb.HALVE_WINDOW:
            self._window.halve()
        elif action.verb is Verb.RATE_TIMES:
            self._pace.cut(now, action.factor)
        elif action.rate is not None:
            self._pace.limit(action.rate, now)
        if action.verb is Verb.ONE_CONNECTION and action.seconds > 0:
            self._hold_until = max(self._hold_until, now + action.seconds)
        self._settle(now)

    def _slow(self, now: float, cause: Cause) -> None:
        cut = self._pace.cut(now) if self._state in _FREE else False
        if self._state is PathState.NORMAL:
            self._enter(PathState.SLOW, now, cause=cause)
        elif cut:
            self._settle(now)

    def _back_off(self, now: float, seconds: float, cause: Cause) -> None:
        if self._state in _FREE:
            self._strikes += 1
            self._pace.quarter(now)
            until = now + penalty(seconds, self._strikes, cause.category)
            self._enter(PathState.BACKOFF, now, until=until, cause=cause)
        elif self._state is PathState.BACKOFF and self._until is not None:
            self._clean = 0
            self._until = max(self._until, now + seconds)
            self._settle(now)

    def _suspend(self, now: float, seconds: float, cause: Cause) -> None:
        if self._state is PathState.DISABLED:
            return
        if self._state is PathState.SUSPENDED:
            # Answers to what was under way: the same trouble, not another strike.
            if self._until is not None:
                self._until = max(self._until, now + seconds)
                self._settle(now)
            return
        self._base = seconds
        self._strikes = decayed(self._strikes, self._clean_since, now) + 1
        self._clean_since = now
        self._pace.quarter(now)
        until = now + penalty(seconds, self._strikes, cause.category)
        self._enter(PathState.SUSPENDED, now, until=until, cause=cause)

    def _probe_failed(self, now: float, judgement: Judgement, cause: Cause) -> None:
        if (disable := judgement.action(Verb.DISABLE_ADDRESS)) is not None:
            self._turn(now, disable, cause, judgement)
            return
        action = judgement.action(Verb.SUSPEND)
        named = action.seconds if action else 0.0
        base = named or self._base or SUSPEND_SECONDS
        self._suspend(now, max(base, judgement.retry_after or 0.0), cause)

    def _connection_trouble(self, now: float, judgement: Judgement, cause: Cause) -> None:
        self._failures += 1
        state = self._state
        if state is PathState.PROBE and (self._base > 0 or judgement.action(Verb.SUSPEND)):
            self._probe_failed(now, judgement, cause)
        elif state is PathState.PROBE:
            # A host that is down says nothing against us: no strike, and never as long.
            seconds = min(_DEAD_MOST, _DEAD_SECONDS * self._failures**2)
            self._enter(PathState.SUSPENDED, now, until=now + seconds, cause=cause)
        else:
            self._stain(now)
            if self._window.failed():
                self._changed()
            if state in _FREE and self._failures >= CONNECT_FAILURES:
                self._enter(PathState.PROBE, now, cause=cause)


_STATES = frozenset((Verb.SLOW, Verb.BACKOFF, Verb.SUSPEND, Verb.DISABLE_ADDRESS, Verb.NORMAL))
_CONTROLS = frozenset((Verb.ONE_CONNECTION, Verb.HALVE_WINDOW, Verb.RATE, Verb.RATE_TIMES))


def _cause(judgement: Judgement, reply: SmtpReply, category: Category | None = None) -> Cause:
    given = judgement.category
    if given is Category.OTHER and category is not None:
        given = category
    return Cause(judgement.rule, str(reply)[:MOST_TEXT], given.value)


def _burst(rate: Rate | None, seconds: float) -> float:
    return 1.0 if rate is None else max(1.0, rate.per_second * seconds)


def _lesser(one: Rate | None, other: Rate | None) -> Rate | None:
    if one is None or other is None:
        return other if one is None else one
    return one if one.per_second <= other.per_second else other
