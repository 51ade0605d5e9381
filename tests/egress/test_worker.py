"""Pulling no more than can be done, and stopping without losing any."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from egress.aws.lane import Received
from egress.core.mx import MxAnswer
from egress.journal import JournalError
from egress.sender.copies import Copy
from egress.sender.exchange import Exchanged
from egress.sender.worker import Worker
from mailroom.domain.lifecycle import State
from mailroom.domain.message import WakeUp
from tests.support.desk import OK, Life, World, all_final, until


@dataclass
class Queue:
    """Entries in order; `receive` waits when there are none. Knows what was asked of it."""

    entries: list[Received] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    trouble: list[Exception] = field(default_factory=list)
    generous: bool = False  # gives more than it was asked for
    given: int = 0

    def put(self, *wake_ups: WakeUp | None) -> None:
        start = self.given + len(self.entries)
        self.entries += [Received(f"r{start + n}", w) for n, w in enumerate(wake_ups)]

    async def receive(self, most: int) -> Sequence[Received]:
        self.asked.append(most)
        if self.trouble:
            raise self.trouble.pop(0)
        await until_some(self.entries)
        count = len(self.entries) if self.generous else most
        batch, self.entries[:] = self.entries[:count], self.entries[count:]
        self.given += len(batch)
        return batch

    async def acknowledge(self, receipt: str) -> bool:
        self.acknowledged.append(receipt)
        return True

    async def give_back(self, receipt: str) -> bool:
        return bool(receipt)


async def until_some(entries: list[Received]) -> None:
    """A long poll: as long as it takes."""
    while not entries:  # noqa: ASYNC110 - a list has no event
        await asyncio.sleep(0.001)


class Gate:
    """Receivers that take their time: nobody is answered before the gate opens."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside: set[str] = set()
        self.most = 0
        self.done: list[str] = []

    async def __call__(self, answer: MxAnswer, copy: Copy, to: str, **calls: Any) -> Exchanged:
        self.inside.add(to)
        self.most = max(self.most, len(self.inside))
        await self.open.wait()
        await calls["before_dot"]()
        calls["after_dot"]()
        self.inside.discard(to)
        self.done.append(to)
        return Exchanged(OK, "mx.test")


@dataclass
class Scene:
    world: World
    life: Life
    queue: Queue
    gate: Gate

    def fill(self, count: int) -> None:
        for number in range(1, count + 1):
            self.world.add(number)
        self.queue.put(*(self.world.wake_up(number) for number in range(1, count + 1)))

    @asynccontextmanager
    async def working(
        self, *, slots: int, pollers: int = 2, grace: float = 10.0
    ) -> AsyncIterator[tuple[Worker, asyncio.Event]]:
        """A worker that runs; it is stopped at the end if it was not before."""
        worker = Worker(self.queue, self.life.desk, slots=slots, pollers=pollers)
        stop = asyncio.Event()
        running = asyncio.create_task(worker.run(stop, grace=grace))
        try:
            yield worker, stop
        finally:
            stop.set()
            self.gate.open.set()
            async with asyncio.timeout(20):
                await running


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    world, gate = World(tmp_path), Gate()
    world.receivers = gate
    life = Life(world)
    yield Scene(world, life, Queue(), gate)
    await life.end()


async def test_all_that_is_queued_gets_done(scene: Scene) -> None:
    scene.fill(30)
    scene.gate.open.set()
    async with scene.working(slots=7):
        await until(lambda: all_final(scene.world))
    assert sorted(scene.queue.acknowledged) == sorted(f"r{n}" for n in range(30))
    assert len(scene.gate.done) == 30


@pytest.mark.parametrize("generous", [False, True])
@pytest.mark.parametrize("pollers", [1, 3])
async def test_never_more_attempts_than_slots(scene: Scene, generous: bool, pollers: int) -> None:
    scene.queue.generous = generous
    scene.fill(30)
    async with scene.working(slots=5, pollers=pollers) as (worker, _):
        await until(lambda: len(scene.gate.inside) == 5)
        for _ in range(50):
            await asyncio.sleep(0)
        assert worker.busy == 5
        assert generous or scene.queue.given == 5  # the rest is for other hosts
        scene.gate.open.set()
        await until(lambda: generous or all_final(scene.world))
    assert scene.gate.most == 5


async def test_a_request_asks_for_the_free_slots_and_ten_at_most(scene: Scene) -> None:
    scene.fill(1)
    async with scene.working(slots=25, pollers=1):
        await until(lambda: len(scene.gate.inside) == 1)
        await until(lambda: len(scene.queue.asked) == 2)
    assert scene.queue.asked[:2] == [10, 10]


