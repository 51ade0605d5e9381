"""When deferred mail is tried again."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.retry import (
    HINTED_TRIES,
    HOUR,
    LONGEST_HINT,
    MINUTE,
    SHORTEST_HINT,
    RetryPolicy,
)
from mailroom.domain.sending.judgement import Action, Category, Judgement, Verb

JITTER = st.floats(-1, 1)
POLICY = RetryPolicy()
GREYLISTED = [Judgement(category=Category.GREYLISTED), Judgement(actions=(Action(Verb.STICKY),))]


@pytest.mark.parametrize(
    ("attempts", "transactional", "bulk"),
    [(1, 1, 10), (2, 3, 20), (3, 7, 40), (4, 15, 80), (5, 30, 160), (6, 60, 240), (99, 60, 240)],
)
def test_the_delays_of_both_classes(attempts: int, transactional: int, bulk: int) -> None:
    assert POLICY.delay(attempts, jitter=0.0) == transactional * MINUTE
    assert POLICY.delay(attempts, jitter=0.0, bulk=True) == bulk * MINUTE


def test_each_class_has_its_lifetime() -> None:
    assert POLICY.lifetime() == 48 * HOUR
    assert POLICY.lifetime(bulk=True) == 72 * HOUR
    assert POLICY.give_up_after == 72 * HOUR


@pytest.mark.parametrize(("bulk", "share"), [(False, 0.101), (True, 0.201)])
@given(attempts=st.integers(1, 1000), jitter=JITTER)
@settings(max_examples=50)
def test_jitter_moves_a_delay_by_its_share_at_most(
    bulk: bool, share: float, attempts: int, jitter: float
) -> None:
    plain = POLICY.delay(attempts, jitter=0.0, bulk=bulk)
    moved = POLICY.delay(attempts, jitter=jitter, bulk=bulk)
    assert (1 - share) * plain <= moved <= (1 + share) * plain


@given(st.booleans(), JITTER)
@settings(max_examples=50)
def test_delays_never_shrink(bulk: bool, jitter: float) -> None:
    delays = [POLICY.delay(n, jitter=jitter, bulk=bulk) for n in range(1, 20)]
    assert all(one <= two for one, two in pairwise(delays))


def test_a_divisor_shortens_every_wait() -> None:
    policy = RetryPolicy(divisor=60.0)
    assert policy.delay(1, jitter=0.0) == 1.0
    assert policy.resend_delay() == 15.0
    assert policy.wait(1, GREYLISTED[0], jitter=-1.0) == 5.0
    assert policy.wait(1, Judgement(retry_after=120.0), jitter=-1.0) == 2.0
    assert policy.lifetime() == 48 * MINUTE
    assert policy.is_late(4 * MINUTE)


def test_a_transactional_message_gets_five_tries_in_its_first_hour() -> None:
    assert sum(POLICY.delay(n, jitter=1.0) for n in range(1, 6)) < 1.1 * HOUR


@pytest.mark.parametrize("judgement", GREYLISTED)
@pytest.mark.parametrize("bulk", [False, True])
@given(attempts=st.integers(1, HINTED_TRIES), jitter=JITTER)
@settings(max_examples=30)
def test_a_greylisted_try_comes_again_within_five_to_ten_minutes(
    judgement: Judgement, bulk: bool, attempts: int, jitter: float
) -> None:
    assert 300.0 <= POLICY.wait(attempts, judgement, jitter=jitter, bulk=bulk) <= 600.0


@pytest.mark.parametrize(
    ("asked", "least"),
    [(0.0, SHORTEST_HINT), (45.0, 45.0), (7_200.0, 7_200.0), (1e9, LONGEST_HINT)],
)
def test_what_a_reply_asks_for_is_honoured_within_bounds(asked: float, least: float) -> None:
    for jitter in (-1.0, 0.0, 1.0):
        wait = POLICY.wait(1, Judgement(retry_after=asked), jitter=jitter)
        assert least <= wait <= least * 1.1001


def test_the_wait_that_a_greylisting_reply_asks_for_counts_more_than_ours() -> None:
    asked = Judgement(category=Category.GREYLISTED, retry_after=60.0)
    assert POLICY.wait(1, asked, jitter=-1.0) == 60.0


@pytest.mark.parametrize("judgement", [*GREYLISTED, Judgement(retry_after=30.0)])
@given(attempts=st.integers(HINTED_TRIES + 1, 500), jitter=JITTER)
@settings(max_examples=30)
def test_who_asks_for_ever_waits_as_long_as_the_schedule(
    judgement: Judgement, attempts: int, jitter: float
) -> None:
    wait = POLICY.wait(attempts, judgement, jitter=jitter)
    assert wait >= POLICY.delay(attempts, jitter=jitter)


@given(JITTER)
@settings(max_examples=30)
def test_a_lost_reply_is_answered_after_fifteen_to_thirty_minutes(jitter: float) -> None:
    assert 15 * MINUTE <= POLICY.resend_delay(jitter=jitter) <= 30 * MINUTE
