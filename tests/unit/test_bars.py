"""What is barred beyond one path."""

import json
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress.core.engine.bars import ANYWHERE, Bar, BarKey, Bars, BarScope, dump, load
from egress.core.engine.path_control import PathControl
from egress.core.engine.path_record import PathState
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
from mailroom.domain.sending.settings import PathSettings

NOW = 1_800_000_000.0
HOUR = 3_600.0
REPLY = SmtpReply(550, "5.7.26 unauthenticated", Phase.DOT)
AT_ONCE = Trigger()


def judged(
    scope: Scope,
    verb: Verb,
    seconds: float = HOUR,
    *,
    category: Category = Category.AUTHENTICATION,
    trigger: Trigger = AT_ONCE,
) -> Judgement:
    return Judgement(scope, category, (Action(verb, seconds),), trigger, rule="a-rule")


def apply(
    bars: Bars, judgement: Judgement, now: float = NOW, provider: str = "google", **who: str
) -> Bar | None:
    given = {"address": "a", "domain": "d.example", "tenant": "t", "campaign": "spring"} | who
    return bars.apply(judgement, REPLY, provider=provider, now=now, **given)


DOMAIN = judged(Scope.DOMAIN, Verb.DEFER_TENANT)
TENANT = judged(Scope.TENANT, Verb.DEFER_TENANT)
ADDRESS = judged(Scope.ADDRESS, Verb.DISABLE_ADDRESS, 0)
CAMPAIGN = judged(Scope.TENANT, Verb.HOLD_CAMPAIGN)


@pytest.mark.parametrize(
    ("judgement", "at", "until"),
    [
        (DOMAIN, BarKey(BarScope.DOMAIN, "d.example", "google"), NOW + HOUR),
        (TENANT, BarKey(BarScope.TENANT, "t", "google"), NOW + HOUR),
        (ADDRESS, BarKey(BarScope.ADDRESS, "a", "google"), inf),
        (
            judged(Scope.ADDRESS, Verb.SUSPEND),
            BarKey(BarScope.ADDRESS, "a", "google"),
            NOW + HOUR,
        ),
        (
            judged(Scope.CONFIGURATION, Verb.DISABLE_ADDRESS),
            BarKey(BarScope.ADDRESS, "a", ANYWHERE),
            NOW + HOUR,
        ),
        (CAMPAIGN, BarKey(BarScope.CAMPAIGN, "t/spring", ANYWHERE), NOW + HOUR),
    ],
)
def test_a_reply_bars_whom_it_is_about(judgement: Judgement, at: BarKey, until: float) -> None:
    bar = apply(Bars(), judgement)
    assert bar is not None
    assert (bar.at, bar.until, bar.rule, bar.reply) == (at, until, "a-rule", str(REPLY))


@pytest.mark.parametrize(
    ("judgement", "provider", "who"),
    [
        (judged(Scope.PATH, Verb.SUSPEND), "google", {}),
        (judged(Scope.PATH, Verb.DISABLE_ADDRESS), "google", {}),
        (judged(Scope.MESSAGE, Verb.DEFER_TENANT), "google", {}),
        (judged(Scope.DOMAIN, Verb.ALERT), "google", {}),
        (DOMAIN, "google", {"domain": ""}),
        (TENANT, "google", {"tenant": ""}),
        (CAMPAIGN, "google", {"campaign": ""}),
        # Most of the world has no provider of its own: nobody is barred from all of it.
        (DOMAIN, "other", {}),
        (TENANT, "other", {}),
        (ADDRESS, "other", {}),
    ],
)
def test_other_replies_bar_nobody(judgement: Judgement, provider: str, who: dict[str, str]) -> None:
    assert apply(Bars(), judgement, provider=provider, **who) is None


def test_a_bar_holds_for_its_own_only_and_until_its_time() -> None:
    bars = Bars()
    apply(bars, TENANT)
    apply(bars, DOMAIN)
    assert bars.of_job("d.example", "x", "", "google", NOW) is not None
    assert bars.of_job("x.example", "t", "", "google", NOW) is not None
    assert bars.of_job("x.example", "x", "", "google", NOW) is None
    assert bars.of_job("d.example", "t", "", "yahoo", NOW) is None
    assert bars.of_job("d.example", "t", "", "google", NOW + HOUR) is None
    assert bars.of_address("a", "google", NOW) is None


def test_a_held_campaign_is_that_tenants_and_is_held_everywhere() -> None:
    bars = Bars()
    apply(bars, CAMPAIGN)
    assert bars.of_job("x.example", "t", "spring", "yahoo", NOW) is not None
    assert bars.of_job("x.example", "t", "autumn", "yahoo", NOW) is None
    assert bars.of_job("x.example", "u", "spring", "yahoo", NOW) is None


