"""Batches: everybody gets their own answer, nobody waits for ever."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egress.aws.batching import Batcher


class Far:
    """The other end: doubles numbers, one round of the loop later."""

    def __init__(self, rounds: int = 1) -> None:
        self.batches: list[list[int]] = []
        self.under_way = self.most = 0
        self.trouble: list[Exception] = []
        self.forgets = False
        self._rounds = rounds

    async def __call__(self, asks: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(asks))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        for _ in range(self._rounds):
            await asyncio.sleep(0)
        self.under_way -= 1
        if self.trouble:
            raise self.trouble.pop(0)
        return [2 * ask for ask in asks[: -1 if self.forgets else None]]


async def test_what_is_asked_at_once_goes_in_one_call() -> None:
    far = Far()
    batcher = Batcher(far, size=25)
    answers = await asyncio.gather(*(batcher.ask(n) for n in range(7)))
    assert answers == [2 * n for n in range(7)]
    assert far.batches == [list(range(7))]


async def test_a_single_ask_does_not_wait_for_company() -> None:
    far = Far()
    async with asyncio.timeout(10):
        assert await Batcher(far, size=25).ask(4) == 8
    assert far.batches == [[4]]


@pytest.mark.parametrize("calls", [1, 2, 3])
async def test_batches_and_calls_are_bounded(calls: int) -> None:
    far = Far(rounds=3)
    batcher = Batcher(far, size=4, calls=calls)
    async with asyncio.timeout(10):
        await asyncio.gather(*(batcher.ask(n) for n in range(30)))
    assert max(map(len, far.batches)) == 4
    assert far.most <= calls
    assert sorted(n for batch in far.batches for n in batch) == list(range(30))


async def test_who_asks_right_after_an_answer_is_not_forgotten() -> None:
    batcher = Batcher(Far(), size=1, calls=1)
    async with asyncio.timeout(10):
        assert [await batcher.ask(n) for n in range(20)] == [2 * n for n in range(20)]


async def test_trouble_reaches_those_of_the_batch_and_nobody_else() -> None:
    far = Far()
    far.trouble = [OSError("down")]
    batcher = Batcher(far, size=2, calls=1)
    answers = await asyncio.gather(*(batcher.ask(n) for n in range(4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OSError, OSError, int, int]
    assert await batcher.ask(9) == 18


async def test_an_answer_too_few_is_trouble_and_no_endless_wait() -> None:
    far = Far()
    far.forgets = True
    batcher = Batcher(far, size=3)
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*(batcher.ask(n) for n in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [RuntimeError] * 3


async def test_who_gives_up_waiting_takes_nothing_from_the_others() -> None:
    batcher = Batcher(Far(rounds=5), size=3)
    tasks = [asyncio.create_task(batcher.ask(n)) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    assert await tasks[0] == 0
    assert await tasks[2] == 4


async def test_draining_waits_for_what_is_under_way() -> None:
    far = Far(rounds=5)
    batcher = Batcher(far, size=2, calls=1)
    tasks = [asyncio.create_task(batcher.ask(n)) for n in range(5)]
    await asyncio.sleep(0)
    await batcher.drain()
    assert far.under_way == 0
    assert len(far.batches) == 3
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8]
    await batcher.drain()  # nothing to wait for


@given(
    size=st.integers(1, 5),
    calls=st.integers(1, 3),
    rounds=st.integers(0, 3),
    waits=st.lists(st.lists(st.integers(0, 4), max_size=5), max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_every_ask_has_its_answer_whatever_the_timing(
    size: int, calls: int, rounds: int, waits: list[list[int]]
) -> None:
    async def caller(batcher: Batcher[int, int], steps: list[int]) -> None:
        for step in steps:
            for _ in range(step):
                await asyncio.sleep(0)
            assert await batcher.ask(step) == 2 * step

    async def all_callers() -> None:
        batcher = Batcher(Far(rounds), size=size, calls=calls)
        async with asyncio.timeout(20):
            await asyncio.gather(*(caller(batcher, steps) for steps in waits))

    asyncio.run(all_callers())
