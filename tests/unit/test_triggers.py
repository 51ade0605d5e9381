"""When something has happened often enough to act on it."""

import pytest

from egress.core.engine.triggers import Shares, Sliding, Triggers
from mailroom.domain.sending.judgement import Trigger

NOW = 1_800_000_000.0


def test_most_rules_act_at_once() -> None:
    triggers = Triggers()
    assert all(triggers.fires("r", Trigger(), NOW) for _ in range(3))


def test_a_count_fires_within_its_window_and_begins_again() -> None:
    triggers, rule = Triggers(), Trigger(count=3, window=60)
    assert [triggers.fires("r", rule, NOW + at) for at in (0, 10, 20, 30, 40, 50)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]


def test_a_count_slides() -> None:
    triggers, rule = Triggers(), Trigger(count=3, window=60)
    assert not any(triggers.fires("r", rule, NOW + at) for at in (0, 50, 100, 150, 200))
    assert triggers.fires("r", rule, NOW + 215) is False
    assert triggers.fires("r", rule, NOW + 216) is True


def test_rules_are_counted_apart() -> None:
    triggers, rule = Triggers(), Trigger(count=2, window=60)
    assert not triggers.fires("a", rule, NOW)
    assert not triggers.fires("b", rule, NOW)
    assert triggers.fires("a", rule, NOW)


def test_only_so_many_rules_are_remembered() -> None:
    triggers, rule = Triggers(most=2), Trigger(count=2, window=60)
    for name in ("a", "b", "c"):
        triggers.fires(name, rule, NOW)
    assert not triggers.fires("a", rule, NOW)
    assert triggers.fires("c", rule, NOW)


@pytest.mark.parametrize(
    ("good", "bad", "fires"),
    [(40, 5, False), (30, 30, True), (95, 5, False), (80, 20, True)],
)
def test_a_share_needs_attempts_enough(good: int, bad: int, fires: bool) -> None:
    triggers, attempts = Triggers(), Sliding()
    rule = Trigger(window=300, ratio=0.2, least=50)
    for _ in range(good):
        attempts.count(NOW)
    fired = False
    for _ in range(bad):
        attempts.count(NOW)
        fired = triggers.fires("r", rule, NOW, attempts) or fired
    assert fired is fires


def test_where_nobody_counts_attempts_a_share_is_a_count() -> None:
    triggers, rule = Triggers(), Trigger(window=300, ratio=0.1, least=20)
    assert [triggers.fires("r", rule, NOW) for _ in range(2)] == [False, True]


def test_old_attempts_leave_a_sliding_count() -> None:
    sliding = Sliding()
    for minute in range(60):
        sliding.count(NOW + 60 * minute)
    end = NOW + 59 * 60
    assert sliding.total(end, 300) == 5
    assert sliding.total(end + 240, 300) == 1
    assert sliding.total(end + 3_600, 300) == 0


def test_a_clock_that_stands_still_does_not_lose_counts() -> None:
    sliding = Sliding()
    sliding.count(NOW)
    sliding.count(NOW - 100)
    assert sliding.total(NOW, 300) == 2


def test_shares_speak_from_fifty_attempts_on() -> None:
    shares = Shares()
    for _ in range(49):
        shares.count(NOW, blamed=True)
    assert shares.ratio(NOW) == 0
    shares.count(NOW, blamed=False)
    assert shares.ratio(NOW) == pytest.approx(0.98)
    assert shares.ratio(NOW + 600) == 0
    shares.clear()
    assert shares.ratio(NOW) == 0
