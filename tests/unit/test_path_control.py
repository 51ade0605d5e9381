"""What a path may do, and what it makes of replies."""

import json
from dataclasses import replace
from math import inf

import pytest

from egress.core.engine.path_control import PathControl
from egress.core.engine.path_record import PathRecord, PathState, dump, load
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

NOW = 1_800_000_000.0
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
KEY = PathKey("192.0.2.1", "example.com")
REPLY = SmtpReply(451, "4.7.0 try again later", Phase.MAIL)
AT_ONCE = Trigger()
UNLIMITED = PathSettings(message_rate=None, connection_rate=None)
RATE, BLOCK = Category.RATE_LIMITED, Category.SPAM_RELATED


def path(
    settings: PathSettings = UNLIMITED, record: PathRecord | None = None, *, warm: bool = True
) -> PathControl:
    return PathControl(KEY, settings, NOW, record, warm)


def rule(
    *actions: Action,
    scope: Scope = Scope.PATH,
    category: Category = Category.OTHER,
    trigger: Trigger = AT_ONCE,
) -> Judgement:
    return Judgement(scope, category, actions, trigger, rule="some-rule")


def refuse(control: PathControl, judgement: Judgement, now: float = NOW) -> None:
    control.refused(now, judgement, REPLY, 1)


def deliver(control: PathControl, now: float, count: int = 1) -> None:
    """Deliver messages at one instant, each answered before the next."""
    for _ in range(count):
        control.take_message(now, 1_000)
        control.succeeded(now, control.permit(now).connections)


SUSPEND = rule(Action(Verb.SUSPEND, 600), category=RATE)


# What actions do.


@pytest.mark.parametrize(
    ("action", "state", "until"),
    [
        (Action(Verb.SLOW), PathState.SLOW, None),
        (Action(Verb.BACKOFF), PathState.BACKOFF, 5_400.0),
        (Action(Verb.BACKOFF, 900), PathState.BACKOFF, 900.0),
        (Action(Verb.SUSPEND, 7_200), PathState.SUSPENDED, 7_200.0),
        (Action(Verb.SUSPEND), PathState.SUSPENDED, 600.0),
        (Action(Verb.DISABLE_ADDRESS), PathState.DISABLED, None),
        (Action(Verb.DISABLE_ADDRESS, 86_400), PathState.DISABLED, 86_400.0),
        (Action(Verb.SKIP_HOST), PathState.NORMAL, None),
        (Action(Verb.CLOSE_CONNECTION), PathState.NORMAL, None),
        (Action(Verb.OTHER_ADDRESS), PathState.NORMAL, None),
    ],
)
@pytest.mark.parametrize("scope", [Scope.PATH, Scope.ADDRESS])
def test_a_rule_sets_the_state(
    action: Action, state: PathState, until: float | None, scope: Scope
) -> None:
    control = path()
    refuse(control, rule(action, scope=scope))
    permit = control.permit(NOW)
    assert permit.state is state
    assert permit.until == (None if until is None else NOW + until)
    assert permit.may_send is (state not in (PathState.SUSPENDED, PathState.DISABLED))
    assert (permit.connections == 0) is not permit.may_send


@pytest.mark.parametrize("scope", [Scope.DOMAIN, Scope.TENANT, Scope.CONFIGURATION, Scope.MESSAGE])
@pytest.mark.parametrize("verb", [Verb.SUSPEND, Verb.DISABLE_ADDRESS, Verb.ONE_CONNECTION])
def test_what_is_not_about_the_path_never_touches_it(scope: Scope, verb: Verb) -> None:
    control = path(replace(UNLIMITED, start_connections=5))
    for _ in range(200):
        refuse(control, rule(Action(verb, 600), scope=scope, category=RATE))
        control.not_opened(NOW, rule(Action(verb, 600), scope=Scope.DOMAIN), REPLY)
    assert control.permit(NOW)[:2] == (PathState.NORMAL, 5)
    assert control.rate is None
    assert control.take_changes() == ()


def test_one_connection_holds_for_as_long_as_the_rule_says() -> None:
    control = path(replace(UNLIMITED, start_connections=5))
    refuse(control, rule(Action(Verb.ONE_CONNECTION, HOUR)))
    assert control.permit(NOW).connections == 1
    deliver(control, NOW + 10, 50)
    assert control.permit(NOW + 10).connections == 1
    deliver(control, NOW + HOUR, 50)
    assert control.permit(NOW + HOUR).connections > 1


