"""From the queue over the engine to the verdict: no more than can be done, and nothing lost."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from egress.core.mx import refused
from egress.journal import JournalError
from egress.sender.copies import NotCommittedError
from egress.sender.holds import Held
from mailroom.domain.event import EventType
from mailroom.domain.hold import Hold
from mailroom.domain.lifecycle import State
from mailroom.domain.reply import Phase, SmtpReply
from tests.support.desk import Life, World, all_final, until
from tests.support.sender_stand import Places, Stand


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    world = World(tmp_path)
    life = Life(world)
    yield Stand(world, life)
    await life.end()


async def turns(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_all_that_is_queued_gets_done(stand: Stand) -> None:
    stand.fill(30)
    stand.gate.open.set()
    async with stand.working(slots=7):
        await until(lambda: all_final(stand.world))
        await until(lambda: len(stand.queue.acknowledged) == 30)
    assert sorted(stand.queue.acknowledged) == sorted(f"r{n}" for n in range(30))
    assert len(stand.gate.done) == 30
    assert all(session.said_goodbye for session in stand.gate.sessions)


@pytest.mark.parametrize("pollers", [1, 3])
async def test_never_more_attempts_than_slots(stand: Stand, pollers: int) -> None:
    stand.fill(30)
    async with stand.working(slots=5, pollers=pollers):
        await until(lambda: len(stand.gate.inside) == 5)
        await turns()
        assert len(stand.gate.sessions) == 5
        stand.gate.open.set()
        await until(lambda: all_final(stand.world))
    assert stand.gate.most == 5


async def test_no_more_is_fetched_than_may_wait_here(stand: Stand) -> None:
    stand.fill(60)
    async with stand.working(slots=2, ready=20):
        await until(lambda: len(stand.gate.inside) == 2)
        await turns(200)
        assert stand.queue.given <= 22 + 20
        assert stand.engine.waiting <= 20
        stand.gate.open.set()
        await until(lambda: all_final(stand.world))


async def test_after_stop_what_is_under_way_is_finished_and_the_rest_given_back(
    stand: Stand,
) -> None:
    stand.fill(8)
    async with stand.working(slots=3) as (_, stop):
        await until(lambda: len(stand.gate.inside) == 3 and stand.engine.waiting == 5)
        stop.set()
        await until(lambda: len(stand.queue.returned) == 5)
        stand.gate.open.set()
    assert len(stand.gate.done) == 3
    states = [row.state for row in stand.world.book.rows.values()]
    assert states.count(State.SENT) == 3
    assert states.count(State.QUEUED) == 5
    assert stand.life.open_claims() == 0


async def test_what_outlasts_the_grace_stays_in_the_journal(stand: Stand) -> None:
    stand.fill(1)
    dispatcher = stand.dispatcher(slots=1)
    stop = asyncio.Event()
    running = asyncio.create_task(dispatcher.run(stop, grace=0.01))
    await until(lambda: stand.gate.inside)
    stop.set()
    async with asyncio.timeout(10):
        await running
    assert stand.life.open_claims() == 1
    assert dispatcher.busy == 1
    stand.gate.open.set()
    await until(lambda: not dispatcher.busy)


async def test_a_second_copy_of_an_entry_in_hand_is_neither_sent_nor_deleted(
    stand: Stand,
) -> None:
    stand.fill(1)
    stand.queue.put(stand.world.wake_up())
    async with stand.working(slots=5) as (dispatcher, _):
        await until(lambda: stand.queue.given == 2 and stand.gate.inside)
        assert stand.queue.acknowledged == ["r0"]
        stand.gate.open.set()
        await until(lambda: not dispatcher.busy)
        stand.queue.put(stand.world.wake_up())  # it comes again, and now its time is over
        await until(lambda: stand.queue.acknowledged == ["r0", "r2"])
    assert stand.gate.done == ["r1@example.org"]


async def test_an_entry_is_deleted_only_after_the_claim(stand: Stand) -> None:
    stand.fill(1)
    stand.world.book.trouble = {"claim": [OSError("down")], "get": [OSError("down")] * 99}
    async with stand.working(slots=1):
        await until(lambda: stand.world.book.asked["get"])
        assert not stand.queue.acknowledged
        stand.world.book.trouble.clear()
        await until(lambda: stand.queue.acknowledged)


async def test_what_nobody_can_read_is_dropped_aloud(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.queue.put(None)
    async with stand.working(slots=1):
        await until(lambda: stand.queue.acknowledged == ["r0"])
    assert "unreadable queue entry dropped" in caplog.messages


async def test_a_delivery_that_cannot_be_looked_up_comes_again(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    stand.briefs.trouble = [OSError("the directory is away")]
    stand.fill(1)
    stand.gate.open.set()
    async with stand.working(slots=1):
        await until(lambda: "delivery not looked up" in caplog.messages)
        assert not stand.queue.acknowledged
        stand.queue.put(stand.world.wake_up())
        await until(lambda: all_final(stand.world))


class Defect:
    """Fails whatever asks."""

    def __call__(self, _moment: object) -> None:
        raise RuntimeError("a defect of ours")


async def test_a_journal_that_breaks_ends_the_work_with_all_claims_given_back(
    stand: Stand,
) -> None:
    stand.fill(3)
    dispatcher = stand.dispatcher(slots=2)
    running = asyncio.create_task(dispatcher.run(asyncio.Event(), grace=10.0))
    await until(lambda: len(stand.gate.inside) == 2)
    stand.life.journal._broken = OSError("the disk is gone")
    stand.gate.open.set()  # both want their dot now
    async with asyncio.timeout(10):
        with pytest.raises(JournalError):
            await running
    rows = stand.world.book.rows.values()
    assert [(row.state, row.attempts, row.claim) for row in rows] == [(State.QUEUED, 0, None)] * 3
    assert not stand.gate.done
    assert dispatcher.busy == 0


async def test_a_failed_attempt_frees_its_slot_and_keeps_its_entry(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    stand.fill(1)
    stand.life.faults.reach = Defect()  # type: ignore[method-assign]  # as if ours had a defect
    async with stand.working(slots=1):
        await until(lambda: "work failed" in caplog.messages)
        await until(lambda: all(each.stage == "idle" for each in stand.engine.connections))
    assert not stand.queue.acknowledged
    assert stand.world.row().state is State.QUEUED


async def test_a_queue_that_cannot_be_read_is_asked_again(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.queue.trouble = [OSError("down")]
    stand.fill(4)
    stand.gate.open.set()
    async with stand.working(slots=4, pollers=1):
        await until(lambda: all_final(stand.world))
    assert "queue not readable" in caplog.messages


async def test_a_domain_without_hosts_is_refused_without_a_connection(stand: Stand) -> None:
    stand.briefs.direct["r1@example.org"] = refused(556, "5.1.10 null MX")
    stand.fill(1)
    async with stand.working(slots=1):
        await until(lambda: all_final(stand.world))
    assert stand.world.row().state is State.BOUNCED
    assert not stand.gate.sessions


async def test_hosts_that_let_nobody_in_are_heard_of_by_the_mail_that_waits(stand: Stand) -> None:
    refusal = SmtpReply(0, "connection refused", Phase.CONNECT)
    stand.gate.refusals = [refusal] * 50
    stand.fill(5)
    async with stand.working(slots=1):
        await until(lambda: len(stand.world.book.events) == 5)
    assert {event.type for event in stand.world.book.events} == {EventType.DEFERRED}
    assert {row.state for row in stand.world.book.rows.values()} == {State.DEFERRED}


async def test_a_kept_session_that_is_dead_is_replaced_at_once(stand: Stand) -> None:
    stand.fill(1)
    stand.gate.open.set()
    async with stand.working(slots=1) as (dispatcher, _):
        await until(lambda: all_final(stand.world) and not dispatcher.busy)
        stand.gate.sessions[0].stale_next = True
        stand.world.add(2)
        stand.queue.put(stand.world.wake_up(2))
        await until(lambda: all_final(stand.world))
    assert len(stand.gate.sessions) == 2
    assert stand.world.row(2).attempts == 1


@pytest.mark.parametrize("answer", [Held(Hold.DEVELOPMENT), NotCommittedError("x")])
async def test_what_is_not_offered_uses_neither_limit_nor_connection(
    stand: Stand, answer: object
) -> None:
    stand.world.copier.answer = answer
    stand.fill(2)
    async with stand.working(slots=1) as (dispatcher, _):
        await until(lambda: len(stand.queue.acknowledged) == 2 and not dispatcher.busy)
        (connection,) = stand.engine.connections
        assert (connection.stage, connection.carried) == ("idle", 0)
    assert not stand.gate.done


async def test_without_a_source_mail_is_parked_where_others_find_it(stand: Stand) -> None:
    stand.fill(3)
    dispatcher = stand.dispatcher(slots=1)
    stand.sim.addresses = []
    stop = asyncio.Event()
    running = asyncio.create_task(dispatcher.run(stop, grace=10.0))
    await until(lambda: len(stand.queue.acknowledged) == 3)
    stop.set()
    await running
    assert len(stand.places.parked) == 3
    assert len({shard for _, _, shard in stand.places.parked}) == 1
    assert len(set(stand.announced)) == 1


async def test_an_address_lost_before_the_dot_ends_the_transaction_unsent(stand: Stand) -> None:
    stand.fill(1)
    async with stand.working(slots=1):
        await until(lambda: stand.gate.inside)
        stand.sim.lost.add("host")
        stand.gate.open.set()
        await until(lambda: stand.world.woken)
    assert not stand.gate.done
    row = stand.world.row()
    assert (row.state, row.attempts, row.claim) == (State.QUEUED, 0, None)


@pytest.mark.parametrize("why", ["dead", "unsafe"])
async def test_without_room_for_another_session_mail_goes_back_and_the_connection_is_gone(
    stand: Stand, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    stand.fill(1)
    stand.gate.open.set()
    async with stand.working(slots=1) as (dispatcher, _):
        await until(lambda: all_final(stand.world) and not dispatcher.busy)
        (first,) = stand.gate.sessions
        first.stale_next = why == "dead"
        stand.gate.unsafe = {first} if why == "unsafe" else set()
        stand.gate.full = 1
        stand.world.add(2)
        stand.queue.put(stand.world.wake_up(2))
        await until(lambda: stand.world.woken and not dispatcher.busy)
        row = stand.world.row(2)
        assert (row.state, row.attempts) == (State.QUEUED, 0)
        assert first.said_goodbye
        assert not stand.engine.connections
        stand.queue.put(stand.world.wake_up(2))
        await until(lambda: all_final(stand.world))
    assert len(stand.gate.sessions) == 2
    assert not caplog.messages


async def test_a_session_that_is_not_safe_enough_is_replaced(stand: Stand) -> None:
    stand.fill(1)
    stand.gate.open.set()
    async with stand.working(slots=1) as (dispatcher, _):
        await until(lambda: all_final(stand.world) and not dispatcher.busy)
        stand.gate.unsafe = set(stand.gate.sessions)
        stand.world.add(2)
        stand.queue.put(stand.world.wake_up(2))
        await until(lambda: all_final(stand.world) and not dispatcher.busy)
        first, second = stand.gate.sessions
        assert first.said_goodbye
        assert not second.said_goodbye
        (connection,) = stand.engine.connections
        assert (connection.stage, connection.carried) == ("idle", 1)


async def test_mail_without_room_at_its_hosts_waits_its_turn(stand: Stand) -> None:
    stand.gate.full = 1
    stand.gate.open.set()
    stand.fill(3)
    async with stand.working(slots=1):
        await until(lambda: all_final(stand.world))
    assert {row.attempts for row in stand.world.book.rows.values()} == {1}


class SlowPlaces(Places):
    """Takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def park(self, *given: Any, **named: Any) -> bool:
        await super().park(*given, **named)
        await self.go.wait()
        return True


async def test_a_second_copy_of_what_is_being_parked_is_left_alone(stand: Stand) -> None:
    stand.places = places = SlowPlaces()
    stand.fill(1)
    dispatcher = stand.dispatcher(slots=1)
    stand.sim.addresses = []
    stop = asyncio.Event()
    running = asyncio.create_task(dispatcher.run(stop, grace=10.0))
    await until(lambda: places.parked)
    stand.queue.put(stand.world.wake_up())
    await until(lambda: stand.queue.given == 2)
    await turns()
    places.go.set()
    await until(lambda: stand.queue.acknowledged)
    stop.set()
    await running
    assert len(places.parked) == 1
    assert stand.queue.acknowledged == ["r0"]


async def test_a_defect_while_a_connection_is_opened_takes_no_place_for_ever(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.gate.defects = [RuntimeError("a defect of ours")]
    stand.gate.open.set()
    stand.fill(1)
    async with stand.working(slots=1):
        await until(lambda: "connection not opened" in caplog.messages)
        assert not stand.engine.connections
        await until(lambda: all_final(stand.world))  # it is tried again by itself
