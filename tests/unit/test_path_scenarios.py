"""A path against receivers that behave in a known way, in simulated time."""

import heapq
import json
from dataclasses import dataclass, field, replace
from itertools import count, pairwise

import pytest

from egress.core.engine.path_control import PathControl
from egress.core.engine.path_record import PathState, dump, load
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.judgement import Action, Category, Judgement, Scope, Verb
from mailroom.domain.sending.path import PathKey
from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import PathSettings

START = 1_800_000_000.0
HOUR = 3_600.0


@dataclass
class Stand:
    """One path with mail enough for anything, and a receiver that takes `most` connections."""

    control: PathControl
    most: int
    at_mail: bool = False  # refused at MAIL, not in the banner
    seconds: float = 0.5  # that a message takes
    per_connection: int = 100
    now: float = START
    open: int = 0
    delivered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    allowed: list[tuple[float, int]] = field(default_factory=list)
    events: list[tuple[float, int, int]] = field(default_factory=list)
    numbers: "count[int]" = field(default_factory=count)

    def run(self, until: float) -> None:
        """Let time pass; each open connection sends one message after the other."""
        events = self.events
        while self.now < until:
            control = self.control
            permit = control.permit(self.now)
            self.allowed.append((self.now, permit.connections))
            when = control.earliest_connection(self.now)
            if self.open < permit.connections and when <= self.now:
                self.connect()
                continue
            after = [until]
            if not permit.may_send:
                after.append(permit.until or until)
            elif self.open < permit.connections:
                after.append(self.now + 1.0)
            if events:
                after.append(events[0][0])
            self.now = min(after)
            if events and events[0][0] <= self.now:
                self.message()

    def connect(self) -> None:
        self.control.take_connection(self.now)
        if self.open < self.most:
            self.open += 1
            self.control.opened(self.now)
            heapq.heappush(self.events, (self.now + self.seconds, next(self.numbers), 0))
            return
        self.refused.append(self.now)
        if self.at_mail:
            self.control.opened(self.now)
            reply = SmtpReply(421, "4.7.0 busy", Phase.MAIL)
            self.control.take_message(self.now, 1_000)
            self.control.refused(self.now, Judgement(Scope.PATH), reply, self.open + 1)
        else:
            reply = SmtpReply(421, "4.7.0 too many connections", Phase.BANNER)
            self.control.not_opened(self.now, Judgement(Scope.PATH), reply)

    def message(self) -> None:
        events = self.events
        _, number, carried = heapq.heappop(events)
        permit, when = self.control.permit(self.now), self.control.earliest_message(self.now)
        if self.open > permit.connections or carried >= self.per_connection:
            self.open -= 1
            return
        if when > self.now:
            heapq.heappush(events, (when, number, carried))
            return
        self.control.take_message(self.now, 1_000)
        self.control.succeeded(self.now, self.open)
        self.delivered.append(self.now)
        heapq.heappush(events, (self.now + self.seconds, number, carried + 1))


@pytest.mark.parametrize("at_mail", [False, True])
@pytest.mark.parametrize("most", [1, 2, 5, 20])
def test_a_limit_on_connections_is_found_at_the_cost_of_few_refusals(
    most: int, at_mail: bool
) -> None:
    settings = PathSettings(connections=50, start_connections=2, message_rate=Rate(1_000))
    control = PathControl(PathKey("a", "s"), settings, START)
    stand = Stand(control, most, at_mail)
    stand.run(START + HOUR)
    attempts = len(stand.delivered) + len(stand.refused)
    assert len(stand.refused) < 0.2 * attempts
    half = START + HOUR / 2
    assert max(each for at, each in stand.allowed if at > half) <= most + 1
    late = sum(at > half for at in stand.refused)
    assert late < 0.05 * (late + sum(at > half for at in stand.delivered))
    # And it is used: at least four fifths of what so many connections can carry.
    assert len(stand.delivered) > 0.8 * most * HOUR / stand.seconds
    assert control.permit(stand.now).state is PathState.NORMAL


def test_a_limit_that_is_lifted_is_used_again() -> None:
    settings = PathSettings(connections=20, message_rate=Rate(1_000))
    stand = Stand(PathControl(PathKey("a", "s"), settings, START), most=3)
    stand.run(START + HOUR)
    stand.most = 20
    stand.run(START + 2 * HOUR)
    assert stand.control.permit(stand.now).connections == 20


