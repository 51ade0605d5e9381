"""Killed at any moment: what the next life makes of it, and that no mail is lost or doubled."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egress.core.journal_log import ClaimRecord, Replay
from egress.journal import Journal
from egress.sender.faults import Moment
from egress.sender.recovery import recover
from mailroom.domain.event import EventType
from mailroom.domain.lifecycle import CLAIMABLE, State
from mailroom.domain.message import DeliveryKey
from mailroom.domain.reply import SmtpReply
from tests.support.desk import BUSY, LOST, OK, REFUSED, Crash, Life, World, all_final, until

# moment of death -> state afterwards, attempts, uncertain, copies taken, wake-up's delay
AFTERWARDS = {
    Moment.BEFORE_CLAIM: (State.QUEUED, 0, 0, 0, None),  # its queue entry comes again by itself
    Moment.AFTER_CLAIM: (State.QUEUED, 0, 0, 0, 0.0),
    Moment.BEFORE_DOT: (State.QUEUED, 0, 0, 0, 0.0),
    Moment.AFTER_DOT: (State.DEFERRED, 1, 1, 1, 900.0),
    Moment.AFTER_REPLY: (State.DEFERRED, 1, 1, 1, 900.0),
    Moment.AFTER_VERDICT: (State.SENT, 1, 0, 1, None),
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.add()
    return world


async def killed_at(world: World, moment: Moment, number: int = 1) -> None:
    life = Life(world, moment)
    with pytest.raises(Crash):
        await life.work(world.wake_up(number))
    await life.end()


async def reborn(world: World) -> Life:
    life = Life(world)
    await life.recover()
    return life


def test_every_moment_is_looked_at() -> None:
    assert set(AFTERWARDS) == set(Moment)


@pytest.mark.parametrize("moment", Moment)
async def test_the_next_life_answers_every_moment_of_death(world: World, moment: Moment) -> None:
    await killed_at(world, moment)
    world.woken.clear()
    life = await reborn(world)
    state, attempts, uncertain, taken, delay = AFTERWARDS[moment]
    row = world.row()
    assert (row.state, row.attempts, row.uncertain, row.claim) == (state, attempts, uncertain, None)
    assert world.receivers.taken.total() == taken
    assert [wait for _, wait in world.woken] == ([] if delay is None else [delay])
    assert life.open_claims() == 0
    await life.end()


@pytest.mark.parametrize("moment", Moment)
async def test_after_any_death_the_mail_goes_on_to_its_end(world: World, moment: Moment) -> None:
    await killed_at(world, moment)
    life = await reborn(world)
    wake_ups = world.take_woken() or [world.wake_up()]
    for wake_up in wake_ups:
        await life.work(wake_up)
    await life.end()
    assert world.row().state is State.SENT
    assert world.receivers.taken.total() == 1 + world.row().uncertain


class Pair:
    """A reader that answers the first question when another delivery is asked about beside it."""

    def __init__(self) -> None:
        self.here: list[DeliveryKey] = []
        self.both = asyncio.Event()
        self.asked = 0

    async def get(self, key: DeliveryKey) -> None:
        assert key not in self.here, "one delivery twice in a call"
        self.here.append(key)
        self.asked += 1
        if len(self.here) > 1:
            self.both.set()
        await asyncio.wait_for(self.both.wait(), 10)
        self.here.remove(key)


async def test_claims_are_answered_together_but_those_of_one_delivery_in_turn(
    world: World,
) -> None:
    life, pair = Life(world), Pair()
    first, again, other = records = [
        ClaimRecord(id_, "server", number, 0, 0, 0)
        for id_, number in (("first", 1), ("again", 1), ("other", 2))
    ]
    for record in records:
        life.journal.claim(record)
    await recover(Replay(released=(first, other), uncertain=(again,)), life.desk, pair)
    assert pair.asked == 3
    assert life.open_claims() == 0
    await life.end()


async def test_a_verdict_the_table_never_got_is_written_now(world: World) -> None:
    life = Life(world)
    life.faults.died = lambda: None
    world.book.trouble = {"settle": [OSError("down")] * 99}
    task = asyncio.create_task(life.work(world.wake_up()))
    await until(lambda: world.book.asked["settle"])
    life.faults.dead = True
    life._die()
    world.book.trouble.clear()
    with pytest.raises(Crash):
        await task
    await life.end()
    assert world.row().state is State.ATTEMPTING
    await (await reborn(world)).end()
    assert (world.row().state, world.row().uncertain) == (State.SENT, 0)
    assert [event.type for event in world.book.events] == [EventType.SENT]


async def test_a_verdict_the_table_has_already_is_not_written_twice(world: World) -> None:
    await killed_at(world, Moment.AFTER_VERDICT)
    settled = world.row()
    path = world.journal_path()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))  # no `settled`
    life = await reborn(world)
    assert life.journal.replay.unrecorded
    assert world.row() == settled
    assert len(world.book.events) == 1
    assert life.open_claims() == 0
    await life.end()


@pytest.mark.parametrize("moment", [Moment.AFTER_CLAIM, Moment.AFTER_DOT])
async def test_a_claim_the_scheduler_took_back_is_left_alone(world: World, moment: Moment) -> None:
    await killed_at(world, moment)
    other = world.add(state=State.ATTEMPTING, claim="somebody", generation=2)
    life = await reborn(world)
    assert world.row() == other
    assert not world.woken
    assert life.open_claims() == 0
    await life.end()


@pytest.mark.parametrize("bulk", [False, True])
@pytest.mark.parametrize("moment", [Moment.AFTER_CLAIM, Moment.BEFORE_DOT])
async def test_what_was_given_up_but_never_sent_is_sent_after_all(
    world: World, moment: Moment, bulk: bool
) -> None:
    world.add(bulk=bulk)
    await killed_at(world, moment)
    world.book.give_up(world.row().key, world.now, world.policy)
    life = await reborn(world)
    row = world.row()
    assert (row.state, row.attempts, row.uncertain) == (State.DEFERRED, 0, 0)
    assert [wait for _, wait in world.woken] == [0.0]
    assert await life.work(world.take_woken()[0])
    assert (world.row().state, world.receivers.taken.total()) == (State.SENT, 1)
    assert life.open_claims() == 0
    await life.end()


async def test_what_was_given_up_and_may_have_been_sent_stays_in_doubt(world: World) -> None:
    await killed_at(world, Moment.AFTER_DOT)
    world.book.give_up(world.row().key, world.now, world.policy)
    given_up = world.row()
    life = await reborn(world)
    assert world.row() == given_up
    assert life.open_claims() == 0
    await life.end()


async def test_a_claim_given_back_is_no_claim_given_up(world: World) -> None:
    await killed_at(world, Moment.AFTER_CLAIM)
    row = world.row()
    freed = world.add(state=State.DEFERRED, generation=row.generation + 1, uncertain=1, attempts=1)
    await (await reborn(world)).end()
    assert world.row() == freed


@pytest.mark.parametrize("verdict", [{}, {"after": 1, "event": 2}, {"after": {"key": "x"}}])
async def test_a_verdict_nobody_can_read_is_a_lost_reply_and_no_end_of_all_starts(
    world: World, verdict: dict[str, object]
) -> None:
    await killed_at(world, Moment.AFTER_REPLY)
    journal = Journal(world.journal_path())
    journal.verdict("claim-0-1", verdict)
    await journal.close()
    life = await reborn(world)
    assert (world.row().state, world.row().uncertain) == (State.DEFERRED, 1)
    assert life.open_claims() == 0
    await life.end()


@pytest.mark.parametrize("moment", [Moment.AFTER_CLAIM, Moment.AFTER_DOT])
async def test_while_the_table_is_down_nothing_new_is_begun(world: World, moment: Moment) -> None:
    await killed_at(world, moment)
    world.book.trouble = {"get": [OSError("down")]}
    life = Life(world)
    with pytest.raises(OSError, match="down"):
        await life.recover()
    assert life.open_claims() == 1  # the start after this one tries again
    await life.end()


async def test_a_claim_of_a_delivery_that_is_gone_is_closed(world: World) -> None:
    journal = Journal(world.journal_path())
    journal.claim(ClaimRecord("c", "abcdefghij", 99, 0, 0, 0))
    await journal.close()
    life = await reborn(world)
    assert life.open_claims() == 0
    await life.end()


async def test_a_death_during_recovery_is_recovered_from(world: World) -> None:
    await killed_at(world, Moment.AFTER_DOT)
    life = Life(world)
    life.faults.dead = True
    life._die()
    with pytest.raises(Crash):
        await life.recover()
    await life.end()
    await (await reborn(world)).end()
    assert (world.row().state, world.row().uncertain) == (State.DEFERRED, 1)


SCRIPTS = st.lists(st.sampled_from([OK, BUSY, REFUSED, LOST]), max_size=3)
DEATHS = st.lists(st.tuples(st.sampled_from(Moment), st.integers(1, 6)), max_size=5)


@given(scripts=st.lists(SCRIPTS, min_size=1, max_size=4), deaths=DEATHS, takes=st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_sequence_of_deaths_loses_mail_or_doubles_it_unknowingly(
    scripts: list[list[SmtpReply]], deaths: list[tuple[Moment, int]], takes: bool
) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.receivers.takes_when_lost = takes
        for number, script in enumerate(scripts, 1):
            world.add(number)
            world.receivers.scripts[f"r{number}@example.org"] = list(script)
        asyncio.run(_many_lives(world, deaths))
        _assert_sound(world, len(scripts))


@given(scripts=st.lists(SCRIPTS, min_size=1, max_size=4), deaths=DEATHS, takes=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_scheduler_that_gives_claims_up_and_a_journal_that_comes_back_never_fight(
    scripts: list[list[SmtpReply]], deaths: list[tuple[Moment, int]], takes: bool
) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.receivers.takes_when_lost = takes
        for number, script in enumerate(scripts, 1):
            world.add(number)
            world.receivers.scripts[f"r{number}@example.org"] = list(script)
        asyncio.run(_many_lives(world, deaths, gives_up=True))
        for row in world.book.rows.values():
            told = [event.type for event in world.book.events if event.key == row.key]
            taken = world.receivers.taken[row.recipient]
            assert row.uncertain <= told.count(EventType.UNCERTAIN)
            assert taken <= told.count(EventType.SENT) + told.count(EventType.UNCERTAIN)
            assert taken or row.state is not State.SENT


async def _many_lives(
    world: World, deaths: list[tuple[Moment, int]], *, gives_up: bool = False
) -> None:
    for moment, visit in deaths:
        await _live(world, Life(world, moment, visit))
        for row in list(world.book.rows.values()) if gives_up else []:
            if row.state is State.ATTEMPTING:
                world.book.give_up(row.key, world.now, world.policy)
    while not all_final(world):
        before = list(world.book.rows.values())
        await _live(world, Life(world))
        assert before != list(world.book.rows.values()), "stuck"


async def _live(world: World, life: Life) -> None:
    """Recover, then work on all that waits at once, as the scheduler would bring it."""
    try:
        await life.recover()
        waiting = [row for row in world.book.rows.values() if row.state in CLAIMABLE]
        wake_ups = [world.wake_up(row.key.number) for row in waiting]
        ends = await asyncio.gather(*map(life.work, wake_ups), return_exceptions=True)
        assert all(isinstance(end, bool | Crash) for end in ends), ends
    except Crash:
        pass
    await life.end()
    world.now += 1.0
    assert life.faults.dead or life.open_claims() == 0


def _assert_sound(world: World, count: int) -> None:
    ids = [event.id for event in world.book.events]
    assert len(set(ids)) == len(ids)
    for number in range(1, count + 1):
        row = world.row(number)
        taken = world.receivers.taken[row.recipient]
        told = [event.type for event in world.book.events if event.key == row.key]
        assert (
            told.count(EventType.UNCERTAIN)
            == row.uncertain
            <= world.policy.transactional.uncertain_resends + 1
        )
        assert taken <= told.count(EventType.SENT) + row.uncertain
        assert row.attempts == len(told)
        if row.state is State.SENT:
            assert taken >= 1
        if row.state is State.BOUNCED:
            assert told[-1] is EventType.BOUNCED
        if row.state is State.UNCERTAIN:
            assert row.uncertain == world.policy.transactional.uncertain_resends + 1


async def test_a_claim_that_was_never_had_undoes_no_loss_of_another(world: World) -> None:
    """The journal still names an older claim of the same generation, under which nothing went."""
    await killed_at(world, Moment.AFTER_DOT)
    world.book.give_up(world.row().key, world.now, world.policy)
    given_up = world.row()
    journal = Journal(world.journal_path())
    key = given_up.key
    journal.claim(ClaimRecord("never-had", key.server, key.number, key.index, 0, 0))
    await journal.close()
    await (await reborn(world)).end()
    assert world.row() == given_up