def test_the_window_is_halved_by_a_rule() -> None:
    control = path(replace(UNLIMITED, start_connections=8))
    refuse(control, rule(Action(Verb.HALVE_WINDOW)))
    assert control.permit(NOW).connections == 4


def test_a_rate_of_a_rule_is_kept_and_rises_again() -> None:
    control = path()
    refuse(control, rule(Action(Verb.RATE, rate=Rate(5, 60))))
    control.permit(NOW)
    assert control.rate == pytest.approx(5)
    control.take_message(NOW, 1)
    assert control.earliest_message(NOW) == pytest.approx(NOW + 12)


def test_a_rate_of_a_rule_is_kept_for_as_long_as_it_says_even_after_a_restart() -> None:
    control = path(replace(UNLIMITED, message_rate=Rate(100, 60)))
    trickle = rule(Action(Verb.RATE, HOUR, rate=Rate(5, 60)))
    refuse(control, trickle)
    refuse(control, trickle, NOW + MINUTE)  # it is still said: an hour from now
    for minute in range(60):
        deliver(control, NOW + minute * MINUTE, 5)
        control = PathControl(KEY, control._settings, NOW + minute * MINUTE, control.record)
        assert control.rate == pytest.approx(5)
    for minute in range(61, 64):
        deliver(control, NOW + minute * MINUTE, 5)
    control.permit(NOW + 64 * MINUTE)
    assert control.rate is not None
    assert control.rate > 5


def test_a_verdict_on_rate_without_actions_halves_the_rate_and_slows() -> None:
    control = path(replace(UNLIMITED, message_rate=Rate(60, 60)))
    refuse(control, rule(category=RATE))
    assert control.permit(NOW).state is PathState.SLOW
    assert control.rate == pytest.approx(30)


@pytest.mark.parametrize("verb", [Verb.RETRY_NOW, Verb.MESSAGES_PER_CONNECTION])
def test_an_ordinary_limit_of_theirs_is_no_blame(verb: Verb) -> None:
    control = path()
    for _ in range(100):
        refuse(control, rule(Action(verb), Action(Verb.CLOSE_CONNECTION), category=RATE))
    assert control.permit(NOW).state is PathState.NORMAL
    assert control.rate is None


def test_a_rule_with_a_count_acts_at_that_count() -> None:
    control = path()
    often = rule(Action(Verb.SUSPEND, 600), trigger=Trigger(count=3, window=300))
    states = []
    for _ in range(3):
        refuse(control, often)
        states.append(control.permit(NOW).state)
    assert states == [PathState.NORMAL, PathState.NORMAL, PathState.SUSPENDED]


@pytest.mark.parametrize(
    ("good", "blamed", "state"),
    [
        (49, 0, PathState.NORMAL),
        (45, 5, PathState.NORMAL),
        (20, 20, PathState.NORMAL),  # too few to say
        (80, 20, PathState.SLOW),
        (20, 40, PathState.BACKOFF),
    ],
)
def test_a_share_of_blame_slows_or_backs_off(good: int, blamed: int, state: PathState) -> None:
    control = path()
    for number in range(good):
        if number % 2:
            deliver(control, NOW)
        else:
            refuse(control, rule(scope=Scope.MESSAGE))
    for _ in range(blamed):
        refuse(control, rule())
    assert control.permit(NOW).state is state


def test_a_share_of_blame_that_stays_halves_the_rate_again() -> None:
    control = path(replace(UNLIMITED, message_rate=Rate(6_000, 60)))
    rates = []
    for minute in range(3):
        now = NOW + minute * MINUTE
        for _ in range(70):
            control.take_message(now, 1)
            control.succeeded(now, 1)
        for _ in range(30):
            refuse(control, rule(), now)
        control.permit(now)
        rates.append(control.rate)
    assert None not in rates
    assert rates[0] > rates[1] > rates[2]
    assert control.permit(now).state is PathState.SLOW