# Gmail 4.7.28: https://support.google.com/a/answer/3726730 tells what to do.
GMAIL = Judgement(
    Scope.PATH, Category.RATE_LIMITED, (Action(Verb.SUSPEND, 600),), rule="gmail-unusual-rate"
)
GMAIL_SAYS = SmtpReply(421, "4.7.28 Gmail has detected an unusual rate of mail", Phase.MAIL)


def test_after_an_unusual_rate_gmail_hears_nothing_for_ten_minutes_then_one_connection() -> None:
    settings = PathSettings(connections=20, start_connections=5)
    stand = Stand(PathControl(PathKey("a", "google"), settings, START), most=20)
    stand.run(START + 60)
    struck = stand.now
    for _ in range(5):
        stand.control.refused(struck, GMAIL, GMAIL_SAYS, 5)
    stand.open, before = 0, len(stand.delivered)
    stand.events.clear()
    stand.run(struck + HOUR)
    after = stand.delivered[before:]
    assert after[0] >= struck + 600
    permits = [(at, each) for at, each in stand.allowed if at > struck and each]
    assert permits[0][0] >= struck + 600
    assert permits[0][1] == 1
    # Five messages over that one, before there is a second.
    second = next(at for at, each in permits if each > 1)
    assert sum(at <= second for at in after) == 5
    assert all(b - a <= 1 for (_, a), (_, b) in pairwise(permits))


def test_yahoo_closes_one_path_for_two_hours_and_no_other() -> None:
    tss04 = Judgement(
        Scope.PATH, Category.RATE_LIMITED, (Action(Verb.SUSPEND, 7_200),), rule="yahoo-tss04"
    )
    keys = [PathKey("a", "yahoo"), PathKey("b", "yahoo"), PathKey("a", "google")]
    paths = [PathControl(key, PathSettings(), START) for key in keys]
    reply = SmtpReply(421, "4.7.0 [TSS04] Messages temporarily deferred", Phase.MAIL)
    paths[0].refused(START, tss04, reply, 1)
    for minute in range(120):
        now = START + 60 * minute
        assert [each.permit(now).may_send for each in paths] == [False, True, True]
    assert paths[0].permit(START + 2 * HOUR)[:2] == (PathState.PROBE, 1)
    assert all(each.permit(START + 2 * HOUR).state is PathState.NORMAL for each in paths[1:])


def test_a_restart_in_backoff_stays_in_backoff() -> None:
    settings = PathSettings(message_rate=Rate(600, 60))
    control = PathControl(PathKey("a", "s"), settings, START)
    backoff = Judgement(Scope.PATH, Category.RATE_LIMITED, (Action(Verb.BACKOFF, HOUR),), rule="r")
    control.refused(START, backoff, SmtpReply(451, "4.7.0 slow down", Phase.RCPT), 1)
    for minute in (10, 30, 59):
        now = START + 60 * minute
        row = json.loads(json.dumps(dump(control.record)))
        control = PathControl(PathKey("a", "s"), settings, now, load(row))
        assert control.permit(now).state is PathState.BACKOFF
        assert control.permit(now).until == START + HOUR
        assert control.permit(now).connections == settings.backoff.connections
        assert control.rate == pytest.approx(1)
        assert control.record.cause.rule == "r"
    assert control.permit(START + HOUR).state is PathState.SLOW


def test_a_receiver_with_a_hidden_rate_is_served_near_that_rate() -> None:
    hidden = 120.0  # a minute; above it everything is refused for what it is
    settings = PathSettings(message_rate=Rate(3_000, 60), start_connections=10)
    control = PathControl(PathKey("a", "s"), settings, START)
    verdict = Judgement(Scope.PATH, Category.RATE_LIMITED)
    reply = SmtpReply(451, "4.7.1 rate exceeded", Phase.RCPT)
    now, good, bad, level, last = START, 0, 0, 0.0, START
    while now < START + 4 * HOUR:
        now = max(now + 0.02, control.earliest_message(now))
        level = max(0.0, level - (now - last) * hidden / 60)
        last = now
        control.take_message(now, 1_000)
        if level < 20:
            level += 1
            good += 1
            control.succeeded(now, 5)
        else:
            bad += 1
            control.refused(now, replace(verdict, rule="x"), reply, 5)
    assert good > 0.6 * hidden * 240
    assert bad < 0.2 * (good + bad)
