"""Threads that share calls: each gets its own answer, and none is forgotten."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from mailroom.adapters.gathering import Gathering


class Desk:
    """Answers each ask with its double; can be held up, and made to fail."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.bad: int | None = None

    def __call__(self, asks: Sequence[int]) -> Sequence[int]:
        self.calls.append(list(asks))
        self.entered.set()
        assert self.open.wait(10)
        if self.bad in asks:
            raise ValueError(f"{self.bad} is bad")
        return [2 * ask for ask in asks]


def test_alone_nobody_waits() -> None:
    desk = Desk()
    assert Gathering(desk, size=10).ask(3) == 6
    assert desk.calls == [[3]]


def test_who_comes_during_a_call_shares_the_next_one() -> None:
    desk = Desk()
    gathering = Gathering(desk, size=4)
    desk.open.clear()
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(gathering.ask, 0)
        assert desk.entered.wait(10)
        others = [pool.submit(gathering.ask, n) for n in range(1, 10)]
        _until(lambda: len(gathering._waiting) == 9)
        desk.open.set()
        assert [future.result(10) for future in (first, *others)] == [2 * n for n in range(10)]
    assert desk.calls[0] == [0]
    assert [len(call) for call in desk.calls] == [1, 4, 4, 1]
    assert sorted(ask for call in desk.calls for ask in call) == list(range(10))


def test_a_failed_call_fails_those_in_it_and_nobody_else() -> None:
    desk = Desk()
    gathering = Gathering(desk, size=2)
    desk.bad = 1
    desk.open.clear()
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(gathering.ask, 0)]
        assert desk.entered.wait(10)
        for number in range(1, 5):
            futures.append(pool.submit(gathering.ask, number))
            _until(lambda count=number: len(gathering._waiting) == count)
        desk.open.set()
        ends = [future.exception(10) for future in futures]
    assert [isinstance(end, ValueError) for end in ends] == [False, True, True, False, False]


def test_too_few_answers_are_an_error_for_all() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Gathering(lambda _asks: [], size=2).ask(1)


def test_many_threads_all_get_theirs() -> None:
    desk = Desk()
    gathering = Gathering(desk, size=7)
    with ThreadPoolExecutor(24) as pool:
        assert list(pool.map(gathering.ask, range(2_000))) == [2 * n for n in range(2_000)]
    assert max(map(len, desk.calls)) <= 7


def _until(condition) -> None:  # type: ignore[no-untyped-def]
    deadline = threading.Event()
    for _ in range(2_000):
        if condition():
            return
        deadline.wait(0.005)  # between two looks at a condition
    raise AssertionError("did not happen")
