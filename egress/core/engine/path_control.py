"""READ FIRST of a path's control: what it may do now, and where what came of it is told.

    permit, earliest_* and take_*     before something is done
    opened, succeeded, refused, ...   after it, and the path learns
    ordered                           what a person says goes

All is memory; what must outlive the process is `record`. Times are Unix seconds of a clock that
never jumps; infinity means not before something happens.
"""

from collections import Counter
from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple

from egress.core.engine import path_blame
from egress.core.engine.gcra import Gcra
from egress.core.engine.path_record import ENGINE, PathRecord, PathState, Transition
from egress.core.engine.path_states import SILENT, PathStates
from egress.core.engine.strikes import decayed
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.judgement import Judgement
from mailroom.domain.sending.path import PathKey
from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import PathSettings

_PAUSE_LEAST, _PAUSE_MOST = 0.5, 60.0  # seconds between connections that fail
_BURST_SECONDS = 0.25  # of a message rate may go at once: less would lose what timers are late
_FORGET_SECONDS = 3_600.0  # without use
_DAY = 86_400.0


class Permit(NamedTuple):
    """What a path may do. `connections` is the most that may be open; `until` is when that ends.

    `until` is None where no time is set, and always where `may_send`, except in BACKOFF.
    """

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
        warm: bool = True,  # noqa: FBT001, FBT002 - a property of the address, like the others
    ) -> None:
        self.key = key
        self._settings = settings
        self._states = PathStates(settings, now, record, warm=warm)
        self._counters = Counter(record.counters if record else {})
        self._learned = record.learned if record else None  # messages a connection
        self._learned_at = record.learned_at if record else now
        self._messages = Gcra(None)
        self._octets = Gcra(None)
        self._connects = Gcra(None)
        self._connected_at = self._connect_after = -inf
        self._in_use = 0
        self._used_at = now
        self._permit: Permit | None = None
        self._fitted = -1
        self._fit(now)

    # What may be done.

    def permit(self, now: float) -> Permit:
        """Return what the path may do now. States that end by time end here."""
        self._pass_time(now)
        if self._permit is None:
            states = self._states
            state = states.state
            reason = f"{state.value}: {states.cause}".rstrip(": ")
            self._permit = Permit(
                state, states.connections, state not in SILENT, states.until, reason
            )
        return self._permit

    def earliest_message(self, now: float, size: int = 0) -> float:
        """Return when a message of `size` octets may go; `now` or before means now."""
        self._pass_time(now)
        when = self._messages.earliest(now)
        if self._octets.rate is not None:
            when = max(when, self._octets.earliest(now, size))
        states = self._states
        if states.state in SILENT:
            return max(when, inf if states.until is None else states.until)
        if states.state is PathState.PROBE:
            return max(when, states.probe.earliest(now))
        return when

    def take_message(self, now: float, size: int) -> None:
        """Count a message that goes now."""
        self._messages.take(now)
        self._octets.take(now, size)
        self._used_at = now
        states = self._states
        states.pace.sent(now)
        if states.state is PathState.PROBE:
            states.probe.take(now)

    def refund_message(self, size: int) -> None:
        """Give back a message that was not offered to anybody."""
        self._messages.refund(1.0)
        self._octets.refund(size)
        self._states.pace.unsent()
        self._states.probe.give_back()

    def earliest_connection(self, now: float) -> float:
        """Return when the next connection may be opened, if there may be one more."""
        self._pass_time(now)
        ramp = self._connected_at + self._settings.ramp_interval
        return max(self._connects.earliest(now), ramp, self._connect_after)

    def take_connection(self, now: float) -> None:
        """Count a connection that is opened now."""
        self._connects.take(now)
        self._connected_at = self._used_at = now

    @property
    def messages_per_connection(self) -> int:
        """The most messages that one connection carries."""
        most = self._settings.messages_per_connection
        return most if self._learned is None else max(1, min(most, int(self._learned)))

    # What came of it.

    def opened(self, now: float) -> None:
        """Note that a connection was greeted."""
        self._pass_time(now)
        self._states.failures = 0
        self._connect_after = -inf
        if self._learned is not None and now - self._learned_at >= _DAY:
            more = self._learned + max(1.0, self._learned * 0.1)
            self._learn(more if more < self._settings.messages_per_connection else None, now)

    def not_opened(self, now: float, judgement: Judgement, reply: SmtpReply) -> None:
        """Note that a connection came to nothing: refused, timed out, or 4xx or 5xx instead."""
        self._pass_time(now)
        self._counters["not_opened"] += 1
        doublings = min(self._states.failures, 10)
        self._connect_after = now + min(_PAUSE_MOST, _PAUSE_LEAST * 2**doublings)
        path_blame.not_opened(self._states, now, judgement, reply)

    def lost(self, now: float, phase: str) -> None:
        """Note that the other side dropped a connection in a phase of the dialogue.

        For one without a message under way; with one, `refused` tells it.
        """
        self._pass_time(now)
        self._counters["lost"] += 1
        path_blame.lost(self._states, now, phase)

    def succeeded(self, now: float, in_use: int) -> None:
        """Note an accepted message while `in_use` connections were open."""
        self._pass_time(now)
        self._counters["accepted"] += 1
        self._in_use = in_use
        self._states.succeeded(now, in_use)

    def refused(self, now: float, judgement: Judgement, reply: SmtpReply, in_use: int) -> None:
        """Note another reply to a message than the wished one, and do what its rule asks."""
        self._pass_time(now)
        self._counters["refused"] += 1
        self._in_use = in_use
        if path_blame.refused(self._states, now, judgement, reply):
            self._counters["blamed"] += 1

    def too_slow(self, now: float) -> None:
        """Note that a final dot waits so long that its answer says nothing about the path."""
        self._pass_time(now)
        self._counters["slow"] += 1
        self._states.probe.give_back()

    def carried(self, count: int, now: float) -> None:
        """Note that the other side wants no more than `count` messages on a connection.

        No more are tried from now on; each day a tenth more is, until it says so again.
        """
        if count < self.messages_per_connection:
            self._learn(float(max(1, count)), now)

    # What a person says.

    def ordered(
        self, now: float, state: PathState, until: float | None, reason: str, author: str
    ) -> None:
        """Put the path into a state until a time or, with None, the next order.

        NORMAL forgets strikes and what the controllers learned.
        """
        self._pass_time(now)
        self._states.ordered(now, state, until, reason, author)

    def reconfigure(self, settings: PathSettings, now: float) -> None:
        """Take other settings; what was learned stays as far as it fits."""
        if settings != self._settings:
            self._settings = settings
            self._states.reconfigure(settings, now)

    # What can be seen of it.

    @property
    def state(self) -> PathState:
        """The state, as of the last call that had the time."""
        return self._states.state

    @property
    def rate(self) -> float | None:
        """Messages a minute that the path is allowed now; None is without limit."""
        rate = self._messages.rate
        return None if rate is None else rate.per_second * 60.0

    @property
    def version(self) -> int:
        """Rises whenever the record is worth writing again; counters alone do not raise it."""
        return self._states.version

    def forgettable(self, now: float) -> bool:
        """Say whether a path without mail is as good as one that nobody ever used.

        It may be dropped then and be made anew: most sites see a message now and then only.
        """
        states = self._states
        return (
            self.permit(now).state is PathState.NORMAL
            and states.by == ENGINE
            and not decayed(states.strikes, states.clean_since, now)
            and self._learned is None
            and now - self._used_at >= _FORGET_SECONDS
            and max(self._messages.tat, self._octets.tat, self._connects.tat) <= now
        )

    @property
    def record(self) -> PathRecord:
        """What is worth keeping, as of the last call."""
        states = self._states
        return PathRecord(
            state=states.state,
            since=states.since,
            until=states.until,
            strikes=states.strikes,
            clean_since=states.clean_since,
            base=states.base,
            hold_until=states.hold_until,
            window=states.window.size,
            rate=states.pace.per_minute,
            rate_hold_until=states.pace.hold_until,
            probed=states.probe.passed,
            learned=self._learned,
            learned_at=self._learned_at,
            cause=states.cause,
            by=states.by,
            seen=states.seen,
            counters=dict(self._counters),
        )

    def take_changes(self) -> tuple[Transition, ...]:
        """Return the changes of state since the last call, the oldest first."""
        changes = tuple(self._states.changes)
        self._states.changes.clear()
        return changes

    def binding(self, now: float) -> str:
        """Return what holds the path's next message back; "nothing" if nothing does."""
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
            return f"connections: {permit.connections} ({self._whose(permit)})"
        if self._connect_after > now:
            return "a connection failed just now"
        if self.earliest_connection(now) > now:
            return f"connection rate {self._connects.rate or ''} or ramp interval"
        return "nothing"

    def explain(self, now: float) -> Mapping[str, Any]:
        """Return all figures of the path, JSON-ready."""
        permit = self.permit(now)
        states = self._states
        return {
            "state": permit.state.value,
            "since": states.since,
            "until": permit.until,
            "next_change": None if states.due == inf else states.due,
            "by": states.by,
            "rule": states.cause.rule,
            "reply": states.cause.reply,
            "category": states.cause.category,
            "strikes": decayed(states.strikes, states.clean_since, now),
            "clean_since": states.clean_since,
            "binding": self.binding(now),
            "connections": permit.connections,
            "window": states.window.size,
            "most_connections": self._settings.connections,
            "rate_per_minute": self.rate,
            "sent_last_minute": round(states.pace.observed(now), 1),
            "byte_rate": str(self._octets.rate or ""),
            "connection_rate": str(self._connects.rate or ""),
            "messages_per_connection": self.messages_per_connection,
            "blamed_share": round(states.shares.ratio(now), 3),
            "clean_cohorts": states.probe.passed,
            "counters": dict(self._counters),
        }

    # Inside.

    def _pass_time(self, now: float) -> None:
        states = self._states
        if now >= states.due:
            states.advance(now)
        if states.version != self._fitted:
            self._fit(now)

    def _fit(self, now: float) -> None:
        """Set the limiters to what state, settings and controllers come to."""
        states, settings = self._states, self._settings
        rate, connects = states.pace.rate, settings.connection_rate
        if states.state is PathState.BACKOFF:
            rate = _lesser(rate, settings.backoff.message_rate)
            connects = _lesser(connects, settings.backoff.connection_rate)
        self._messages.change(rate, now, _burst(rate, _BURST_SECONDS))
        self._octets.change(settings.byte_rate, now, _burst(settings.byte_rate, 1.0))
        self._connects.change(connects, now)
        self._permit = None
        self._fitted = states.version

    def _learn(self, count: float | None, now: float) -> None:
        self._learned, self._learned_at = count, now
        self._states.settle(now)

    def _whose(self, permit: Permit) -> str:
        if permit.state in (PathState.BACKOFF, PathState.PROBE):
            return permit.state.value
        return "settings" if permit.connections >= self._settings.connections else "window"


def _burst(rate: Rate | None, seconds: float) -> float:
    return 1.0 if rate is None else max(1.0, rate.per_second * seconds)


def _lesser(one: Rate | None, other: Rate | None) -> Rate | None:
    if one is None or other is None:
        return other if one is None else one
    return one if one.per_second <= other.per_second else other