def test_the_longest_bar_counts() -> None:
    bars = Bars()
    apply(bars, judged(Scope.TENANT, Verb.DEFER_TENANT, 60))
    apply(bars, DOMAIN)
    bar = bars.of_job("d.example", "t", "", "google", NOW)
    assert bar is not None
    assert bar.at.scope is BarScope.DOMAIN


def test_an_address_barred_everywhere_is_barred_at_each_provider() -> None:
    bars = Bars()
    apply(bars, judged(Scope.CONFIGURATION, Verb.DISABLE_ADDRESS))
    assert bars.of_address("a", "yahoo", NOW) is not None
    assert bars.of_address("b", "yahoo", NOW) is None


@pytest.mark.parametrize("scope", [Scope.DOMAIN, Scope.TENANT])
def test_what_bars_a_tenant_or_a_domain_never_closes_a_path(scope: Scope) -> None:
    control = PathControl(PathKey("a", "google"), PathSettings(), NOW)
    judgement = judged(scope, Verb.DEFER_TENANT)
    for _ in range(200):
        control.refused(NOW, judgement, REPLY, 1)
    assert apply(Bars(), judgement) is not None
    assert control.permit(NOW).state is PathState.NORMAL
    assert control.permit(NOW).may_send


def test_mail_that_was_under_way_makes_no_strikes_and_is_not_worth_a_write() -> None:
    bars = Bars()
    apply(bars, DOMAIN)
    assert apply(bars, DOMAIN, NOW + 1) is None
    later = apply(bars, DOMAIN, NOW + 1_800)
    assert later is not None
    assert (later.until, later.strikes) == (NOW + 1_800 + HOUR, 1)
    assert apply(bars, judged(Scope.DOMAIN, Verb.DEFER_TENANT, 60), NOW + 1_801) is None


def test_bars_that_come_again_last_longer_up_to_a_day() -> None:
    bars, now, hours = Bars(), NOW, []
    for _ in range(6):
        bar = apply(bars, DOMAIN, now)
        assert bar is not None
        hours.append((bar.until - now) / HOUR)
        now = bar.until
    assert hours == [1, 4, 9, 16, 24, 24]


def test_strikes_are_forgiven_with_time_and_the_bar_is_forgotten() -> None:
    bars = Bars()
    apply(bars, DOMAIN)
    assert bars.expire(NOW + 6 * HOUR) == ()
    at = BarKey(BarScope.DOMAIN, "d.example", "google")
    assert bars.expire(NOW + 7 * HOUR) == (at,)
    bar = apply(bars, DOMAIN, NOW + 7 * HOUR)
    assert bar is not None
    assert bar.strikes == 1


def test_a_rule_with_a_count_bars_at_that_count_for_each_by_itself() -> None:
    bars = Bars()
    often = judged(Scope.DOMAIN, Verb.DEFER_TENANT, trigger=Trigger(2, 60))
    assert apply(bars, often) is None
    assert apply(bars, often, domain="e.example") is None
    assert apply(bars, often) is not None


def test_a_person_bars_and_lifts() -> None:
    bars = Bars()
    at = BarKey(BarScope.ADDRESS, "a", "google")
    bar = bars.order(at, inf, "listed", "ann", NOW)
    assert (bar.by, bar.reason) == ("ann", "address a barred at google: listed")
    assert bars.all(NOW) == (bar,)
    assert bars.lift(at) == bar
    assert bars.lift(at) is None
    assert bars.of_address("a", "google", NOW) is None


def test_bars_are_read_back_as_they_were_written() -> None:
    bars = Bars()
    for judgement in (DOMAIN, TENANT, ADDRESS, CAMPAIGN):
        apply(bars, judgement)
    rows = [json.loads(json.dumps(dump(bar))) for bar in bars.all(NOW)]
    again = Bars()
    again.replace(load(row) for row in rows)
    assert again.all(NOW) == bars.all(NOW)


def test_a_row_from_before_a_field_existed_is_read() -> None:
    bar = load({"scope": "tenant", "key": "t", "provider": "google"})
    assert (bar.until, bar.strikes, bar.by) == (inf, 1, "engine")


@given(st.lists(st.tuples(st.sampled_from([0.0, 5.0, 4_000.0]), st.booleans()), max_size=60))
def test_a_bar_never_gets_shorter_by_a_reply(steps: list[tuple[float, bool]]) -> None:
    bars, now, promised = Bars(), NOW, 0.0
    for seconds, strike in steps:
        now += seconds
        if strike:
            apply(bars, DOMAIN, now)
        bar = bars.of_job("d.example", "t", "", "google", now)
        assert (bar is not None) is (promised > now) or strike
        if bar is not None:
            assert bar.until >= promised
            promised = bar.until