async def test_after_stop_what_is_in_hand_is_finished_and_nothing_begun(scene: Scene) -> None:
    scene.fill(8)
    async with scene.working(slots=3) as (worker, stop):
        await until(lambda: len(scene.gate.inside) == 3)
        stop.set()
        for _ in range(20):
            await asyncio.sleep(0)
        assert worker.busy == 3
        scene.gate.open.set()
    assert len(scene.gate.done) == 3
    states = [row.state for row in scene.world.book.rows.values()]
    assert states.count(State.SENT) == 3
    assert states.count(State.QUEUED) == 5
    assert scene.life.open_claims() == 0


async def test_what_outlasts_the_grace_stays_in_the_journal(scene: Scene) -> None:
    scene.fill(1)
    worker = Worker(scene.queue, scene.life.desk, slots=1)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop, grace=0.01))
    await until(lambda: scene.gate.inside)
    stop.set()
    async with asyncio.timeout(10):
        await running
    assert scene.life.open_claims() == 1
    assert worker.busy == 1
    scene.gate.open.set()
    await until(lambda: not worker.busy)


async def test_a_second_copy_of_an_entry_in_hand_is_neither_sent_nor_deleted(
    scene: Scene,
) -> None:
    scene.fill(1)
    scene.queue.put(scene.world.wake_up())
    async with scene.working(slots=5) as (worker, _):
        await until(lambda: scene.queue.given == 2)
        await until(lambda: worker.busy == 1)
        assert scene.queue.acknowledged == ["r0"]
        scene.gate.open.set()
        await until(lambda: not worker.busy)
        scene.queue.put(scene.world.wake_up())  # it comes again, and now its time is over
        await until(lambda: scene.queue.acknowledged == ["r0", "r2"])
    assert scene.gate.done == ["r1@example.org"]


async def test_an_entry_is_deleted_only_after_the_claim(scene: Scene) -> None:
    scene.fill(1)
    scene.world.book.trouble = {"claim": [OSError("down")], "get": [OSError("down")] * 99}
    async with scene.working(slots=1):
        await until(lambda: scene.world.book.asked["get"])
        assert not scene.queue.acknowledged
        scene.world.book.trouble.clear()
        await until(lambda: scene.queue.acknowledged)


async def test_what_nobody_can_read_is_dropped_aloud(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.queue.put(None)
    async with scene.working(slots=1) as (worker, _):
        await until(lambda: scene.queue.acknowledged == ["r0"])
        await until(lambda: not worker.busy)
    assert "unreadable queue entry dropped" in caplog.messages


class Defect:
    """Fails whatever asks."""

    def __call__(self, _moment: object) -> None:
        raise RuntimeError("a defect of ours")


async def test_a_journal_that_breaks_ends_the_work_with_all_claims_given_back(
    scene: Scene,
) -> None:
    scene.fill(3)
    worker = Worker(scene.queue, scene.life.desk, slots=2)
    running = asyncio.create_task(worker.run(asyncio.Event(), grace=10.0))
    await until(lambda: len(scene.gate.inside) == 2)
    scene.life.journal._broken = OSError("the disk is gone")
    scene.gate.open.set()  # both want their dot now
    async with asyncio.timeout(10):
        with pytest.raises(JournalError):
            await running
    rows = scene.world.book.rows.values()
    assert [(row.state, row.attempts, row.claim) for row in rows] == [(State.QUEUED, 0, None)] * 3
    assert not scene.gate.done
    assert len(scene.world.woken) == 2  # somebody with a disk may have them
    assert worker.busy == 0


async def test_a_failed_attempt_frees_its_slot_and_keeps_its_entry(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    scene.fill(1)
    scene.life.faults.reach = Defect()  # type: ignore[method-assign]  # as if ours had a defect
    async with scene.working(slots=1) as (worker, _):
        await until(lambda: "attempt failed" in caplog.messages)
        await until(lambda: not worker.busy)
        await until(lambda: len(scene.queue.asked) == 2)  # the slot is free again
    assert not scene.queue.acknowledged
    assert scene.world.row().state is State.QUEUED


async def test_a_queue_that_cannot_be_read_is_asked_again_with_all_slots(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.queue.trouble = [OSError("down")]
    scene.fill(4)
    scene.gate.open.set()
    async with scene.working(slots=4, pollers=1):
        await until(lambda: all_final(scene.world))
    assert "queue not readable" in caplog.messages
    assert scene.queue.asked[:2] == [4, 4]