def test_a_share_of_blame_that_was_acted_upon_is_not_counted_again() -> None:
    control = path(replace(UNLIMITED, message_rate=Rate(6_000, 60)))
    rates = []
    for minute, (blamed, good, more) in enumerate([(0, 70, 18), (29, 21, 1), (0, 41, 9)]):
        now = NOW + minute * MINUTE
        for _ in range(blamed):
            refuse(control, rule(), now)
        for _ in range(good):
            control.succeeded(now, 0)
        for _ in range(more):
            refuse(control, rule(), now)
        control.permit(now)
        rates.append(control.rate)
    first, second, third = rates
    assert first is not None
    assert second == pytest.approx(first / 2)
    assert third == second


def test_a_rule_may_say_that_all_is_well() -> None:
    control = path()
    refuse(control, rule(Action(Verb.BACKOFF)))
    refuse(control, rule(Action(Verb.NORMAL)))
    assert control.permit(NOW).state is PathState.NORMAL


# How states end.


def test_slow_ends_after_ten_clean_minutes() -> None:
    control = path()
    refuse(control, rule(category=RATE))
    refuse(control, rule(), NOW + 9 * MINUTE)
    assert control.permit(NOW + 10 * MINUTE).state is PathState.SLOW
    assert control.permit(NOW + 19 * MINUTE).state is PathState.NORMAL


def test_a_slow_path_does_not_get_more_connections() -> None:
    control = path()
    refuse(control, rule(Action(Verb.SLOW)))
    deliver(control, NOW + 1, 100)
    assert control.permit(NOW + 1).connections == UNLIMITED.start_connections


def test_backoff_has_limits_of_its_own_and_ends_by_time_as_slow() -> None:
    settings = replace(UNLIMITED, backoff=BackoffSettings(2, Rate(6, 60), Rate(1, 60), 1_800))
    control = path(replace(settings, start_connections=5))
    refuse(control, rule(Action(Verb.BACKOFF)))
    assert control.permit(NOW)[:3] == (PathState.BACKOFF, 2, True)
    assert control.rate == pytest.approx(6)
    control.take_connection(NOW)
    assert control.earliest_connection(NOW) == pytest.approx(NOW + 60)
    assert control.permit(NOW + 1_799).state is PathState.BACKOFF
    assert control.permit(NOW + 1_800).state is PathState.SLOW


def test_enough_clean_deliveries_end_backoff_sooner() -> None:
    control = path(replace(UNLIMITED, backoff=BackoffSettings(clean_deliveries=3)))
    refuse(control, rule(Action(Verb.BACKOFF)))
    deliver(control, NOW, 2)
    refuse(control, rule())
    deliver(control, NOW, 2)
    assert control.permit(NOW).state is PathState.BACKOFF
    deliver(control, NOW)
    assert control.permit(NOW).state is PathState.NORMAL


def test_backoff_that_hears_the_same_again_lasts_longer_without_a_strike() -> None:
    control = path()
    refuse(control, rule(Action(Verb.BACKOFF, 600)))
    refuse(control, rule(Action(Verb.BACKOFF, 600)), NOW + 300)
    assert control.permit(NOW + 300).until == NOW + 900
    assert control.record.strikes == 1


def test_silence_ends_in_a_probe_with_one_connection_and_five_messages() -> None:
    control = path()
    refuse(control, SUSPEND)
    assert not control.permit(NOW + 599).may_send
    assert control.earliest_message(NOW + 599) == NOW + 600
    now = NOW + 600
    assert control.permit(now)[:3] == (PathState.PROBE, 1, True)
    for _ in range(5):
        now = max(now, control.earliest_message(now))
        control.take_message(now, 1)
    assert control.earliest_message(now) > now + 5 * MINUTE
    control.succeeded(now, 1)
    assert control.permit(now).connections == 1
    for _ in range(4):
        control.succeeded(now, 1)
    assert control.permit(now)[:3] == (PathState.PROBE, 2, True)
    assert control.earliest_message(now + MINUTE) <= now + MINUTE


def test_three_clean_cohorts_end_a_probe_as_slow_and_then_normal() -> None:
    control = path()
    refuse(control, SUSPEND)
    now = NOW + 600
    deliver(control, now, 5 + 10 + 15)
    assert control.permit(now)[:2] == (PathState.SLOW, 3)
    assert control.permit(now + 10 * MINUTE).state is PathState.NORMAL


