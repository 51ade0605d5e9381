"""Verdicts are written until they are written."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from egress.sender.attempt import claim
from egress.sender.recorder import Recorder
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, WakeUp
from mailroom.domain.outcome import classify_reply
from mailroom.domain.reply import SmtpReply
from mailroom.domain.settlement import Seen, Settlement, settle
from tests.support.desk import BUSY, OK, START, Life, World


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    world = World(tmp_path)
    world.add()
    life = Life(world)
    yield life
    await life.end()


async def claimed(life: Life) -> Delivery:
    delivery = await claim(life.world.wake_up(), life.desk)
    assert delivery is not None
    return delivery


def verdict(life: Life, delivery: Delivery, reply: SmtpReply) -> Settlement:
    return settle(
        delivery, classify_reply(reply), Seen(), now=START, policy=life.world.policy, jitter=0.0
    )


async def test_a_verdict_is_tried_again_until_the_table_answers(life: Life) -> None:
    delivery = await claimed(life)
    life.world.book.trouble = {"settle": [OSError("down"), OSError("still down")]}
    await life.desk.settled("claim-0-1", verdict(life, delivery, OK))
    assert life.world.row().state is State.SENT
    assert life.world.book.asked["settle"] == 3
    assert life.open_claims() == 0


async def test_a_write_whose_answer_was_lost_is_not_made_twice(life: Life) -> None:
    delivery = await claimed(life)
    life.world.book.late = True
    life.world.book.trouble = {"settle": [OSError("no answer")]}
    await life.desk.settled("claim-0-1", verdict(life, delivery, BUSY))
    assert life.world.row().attempts == 1
    assert len(life.world.book.events) == 1
    assert life.open_claims() == 0


async def test_until_the_table_has_it_the_journal_keeps_it(life: Life) -> None:
    await claimed(life)
    assert life.open_claims() == 1


async def test_a_claim_that_was_taken_over_is_left_alone(life: Life) -> None:
    delivery = await claimed(life)
    other = life.world.add(state=State.ATTEMPTING, claim="somebody")
    await life.desk.settled("claim-0-1", verdict(life, delivery, BUSY))
    assert life.world.row() == other
    assert not life.world.woken
    assert life.open_claims() == 0


async def test_what_is_deferred_is_woken_when_it_is_due(life: Life) -> None:
    delivery = await claimed(life)
    settlement = verdict(life, delivery, BUSY)
    life.world.now += 10.0  # the table took its time
    await life.desk.settled("claim-0-1", settlement)
    ((wake_up, delay),) = life.world.woken
    assert wake_up == life.world.wake_up()
    assert delay == 50.0


async def test_a_queue_that_is_down_stops_nothing(life: Life) -> None:
    delivery = await claimed(life)

    async def broken(wake_up: WakeUp, delay: float) -> bool:
        raise OSError("the queue is down")

    recorder = Recorder(life.world.book, life.journal, broken, lambda: START)
    await recorder("claim-0-1", verdict(life, delivery, BUSY))
    assert life.world.row().state is State.DEFERRED
    assert life.world.row().due_at is not None  # the due index finds it
    assert life.open_claims() == 0


async def test_a_verdict_on_a_claim_that_was_given_up_takes_the_place_of_the_doubt(
    life: Life,
) -> None:
    delivery = await claimed(life)
    life.world.book.give_up(delivery.key, START, life.world.policy)
    await life.desk.settled("claim-0-1", verdict(life, delivery, OK))
    row = life.world.row()
    assert (row.state, row.attempts, row.uncertain) == (State.SENT, 1, 0)
    assert life.open_claims() == 0


async def test_a_deferral_of_a_claim_that_was_given_up_is_woken_as_it_is_then(life: Life) -> None:
    delivery = await claimed(life)
    life.world.book.give_up(delivery.key, START, life.world.policy)
    await life.desk.settled("claim-0-1", verdict(life, delivery, BUSY))
    ((wake_up, _),) = life.world.woken
    assert wake_up.generation == life.world.row().generation == delivery.generation + 2


async def test_a_verdict_too_late_leaves_another_copy_under_way_alone(life: Life) -> None:
    delivery = await claimed(life)
    life.world.book.give_up(delivery.key, START, life.world.policy)
    lost = life.world.row()
    other = await claim(WakeUp(lost.key, lost.generation, lost.recipient), life.desk)
    assert other is not None
    await life.desk.settled("claim-0-1", verdict(life, delivery, OK))
    assert life.world.row() == other
