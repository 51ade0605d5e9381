"""When a webhook is called again."""

from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.notify_retry import MAX_HOP, RETRY_MINUTES, hop, retry_delay


def test_the_table_is_postals_and_goes_on():
    minutes = [retry_delay(tries) / 60 for tries in range(1, 12)]
    assert minutes == [2, 3, 6, 10, 15, 30, 60, 120, 240, 480, 960]


def test_after_the_last_there_is_none():
    assert retry_delay(len(RETRY_MINUTES) + 1) is None


def test_a_divisor_shortens_to_whole_seconds_and_never_below_one():
    assert [retry_delay(1, divisor=d) for d in (60, 50, 1000)] == [2, 3, 1]


@given(tries=st.integers(1, 11), divisor=st.floats(0.01, 1e6))
def test_every_delay_is_a_positive_whole_number(tries, divisor):
    delay = retry_delay(tries, divisor=divisor)
    assert isinstance(delay, int)
    assert delay >= 1
    assert delay >= RETRY_MINUTES[tries - 1] * 60 / divisor


@given(now=st.floats(0, 2e9), wait=st.floats(-1e6, 1e6))
def test_hops_reach_the_moment_and_never_come_before_it(now, wait):
    not_before, hops = now + wait, 0
    while now < not_before:
        step = hop(now, not_before)
        assert 0 < step <= MAX_HOP
        now, hops = now + step, hops + 1
        assert hops <= wait / MAX_HOP + 2
    assert hop(now, not_before) == 0