def test_a_probe_with_little_mail_is_believed_after_an_hour() -> None:
    control = path()
    refuse(control, SUSPEND)
    now = NOW + 600
    assert control.permit(now + 5 * HOUR).state is PathState.PROBE
    deliver(control, now + 5 * HOUR)
    assert control.permit(now + 6 * HOUR).state is PathState.SLOW


@pytest.mark.parametrize("trouble", ["reply", "connection", "lost"])
def test_a_probe_that_fails_is_silence_with_one_strike_more(trouble: str) -> None:
    control = path()
    refuse(control, SUSPEND)
    now = NOW + 600
    control.permit(now)
    if trouble == "reply":
        refuse(control, rule(), now)
    elif trouble == "connection":
        control.not_opened(now, Judgement(), SmtpReply(0, "timed out", Phase.CONNECT))
    else:
        control.lost(now, Phase.DATA)
    permit = control.permit(now)
    assert (permit.state, permit.until) == (PathState.SUSPENDED, now + 600 * 4)
    assert control.record.strikes == 2


def test_a_probe_counts_answers_about_a_recipient_as_clean() -> None:
    control = path()
    refuse(control, SUSPEND)
    now = NOW + 600
    for _ in range(5):
        control.take_message(now, 1)
        refuse(control, rule(scope=Scope.MESSAGE), now)
    assert control.permit(now).connections == 2


@pytest.mark.parametrize("how", ["slow", "refund", "domain"])
def test_a_probe_is_not_stuck_by_what_says_nothing(how: str) -> None:
    control = path()
    refuse(control, SUSPEND)
    now = NOW + 600
    control.permit(now)
    for _ in range(20):
        now = max(now + MINUTE, control.earliest_message(now))
        control.take_message(now, 1)
        if how == "slow":
            control.too_slow(now)
        elif how == "refund":
            control.refund_message(1)
        else:
            refuse(control, rule(scope=Scope.DOMAIN), now)
    assert now < NOW + HOUR
    assert control.permit(now)[:2] == (PathState.PROBE, 1)


def test_a_probe_whose_answers_never_come_tries_again() -> None:
    control = path()
    refuse(control, SUSPEND)
    now = NOW + 600
    control.permit(now)
    for _ in range(5):
        now = max(now, control.earliest_message(now))
        control.take_message(now, 1)
    again = control.earliest_message(now)
    assert now < again < inf
    control.take_message(again, 1)
    assert control.earliest_message(again + MINUTE) <= again + MINUTE


def test_disabled_ends_by_time_as_a_probe() -> None:
    control = path()
    refuse(control, rule(Action(Verb.DISABLE_ADDRESS, DAY)))
    assert control.permit(NOW + DAY - 1).state is PathState.DISABLED
    assert control.permit(NOW + DAY).state is PathState.PROBE


def test_an_address_disabled_again_is_so_for_longer() -> None:
    control = path()
    disable = rule(Action(Verb.DISABLE_ADDRESS, 4 * HOUR), category=BLOCK)
    refuse(control, disable)
    again = NOW + 4 * HOUR
    assert control.permit(again).state is PathState.PROBE
    refuse(control, disable, again)
    assert control.permit(again).until == again + 16 * HOUR


def test_disabled_without_a_time_ends_by_order_only() -> None:
    control = path()
    refuse(control, rule(Action(Verb.DISABLE_ADDRESS)))
    deliver(control, NOW, 100)
    refuse(control, SUSPEND)
    refuse(control, rule(Action(Verb.NORMAL)))
    assert control.permit(NOW + 365 * DAY).state is PathState.DISABLED
    assert control.earliest_message(NOW + 365 * DAY) == inf
    control.ordered(NOW + 365 * DAY, PathState.NORMAL, None, "delisted", "ann")
    assert control.permit(NOW + 365 * DAY).may_send


# Durations.


@pytest.mark.parametrize(
    ("category", "base", "minutes"),
    [
        (RATE, 600, [10, 40, 90, 160, 240, 240]),
        (RATE, 7_200, [120, 240, 240]),
        (BLOCK, 3_600, [60, 240, 540, 960, 1_440, 1_440]),
        (RATE, 43_200, [720, 720]),  # what the rule says is never shortened
    ],
)
def test_silence_grows_with_the_square_of_strikes_up_to_a_cap(
    category: Category, base: float, minutes: list[int]
) -> None:
    control, now, waited = path(), NOW, []
    for _ in minutes:
        refuse(control, rule(Action(Verb.SUSPEND, base), category=category), now)
        until = control.permit(now).until
        assert until is not None
        waited.append((until - now) / 60)
        now = until
        control.permit(now)
    assert waited == minutes


