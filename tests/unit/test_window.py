"""The window of connections, which grows and falls by cohorts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress.core.engine.window import Window


def cohort(window: Window) -> None:
    for _ in range(window.size):
        window.succeeded(window.size)


def test_it_grows_by_one_after_each_full_cohort_up_to_its_ceiling() -> None:
    window = Window(1, 4)
    sizes = []
    for _ in range(5):
        cohort(window)
        sizes.append(window.size)
    assert sizes == [2, 3, 4, 4, 4]


def test_it_does_not_grow_before_the_cohort_is_full() -> None:
    window = Window(3, 10)
    assert not window.succeeded(3)
    assert not window.succeeded(3)
    assert window.size == 3
    assert window.succeeded(3)
    assert window.size == 4


def test_it_does_not_grow_while_it_is_not_used() -> None:
    window = Window(3, 10)
    for _ in range(100):
        window.succeeded(2)
    assert window.size == 3


def test_it_falls_at_the_first_failure_of_a_cohort_and_only_then() -> None:
    window = Window(10, 10)
    assert window.failed()
    assert not window.failed()
    assert window.size == 9
    for _ in range(8):
        window.failed()
    assert window.size == 9
    assert window.failed()
    assert window.size == 8


def test_a_cohort_with_a_failure_does_not_make_it_grow() -> None:
    window = Window(3, 10)
    window.failed()
    cohort(window)
    assert window.size == 2


def test_a_size_that_failed_is_tried_ever_later() -> None:
    window = Window(2, 10)
    waits = []
    for _ in range(4):
        cohorts = 0
        while window.size < 3:
            cohort(window)
            cohorts += 1
        waits.append(cohorts)
        window.failed()
    assert waits == sorted(waits)
    assert waits[-1] >= 4 * waits[0]


def test_a_size_that_holds_after_all_is_forgiven() -> None:
    window = Window(2, 10)
    for _ in range(20):
        cohort(window)
    window.failed()
    for _ in range(60):
        cohort(window)
    assert window.size == 10


def test_a_size_that_held_again_does_not_make_others_wait() -> None:
    window = Window(2, 10)
    for _ in range(4):
        while window.size < 3:
            cohort(window)
        window.failed()
    while window.size < 5:
        cohort(window)
    window.failed()
    cohort(window)  # the rest of the round that failed
    cohort(window)
    assert window.size == 5


@pytest.mark.parametrize(("act", "size"), [(Window.one, 1), (Window.halve, 4)])
def test_a_rule_may_cut_more(act: object, size: int) -> None:
    window = Window(8, 8)
    assert callable(act)
    assert act(window)
    assert window.size == size


def test_it_is_halved_once_a_cohort() -> None:
    window = Window(8, 8)
    window.halve()
    assert not window.halve()
    assert window.size == 4


def test_a_frozen_window_falls_but_does_not_grow() -> None:
    window = Window(4, 10)
    window.freeze = True
    cohort(window)
    assert window.size == 4
    window.failed()
    assert window.size == 3


def test_a_lower_ceiling_cuts_it_and_a_higher_one_lets_it_grow() -> None:
    window = Window(2, 10, size=8)
    window.reset(2, 5)
    assert window.size == 5
    window.reset(2, 20)
    cohort(window)
    assert window.size == 6


@pytest.mark.parametrize(("start", "ceiling", "size"), [(0, 0, 1), (5, 2, 2), (-1, 3, 1)])
def test_it_begins_within_its_bounds(start: int, ceiling: int, size: int) -> None:
    assert Window(start, ceiling).size == size


@given(st.integers(1, 50), st.integers(1, 50), st.lists(st.sampled_from("sfoh+"), max_size=300))
def test_it_is_always_between_one_and_its_ceiling(
    start: int, ceiling: int, events: list[str]
) -> None:
    window = Window(start, ceiling)
    for event in events:
        before = window.size
        if event in "s+":
            window.succeeded(window.size if event == "s" else 0)
        else:
            {"f": window.failed, "o": window.one, "h": window.halve}[event]()
        assert 1 <= window.size <= ceiling
        assert window.size <= before + 1
