"""How many messages a minute a path may send."""

import pytest

from egress.core.engine.pace import Pace
from mailroom.domain.sending.rate import Rate

NOW = 1_800_000_000.0
TEN_A_SECOND = Rate(600, 60)


def busy(configured: Rate | None = TEN_A_SECOND) -> Pace:
    """Return the pace of a path that sent 600 in the last minute."""
    pace = Pace(configured, NOW)
    for _ in range(600):
        pace.sent(NOW)
    return pace


def test_it_is_halved_at_most_once_a_minute() -> None:
    pace = busy()
    assert pace.cut(NOW)
    assert pace.per_minute == 300
    assert not pace.cut(NOW + 59)
    assert pace.cut(NOW + 60)
    assert pace.per_minute is not None
    assert pace.per_minute <= 150


def test_it_rises_by_a_twentieth_of_what_is_configured_for_each_clean_minute() -> None:
    pace = busy()
    pace.cut(NOW)
    assert not pace.clean(NOW + 59)
    now, rates = NOW, []
    for _ in range(3):
        now += 60
        for _ in range(300):
            pace.sent(now)
        pace.clean(now)
        pace.clean(now)
        rates.append(pace.per_minute)
    assert rates == [330, 360, 390]


def test_it_never_rises_above_what_is_configured() -> None:
    pace = busy()
    pace.cut(NOW)
    for minute in range(1, 60):
        for _ in range(600):
            pace.sent(NOW + minute * 60)
        pace.clean(NOW + minute * 60)
    assert pace.per_minute == 600


def test_it_does_not_rise_without_demand() -> None:
    pace = busy()
    pace.cut(NOW)
    assert not pace.clean(NOW + 600)
    assert pace.per_minute == 300


def test_a_small_rate_rises_by_one_a_minute() -> None:
    pace = Pace(Rate(4, 60), NOW)
    pace.cut(NOW)
    assert pace.per_minute == 2
    pace.sent(NOW + 30)
    pace.sent(NOW + 60)
    pace.clean(NOW + 60)
    assert pace.per_minute == 3


def test_a_large_limit_that_nobody_reaches_is_cut_from_what_really_went() -> None:
    pace = Pace(Rate(100), NOW)
    for _ in range(200):
        pace.sent(NOW)
    pace.cut(NOW)
    assert pace.per_minute == 100


def test_a_path_without_limit_gets_one_by_a_cut_and_loses_it_after_clean_hours() -> None:
    pace = busy(None)
    assert pace.rate is None
    pace.cut(NOW)
    assert pace.per_minute == 300
    later = NOW + 6 * 3_600
    for _ in range(300):
        pace.sent(later)
    pace.clean(later)
    assert pace.rate is None


def test_a_rate_that_a_rule_names_is_a_ceiling_that_rises_again() -> None:
    pace = busy()
    assert pace.limit(Rate(10, 60), NOW)
    assert pace.per_minute == 10
    assert not pace.limit(Rate(20, 60), NOW)
    for _ in range(10):
        pace.sent(NOW + 60)
    pace.clean(NOW + 60)
    assert pace.per_minute == 12


def test_after_silence_it_begins_at_a_quarter() -> None:
    pace = busy()
    pace.quarter(NOW)
    assert pace.per_minute == 150


@pytest.mark.parametrize(("configured", "least"), [(Rate(600, 60), 1.0), (Rate(6, 3_600), 0.1)])
def test_it_never_falls_below_one_a_minute_or_what_is_configured(
    configured: Rate, least: float
) -> None:
    pace = Pace(configured, NOW)
    for minute in range(30):
        pace.cut(NOW + 60 * minute)
    assert pace.per_minute == pytest.approx(least)


def test_other_settings_are_followed_by_a_rate_that_was_not_cut() -> None:
    pace = Pace(Rate(100, 60), NOW)
    pace.reconfigure(Rate(200, 60))
    assert pace.per_minute == 200
    pace.cut(NOW)
    cut = pace.per_minute
    pace.reconfigure(Rate(400, 60))
    assert pace.per_minute == cut
    pace.reconfigure(Rate(10, 60))
    assert pace.per_minute == 10
    pace.restore()
    assert pace.per_minute == 10


def test_a_message_that_did_not_go_is_not_counted() -> None:
    pace = Pace(None, NOW)
    pace.sent(NOW)
    pace.unsent()
    pace.unsent()
    assert pace.observed(NOW) == 0


def test_what_went_fades_over_a_minute() -> None:
    pace = busy()
    assert pace.observed(NOW + 90) == pytest.approx(300)
    assert pace.observed(NOW + 120) == 0