def test_a_strike_is_forgiven_for_each_clean_six_hours() -> None:
    control = path()
    now = NOW
    for _ in range(3):
        refuse(control, SUSPEND, now)
        now = control.permit(now).until or now
        control.permit(now)
    assert control.explain(now + 6 * HOUR - 1)["strikes"] == 3
    assert control.explain(now + 6 * HOUR)["strikes"] == 2
    refuse(control, SUSPEND, now + 12 * HOUR)
    assert control.record.strikes == 2


def test_answers_to_what_was_under_way_are_no_strikes() -> None:
    control = path()
    for second in range(10):
        refuse(control, SUSPEND, NOW + second)
    assert control.record.strikes == 1
    assert control.permit(NOW + 10).until == NOW + 609


def test_a_hint_in_the_reply_makes_silence_longer() -> None:
    control = path()
    refuse(control, replace(SUSPEND, retry_after=1_800.0))
    assert control.permit(NOW).until == NOW + 1_800


def test_after_silence_the_rate_is_a_quarter() -> None:
    control = path(replace(UNLIMITED, message_rate=Rate(40, 60)))
    refuse(control, SUSPEND)
    control.permit(NOW + 600)
    assert control.rate == pytest.approx(10)


# Connections.


def test_a_cold_address_begins_with_one_connection() -> None:
    assert path(warm=False).permit(NOW).connections == 1


def test_connection_trouble_costs_one_connection_and_a_pause() -> None:
    control = path(replace(UNLIMITED, start_connections=5))
    control.not_opened(NOW, Judgement(), SmtpReply(421, "too many", Phase.BANNER))
    assert control.permit(NOW).connections == 4
    assert NOW < control.earliest_connection(NOW) <= NOW + 1
    control.opened(NOW)
    assert control.earliest_connection(NOW) <= NOW


def test_hosts_that_are_down_are_probed_ever_more_rarely_and_without_strikes() -> None:
    control, now, waited = path(), NOW, []
    dead = SmtpReply(0, "timed out", Phase.CONNECT)
    while len(waited) < 12:
        permit = control.permit(now)
        if permit.may_send:
            now = max(now, control.earliest_connection(now))
            control.not_opened(now, Judgement(category=Category.NO_ANSWER), dead)
        else:
            assert permit.until is not None
            waited.append(permit.until - now)
            now = permit.until
    assert waited == sorted(waited)
    assert waited[-1] == 1_800
    assert control.record.strikes == 0
    control.opened(now)
    deliver(control, now, 30)
    assert control.permit(now).state is PathState.SLOW


@pytest.mark.parametrize("category", [Category.DNS, Category.TLS_POLICY])
def test_trouble_with_a_domains_policy_or_names_is_not_the_paths(category: Category) -> None:
    control = path()
    for _ in range(10):
        control.not_opened(NOW, Judgement(category=category), SmtpReply(0, "no", Phase.CONNECT))
    assert control.permit(NOW)[:2] == (PathState.NORMAL, 2)


def test_connections_that_fail_now_and_then_are_not_dead_hosts() -> None:
    control = path(replace(UNLIMITED, start_connections=5))
    for _ in range(20):
        control.not_opened(NOW, Judgement(), SmtpReply(421, "too many", Phase.BANNER))
        deliver(control, NOW, 10)
    assert control.permit(NOW).state is PathState.NORMAL


def test_a_drop_before_mail_costs_a_connection_and_a_later_one_does_not() -> None:
    control = path(replace(UNLIMITED, start_connections=5))
    control.lost(NOW, Phase.DATA)
    assert control.permit(NOW).connections == 5
    control.lost(NOW, Phase.EHLO)
    assert control.permit(NOW).connections == 4


@pytest.mark.parametrize(
    ("code", "phase", "left"),
    [
        (421, Phase.MAIL, 4),
        (0, Phase.MAIL, 4),
        (450, Phase.MAIL, 5),
        (421, Phase.RCPT, 5),
        (0, Phase.DATA, 5),
    ],
)
def test_a_connection_that_is_ended_at_mail_costs_one(code: int, phase: Phase, left: int) -> None:
    control = path(replace(UNLIMITED, start_connections=5))
    control.refused(NOW, rule(), SmtpReply(code, "closing", phase), 5)
    assert control.permit(NOW).connections == left


