"""When deferred mail is tried again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.retry import HOUR, MINUTE, RetryPolicy

JITTER = st.floats(-1, 1)


@pytest.mark.parametrize(
    ("attempts", "minutes"), [(1, 1), (2, 3), (3, 7), (4, 15), (5, 30), (6, 60), (7, 60), (99, 60)]
)
def test_the_delays_of_the_default_policy(attempts: int, minutes: int) -> None:
    assert RetryPolicy().delay(attempts, jitter=0.0) == minutes * MINUTE


@given(st.integers(1, 1000), JITTER)
@settings(max_examples=100)
def test_jitter_moves_a_delay_by_a_tenth_at_most(attempts: int, jitter: float) -> None:
    policy = RetryPolicy()
    plain = policy.delay(attempts, jitter=0.0)
    assert 0.899 * plain <= policy.delay(attempts, jitter=jitter) <= 1.101 * plain


@given(st.integers(1, 100), JITTER, JITTER)
@settings(max_examples=100)
def test_delays_never_shrink_beyond_their_jitter(attempts: int, one: float, two: float) -> None:
    policy = RetryPolicy()
    assert policy.delay(attempts + 1, jitter=one) >= policy.delay(attempts, jitter=two) * 0.8


def test_a_divisor_shortens_every_wait() -> None:
    policy = RetryPolicy(divisor=60.0)
    assert policy.delay(1, jitter=0.0) == 1.0
    assert policy.resend_delay() == 15.0


def test_a_transactional_message_gets_five_tries_in_its_first_hour() -> None:
    policy = RetryPolicy()
    assert sum(policy.delay(n, jitter=1.0) for n in range(1, 6)) < 1.1 * HOUR
    assert policy.give_up_after == 48 * HOUR
