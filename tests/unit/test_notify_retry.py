"""When a webhook is called again."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.notify_retry import (
    MAX_HOP,
    MAX_RETRY_AFTER,
    NotifyPolicy,
    hop,
    retry_after_seconds,
)
from mailroom.settings import SettingsError, load_settings

HOUR = 3600.0
NOW = 1_794_477_600.0  # Thu, 12 Nov 2026 10:00:00 GMT


def tries(policy: NotifyPolicy, *, jitter: float = 0.0) -> list[float]:
    """The moments of all tries after the first failed at once, in seconds since the event."""
    at, found = 0.0, [0.0]
    while True:
        again = policy.retry_at(len(found), NOW + at, NOW, jitter=jitter)
        if again is None:
            return found
        at = again - NOW
        found.append(at)


def test_waits_double_up_to_four_hours_and_end_with_the_day():
    moments = tries(NotifyPolicy())
    waits = [(b - a) / 60 for a, b in pairwise(moments)]
    assert waits[:-1] == [2, 4, 8, 16, 32, 64, 128, 240, 240, 240, 240]
    assert moments[-1] == 24 * HOUR


def test_the_hours_are_a_setting():
    assert tries(NotifyPolicy(hours=1))[-1] == HOUR
    assert tries(NotifyPolicy(hours=72))[-1] == 72 * HOUR


def test_a_divisor_shortens_waits_and_hours_but_no_wait_below_a_second():
    moments = tries(NotifyPolicy(divisor=3600))
    assert moments[-1] == 24
    assert all(b - a >= 1 for a, b in pairwise(moments[:-1]))


@given(jitter=st.floats(-1, 1), hours=st.floats(0.1, 240), divisor=st.floats(1, 1000))
def test_every_schedule_moves_on_and_ends(jitter, hours, divisor):
    policy = NotifyPolicy(hours=hours, divisor=divisor)
    moments = tries(policy, jitter=jitter)
    assert all(b > a for a, b in pairwise(moments))
    assert moments[-1] <= policy.deadline(0.0) + 1.0 + 1e-6


def test_jitter_moves_a_wait_by_a_fifth_at_most():
    policy = NotifyPolicy()
    waits = [policy.retry_at(1, NOW, NOW, jitter=j) - NOW for j in (-1.0, 0.0, 1.0)]
    assert waits == pytest.approx([96, 120, 144])


def test_what_the_endpoint_asks_for_is_waited_for():
    policy = NotifyPolicy()
    assert policy.retry_at(1, NOW, NOW, jitter=0, retry_after=600) == NOW + 600
    assert policy.retry_at(5, NOW, NOW, jitter=0, retry_after=60) == NOW + 32 * 60


def test_it_cannot_ask_for_more_than_the_time_there_is():
    policy = NotifyPolicy()
    assert policy.retry_at(1, NOW + HOUR, NOW, jitter=0, retry_after=86_400) == NOW + 24 * HOUR
    assert policy.retry_at(9, NOW + 24 * HOUR, NOW, jitter=0, retry_after=60) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("99999999999", MAX_RETRY_AFTER),
        ("Thu, 12 Nov 2026 10:05:00 GMT", 300),
        ("Thursday, 12-Nov-26 10:05:00 GMT", 300),
        ("Thu, 12 Nov 2026 09:00:00 GMT", 0),
        ("Thu, 12 Nov 2099 09:00:00 GMT", MAX_RETRY_AFTER),
        ("", 0), ("-5", 0), ("1.5", 0), ("soon", 0), ("٣", 0), ("9" * 65, 0),
        ("Thu, 99 Nov 2026 10:00:00 GMT", 0),
    ],
)  # fmt: skip
def test_the_header_is_seconds_or_a_date(text, seconds):
    assert retry_after_seconds(text, NOW) == seconds


@given(st.text(max_size=80))
def test_no_header_breaks_the_schedule(text):
    assert 0 <= retry_after_seconds(text, NOW) <= MAX_RETRY_AFTER


@given(now=st.floats(0, 2e9), wait=st.floats(-1e6, 1e6))
def test_hops_reach_the_moment_and_never_come_before_it(now, wait):
    not_before, hops = now + wait, 0
    while now < not_before:
        step = hop(now, not_before)
        assert 0 < step <= MAX_HOP
        now, hops = now + step, hops + 1
        assert hops <= wait / MAX_HOP + 2
    assert hop(now, not_before) == 0


@pytest.mark.parametrize(
    ("name", "field", "default", "most"),
    [
        ("MAILROOM_WEBHOOK_RETRY_HOURS", "webhook_retry_hours", 24.0, 240),
        ("MAILROOM_WEBHOOK_TIMEOUT", "webhook_timeout", 10.0, 25),
    ],
)
def test_hours_and_time_out_are_settings_with_an_upper_bound(name, field, default, most):
    assert getattr(load_settings({}), field) == default
    assert getattr(load_settings({name: f"{most}"}), field) == most
    for wrong in (f"{most + 1}", "0", "x"):
        with pytest.raises(SettingsError, match=name):
            load_settings({name: wrong})