def test_a_banner_with_a_rule_is_obeyed() -> None:
    control = path()
    control.not_opened(NOW, SUSPEND, SmtpReply(421, "go away", Phase.BANNER))
    assert control.permit(NOW).until == NOW + 600


def test_connections_are_opened_no_faster_than_the_ramp_and_the_rate() -> None:
    control = path(replace(UNLIMITED, ramp_interval=5.0))
    control.take_connection(NOW)
    assert control.earliest_connection(NOW) == NOW + 5
    control = path(replace(UNLIMITED, connection_rate=Rate(6, 60)))
    control.take_connection(NOW)
    assert control.earliest_connection(NOW) == pytest.approx(NOW + 10)


def test_octets_are_limited_and_a_large_message_still_goes() -> None:
    control = path(replace(UNLIMITED, byte_rate=Rate(1_000)))
    assert control.earliest_message(NOW, 50_000) <= NOW
    control.take_message(NOW, 50_000)
    assert control.earliest_message(NOW, 50_000) == pytest.approx(NOW + 50)
    control.refund_message(50_000)
    assert control.earliest_message(NOW, 1) <= NOW


def test_messages_per_connection_are_learned_downward_at_once_and_upward_by_the_day() -> None:
    control = path()
    control.carried(20, NOW)
    assert control.messages_per_connection == 20
    control.carried(50, NOW)
    assert control.messages_per_connection == 20
    control.opened(NOW + DAY - 1)
    assert control.messages_per_connection == 20
    control.opened(NOW + DAY)
    control.opened(NOW + DAY)
    assert control.messages_per_connection == 22
    control.carried(0, NOW + DAY)
    assert control.messages_per_connection == 1
    for day in range(2, 100):
        control.opened(NOW + day * DAY)
    assert control.messages_per_connection == UNLIMITED.messages_per_connection


# Orders, settings, what can be seen.


def test_an_order_is_obeyed_until_its_time() -> None:
    control = path()
    control.ordered(NOW, PathState.SUSPENDED, NOW + 60, "maintenance there", "ann")
    (change,) = control.take_changes()
    assert (change.by, change.reply, change.until) == ("ann", "maintenance there", NOW + 60)
    assert not control.permit(NOW + 59).may_send
    assert control.permit(NOW + 60).state is PathState.PROBE


def test_a_backoff_by_order_is_not_ended_by_deliveries_or_replies() -> None:
    control = path()
    control.ordered(NOW, PathState.BACKOFF, None, "careful", "ann")
    deliver(control, NOW, 100)
    refuse(control, rule(Action(Verb.NORMAL)))
    assert control.permit(NOW + DAY).state is PathState.BACKOFF


def test_normal_by_order_forgets_what_was_learned() -> None:
    control = path(replace(UNLIMITED, message_rate=Rate(40, 60), start_connections=4))
    refuse(control, rule(Action(Verb.ONE_CONNECTION, HOUR)))
    refuse(control, SUSPEND)
    control.ordered(NOW, PathState.NORMAL, None, "their fault", "ann")
    assert control.permit(NOW)[:3] == (PathState.NORMAL, 4, True)
    assert control.rate == pytest.approx(40)
    assert control.record.strikes == 0


def test_new_settings_hold_at_once() -> None:
    control = path(replace(UNLIMITED, start_connections=8))
    control.reconfigure(replace(UNLIMITED, connections=3, message_rate=Rate(1, 60)), NOW)
    assert control.permit(NOW).connections == 3
    control.take_message(NOW, 1)
    assert control.earliest_message(NOW) == pytest.approx(NOW + 60)


def test_each_change_of_state_is_told_once_with_its_reason() -> None:
    control = path()
    refuse(control, SUSPEND)
    control.permit(NOW + 600)
    first, second = control.take_changes()
    assert (first.before, first.after) == (PathState.NORMAL, PathState.SUSPENDED)
    assert (first.cause.rule, first.reply) == ("some-rule", str(REPLY))
    assert (second.before, second.after) == (PathState.SUSPENDED, PathState.PROBE)
    assert control.take_changes() == ()


