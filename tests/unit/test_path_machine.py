"""What holds on a path whatever happens to it, and in whatever order."""

import json
from math import inf

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from egress.core.engine.path_control import PathControl, Permit
from egress.core.engine.path_record import PathState, dump, load
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.judgement import (
    Action,
    Category,
    Judgement,
    Scope,
    Trigger,
    Verb,
)
from mailroom.domain.sending.path import PathKey
from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import BackoffSettings, PathSettings

KEY = PathKey("192.0.2.1", "example.com")
SILENT = (PathState.SUSPENDED, PathState.DISABLED)

rates = st.none() | st.builds(Rate, st.integers(1, 1_000), st.sampled_from([1.0, 60.0, 3_600.0]))
path_settings = st.builds(
    PathSettings,
    connections=st.integers(1, 30),
    start_connections=st.integers(1, 40),
    connection_rate=rates,
    ramp_interval=st.sampled_from([0.0, 5.0]),
    message_rate=rates,
    byte_rate=rates,
    messages_per_connection=st.integers(1, 200),
    backoff=st.builds(BackoffSettings, st.integers(1, 3), rates, rates, st.just(900.0)),
)
actions = st.builds(
    Action,
    st.sampled_from(Verb),
    st.sampled_from([0.0, 60.0, 600.0, 7_200.0]),
    st.sampled_from([0.25, 0.5]),
    st.none() | st.just(Rate(5, 60)),
)
judgements = st.builds(
    Judgement,
    st.sampled_from(Scope),
    st.sampled_from(Category),
    st.lists(actions, max_size=3).map(tuple),
    st.sampled_from([Trigger(), Trigger(3, 300), Trigger(1, 300, 0.5, 10)]),
    st.sampled_from(["", "one", "two"]),
)
replies = st.builds(
    SmtpReply,
    st.sampled_from([0, 421, 450, 550]),
    st.text(max_size=10),
    st.sampled_from([each.value for each in Phase]),
)


class Life(RuleBasedStateMachine):
    """One path; `closed` is what a closed state promised about its end."""

    @initialize(settings=path_settings, warm=st.booleans())
    def begin(self, settings: PathSettings, *, warm: bool) -> None:
        self.now = 1_800_000_000.0
        self.settings = settings
        self.control = PathControl(KEY, settings, self.now, None, warm)
        self.closed: Permit | None = None

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 30.0, 600.0, 7_200.0, 86_400.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(size=st.integers(0, 10_000_000), count=st.integers(1, 60), in_use=st.integers(0, 30))
    def mail_is_delivered(self, size: int, count: int, in_use: int) -> None:
        for _ in range(count):
            if self.control.earliest_message(self.now, size) > self.now:
                return
            assert self.control.permit(self.now).may_send
            self.control.take_message(self.now, size)
            self.control.succeeded(self.now, in_use)

    @rule(judgement=judgements, reply=replies, in_use=st.integers(0, 30))
    def mail_is_refused(self, judgement: Judgement, reply: SmtpReply, in_use: int) -> None:
        before = self.control.permit(self.now)
        rate = self.control.rate
        self.control.refused(self.now, judgement, reply, in_use)
        if judgement.scope in (Scope.DOMAIN, Scope.TENANT, Scope.CONFIGURATION):
            assert self.control.permit(self.now) == before
            assert self.control.rate == rate

    @rule(judgement=judgements, reply=replies)
    def a_connection_fails(self, judgement: Judgement, reply: SmtpReply) -> None:
        self.control.take_connection(self.now)
        self.control.not_opened(self.now, judgement, reply)

    @rule()
    def a_connection_is_opened(self) -> None:
        self.control.take_connection(self.now)
        self.control.opened(self.now)

    @rule(phase=st.sampled_from([each.value for each in Phase]), count=st.integers(-1, 100))
    def a_connection_ends(self, phase: str, count: int) -> None:
        self.control.lost(self.now, phase)
        self.control.carried(count, self.now)

    @rule()
    def an_answer_says_nothing(self) -> None:
        if self.control.earliest_message(self.now) <= self.now:
            self.control.take_message(self.now, 1)
            self.control.too_slow(self.now)
            self.control.refund_message(1)

    @rule(state=st.sampled_from(PathState), seconds=st.none() | st.sampled_from([60.0, 86_400.0]))
    def somebody_orders(self, state: PathState, seconds: float | None) -> None:
        until = None if seconds is None else self.now + seconds
        self.control.ordered(self.now, state, until, "because", "ann")
        assert self.control.permit(self.now).state is state
        self.closed = None

    @rule(settings=path_settings)
    def settings_change(self, settings: PathSettings) -> None:
        self.settings = settings
        self.control.reconfigure(settings, self.now)

    @rule()
    def the_process_restarts(self) -> None:
        before = self.control.permit(self.now)
        kept = load(json.loads(json.dumps(dump(self.control.record))))
        self.control.explain(self.now)
        again = PathControl(KEY, self.settings, self.now, kept)
        after = again.permit(self.now)
        assert after == before or self.now - kept.seen > 86_400
        assert again.messages_per_connection == self.control.messages_per_connection
        assert again.rate == self.control.rate
        self.control = again

    @invariant()
    def connections_stay_within_their_ceiling(self) -> None:
        permit = self.control.permit(self.now)
        assert 0 <= permit.connections <= self.settings.connections
        assert (permit.connections == 0) is not permit.may_send
        if permit.state is PathState.BACKOFF:
            assert permit.connections <= self.settings.backoff.connections
        if permit.state is PathState.PROBE:
            assert permit.connections <= 3

    @invariant()
    def what_is_closed_stays_closed(self) -> None:
        permit = self.control.permit(self.now)
        last = self.closed
        if last is not None and permit.state is not last.state:
            # DISABLED may follow SUSPENDED at any time; anything else only when it is over.
            over = last.until is not None and self.now >= last.until
            assert over or permit.state is PathState.DISABLED
        self.closed = permit if permit.state in SILENT else None
        if self.closed:
            ends = inf if permit.until is None else permit.until
            assert ends > self.now
            assert self.control.earliest_message(self.now) >= ends

    @invariant()
    def the_rate_is_within_what_is_configured(self) -> None:
        rate, most = self.control.rate, self.settings.message_rate
        if most is not None:
            assert rate is not None
            assert rate <= most.per_second * 60 * 1.000_001
        assert rate is None or rate > 0

    @invariant()
    def strikes_and_carrying_are_sane(self) -> None:
        assert 0 <= self.control.record.strikes <= 101
        assert 1 <= self.control.messages_per_connection <= self.settings.messages_per_connection


Life.TestCase.settings = hypothesis_settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
TestLife = Life.TestCase
