"""Rate limiters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress.core.engine.gcra import Gcra, acquire
from mailroom.domain.sending.rate import Rate

NOW = 1_800_000_000.0


def passed(limiter: Gcra, seconds: float, amount: float = 1.0) -> list[float]:
    """Return when things went, by somebody who takes as much as he can for so long."""
    times, now = [], NOW
    while (when := max(now, limiter.earliest(now, amount))) <= NOW + seconds:
        limiter.take(when, amount)
        times.append(when)
        now = when
    return times


def test_without_a_rate_everything_goes_now() -> None:
    limiter = Gcra(None)
    for _ in range(1_000):
        assert limiter.earliest(NOW) <= NOW
        limiter.take(NOW)


@pytest.mark.parametrize(
    ("rate", "burst", "seconds", "count"),
    [
        (Rate(1, 60), 1.0, 300, 6),  # one at once, then one each minute
        (Rate(100, 60), 1.0, 60, 101),
        (Rate(10), 5.0, 10, 105),
        (Rate(20_000, 86_400), 1.0, 86_400, 20_001),
    ],
)
def test_what_goes_is_the_rate_and_the_burst_once(
    rate: Rate, burst: float, seconds: float, count: int
) -> None:
    assert abs(len(passed(Gcra(rate, burst), seconds)) - count) <= 1


def test_an_amount_above_the_burst_goes_and_is_worked_off_after() -> None:
    limiter = Gcra(Rate(1_000), burst=1_000)
    assert limiter.earliest(NOW, 60_000) <= NOW
    limiter.take(NOW, 60_000)
    assert limiter.earliest(NOW, 60_000) == pytest.approx(NOW + 60)
    assert len(passed(limiter, 600, 60_000)) == 10


def test_nothing_can_go_while_a_debt_is_worked_off() -> None:
    limiter = Gcra(Rate(1_000), burst=1_000)
    limiter.take(NOW, 60_000)
    assert limiter.earliest(NOW, 0) == pytest.approx(NOW + 59)


def test_what_is_refunded_may_be_taken_again() -> None:
    limiter = Gcra(Rate(1, 60))
    limiter.take(NOW)
    limiter.refund(1)
    assert limiter.earliest(NOW) <= NOW


def test_another_rate_holds_for_what_is_not_worked_off() -> None:
    limiter = Gcra(Rate(1))
    limiter.take(NOW, 10)
    limiter.change(Rate(1, 2), NOW)
    assert limiter.earliest(NOW) == pytest.approx(NOW + 20)
    limiter.change(None, NOW)
    assert limiter.earliest(NOW) <= NOW


def test_a_limiter_goes_on_from_a_snapshot() -> None:
    first = Gcra(Rate(1, 60))
    first.take(NOW)
    second = Gcra(Rate(1, 60))
    second.tat = first.tat
    assert second.earliest(NOW) == pytest.approx(NOW + 60)


def test_all_limiters_are_taken_or_none_is() -> None:
    free, full = Gcra(Rate(1)), Gcra(Rate(1, 60))
    full.take(NOW)
    assert acquire([(free, 1), (full, 1)], NOW) == pytest.approx(NOW + 60)
    assert free.earliest(NOW) <= NOW
    assert acquire([(free, 1), (full, 1)], NOW + 61) is None
    assert free.earliest(NOW + 61) > NOW + 61
    assert acquire([], NOW) is None


@given(
    amount=st.floats(0.01, 1_000),
    seconds=st.floats(0.1, 86_400),
    burst=st.floats(1, 100),
    gaps=st.lists(st.tuples(st.floats(0, 1_000), st.floats(0.1, 200)), max_size=50),
)
def test_in_no_stretch_of_time_goes_more_than_burst_rate_and_one_thing(
    amount: float, seconds: float, burst: float, gaps: list[tuple[float, float]]
) -> None:
    limiter, now, went = Gcra(Rate(amount, seconds), burst), NOW, []
    for gap, size in gaps:
        now += gap
        if limiter.earliest(now, size) <= now:
            limiter.take(now, size)
            went.append((now, size))
    for first in range(len(went)):
        total = 0.0
        for at, size in went[first:]:
            allowed = burst + (at - went[first][0]) * amount / seconds
            # The last thing may be larger than the burst: it went when the limiter was rested.
            assert total <= allowed * 1.000_001 + max(went[first][1], 1e-3)
            total += size