def test_a_sample_of_the_reply_is_kept_but_not_all_of_it() -> None:
    control = path()
    control.refused(NOW, SUSPEND, SmtpReply(421, "x" * 5_000, Phase.MAIL), 1)
    assert len(control.record.cause.reply) == 300


@pytest.mark.parametrize(
    ("settings", "do", "binds"),
    [
        (UNLIMITED, "", "nothing"),
        (UNLIMITED, "suspend", "suspended: some-rule"),
        (UNLIMITED, "fail", "a connection failed just now"),
        (UNLIMITED, "deliver", "connections: 2 (window)"),
        (replace(UNLIMITED, connections=2), "deliver", "connections: 2 (settings)"),
        (replace(UNLIMITED, message_rate=Rate(1, 60)), "deliver", "message rate 1/"),
        (replace(UNLIMITED, byte_rate=Rate(1, 60)), "deliver", "byte rate 1/"),
        (replace(UNLIMITED, ramp_interval=9.0), "connect", "connection rate"),
    ],
)
def test_what_binds_a_path_is_named(settings: PathSettings, do: str, binds: str) -> None:
    control = path(settings)
    if do == "suspend":
        refuse(control, SUSPEND)
    elif do == "fail":
        control.not_opened(NOW, Judgement(), SmtpReply(0, "refused", Phase.CONNECT))
    elif do == "deliver":
        deliver(control, NOW)
    elif do == "connect":
        control.take_connection(NOW)
    assert control.binding(NOW).startswith(binds)
    assert json.dumps(control.explain(NOW))


# What is kept.


def test_a_path_goes_on_after_a_restart_where_it_was() -> None:
    control = path(replace(UNLIMITED, message_rate=Rate(600, 60)))
    deliver(control, NOW, 12)
    refuse(control, rule(Action(Verb.BACKOFF, 1_200), category=RATE))
    control.carried(7, NOW)
    kept = load(json.loads(json.dumps(dump(control.record))))
    again = path(replace(UNLIMITED, message_rate=Rate(600, 60)), kept)
    assert again.record == control.record
    assert again.permit(NOW + 60) == control.permit(NOW + 60)
    assert again.messages_per_connection == 7
    assert again.permit(NOW + 1_200).state is PathState.SLOW


def test_a_silence_that_ended_while_nobody_looked_is_a_probe() -> None:
    control = path()
    refuse(control, SUSPEND)
    again = PathControl(KEY, UNLIMITED, NOW + DAY, control.record)
    assert again.permit(NOW + DAY)[:2] == (PathState.PROBE, 1)


def test_a_window_that_was_learned_long_ago_is_not_believed() -> None:
    control = path()
    deliver(control, NOW, 200)
    assert control.record.window == 10
    assert PathControl(KEY, UNLIMITED, NOW + 2 * DAY, control.record).record.window == 2


def test_a_row_of_another_version_is_read() -> None:
    assert load({}) == PathRecord()
    assert load({"state": "hibernating", "until": 5.0}).state is PathState.BACKOFF
    assert load({"state": "slow", "cause": None, "counters": None, "new": 1}).strikes == 0


def test_the_version_tells_what_is_worth_writing() -> None:
    control = path()
    version = control.version
    assert version == 0  # a path that nothing is known of needs no row
    control.take_message(NOW, 1)
    control.succeeded(NOW, 0)
    assert control.version == version
    refuse(control, SUSPEND)
    assert control.version > version


def test_an_idle_path_that_nothing_is_known_of_may_be_forgotten() -> None:
    control = path()
    deliver(control, NOW, 10)
    assert not control.forgettable(NOW + HOUR - 1)
    assert control.forgettable(NOW + HOUR)


@pytest.mark.parametrize("what", ["strike", "learned", "order", "debt"])
def test_what_a_path_has_learned_is_not_forgotten(what: str) -> None:
    control = path(replace(UNLIMITED, byte_rate=Rate(1)))
    if what == "strike":
        refuse(control, SUSPEND)
    elif what == "learned":
        control.carried(3, NOW)
    elif what == "order":
        control.ordered(NOW, PathState.NORMAL, None, "watched", "ann")
    else:
        control.take_message(NOW, 10_000)
    deliver(control, NOW + 600, 30)
    assert not control.forgettable(NOW + 2 * HOUR)
