"""One attempt: who may send, what a reply leads to, and whose trouble costs what."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from egress.journal import Journal, JournalError
from egress.sender.attempt import LAST_START, attempt, claim, dump_settlement
from egress.sender.copies import Copy, NotCommittedError, UnfitCopyError
from egress.sender.exchange import Exchanged
from egress.sender.faults import Moment
from egress.sender.holds import Held, Parked, Simulated, Suppressed
from egress.sender.recovery import load_settlement
from egress.sender.troubles import Troubles
from mailroom.domain.event import EventType
from mailroom.domain.hold import Hold, put_on_hold
from mailroom.domain.lifecycle import FINAL, State
from mailroom.domain.message import DeliveryKey
from mailroom.domain.outcome import classify_reply
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.settlement import Seen, settle
from mailroom.errors import LimitUnavailableError
from tests.support.desk import BUSY, LOST, OK, REFUSED, SERVER, START, Crash, Life, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.add()
    return world


@pytest.fixture
async def life(world: World) -> AsyncIterator[Life]:
    life = Life(world)
    yield life
    await life.end()


@pytest.mark.parametrize(
    ("reply", "state", "kind", "taken"),
    [
        (OK, State.SENT, EventType.SENT, 1),
        (BUSY, State.DEFERRED, EventType.DEFERRED, 0),
        (REFUSED, State.BOUNCED, EventType.BOUNCED, 0),
        (LOST, State.DEFERRED, EventType.UNCERTAIN, 1),
    ],
)
async def test_a_reply_becomes_a_state_and_an_event(
    world: World, life: Life, reply: SmtpReply, state: State, kind: EventType, taken: int
) -> None:
    world.receivers.scripts = {"r1@example.org": [reply]}
    assert await life.work(world.wake_up())
    row = world.row()
    assert (row.state, row.attempts, row.claim) == (state, 1, None)
    assert [event.type for event in world.book.events] == [kind]
    assert world.receivers.taken.total() == taken
    assert life.open_claims() == 0
    due = [(world.wake_up(), row.due_at - START)] if row.due_at else []
    assert world.woken == due


async def test_the_event_carries_host_reply_tls_and_duration(world: World, life: Life) -> None:
    await life.work(world.wake_up())
    facts = world.book.events[0].attempt
    assert facts is not None
    assert (facts.mx, facts.tls, facts.reply, facts.phase) == ("mx.test", True, "250 2.0.0 ok", ".")
    assert facts.log_id == "claim-0-"  # the first eight characters of the claim's own part


@pytest.mark.parametrize("state", sorted(FINAL | {State.ATTEMPTING, State.HELD}))
async def test_what_is_not_to_be_had_is_not_sent(world: World, life: Life, state: State) -> None:
    row = world.add(state=state, claim="somebody" if state is State.ATTEMPTING else None)
    assert not await life.work(world.wake_up())
    assert not world.receivers.offered
    assert world.row() == row
    assert life.open_claims() == 0


@pytest.mark.parametrize("generation", [2, 4])
async def test_a_stale_wake_up_sends_nothing(world: World, life: Life, generation: int) -> None:
    wake_up = world.wake_up()
    row = world.add(generation=3)
    assert not await life.work(type(wake_up)(row.key, generation, row.recipient))
    assert not world.receivers.offered
    assert world.row() == row


async def test_two_wake_ups_at_once_send_one_copy(world: World, life: Life) -> None:
    wake_up = world.wake_up()
    assert await life.work(wake_up)
    assert not await life.work(wake_up)
    assert world.receivers.taken.total() == 1


@pytest.mark.parametrize(("late", "had"), [(True, True), (False, False)])
async def test_a_claim_in_doubt_is_looked_up(
    world: World, life: Life, late: bool, had: bool
) -> None:
    world.book.late = late
    world.book.trouble = {"claim": [OSError("no answer")]}
    assert await life.work(world.wake_up()) == had
    assert world.receivers.taken.total() == int(had)
    assert world.row().state is (State.SENT if had else State.QUEUED)
    assert life.open_claims() == 0


async def test_a_claim_in_doubt_that_somebody_else_has_is_let_go(world: World, life: Life) -> None:
    world.book.trouble = {"claim": [OSError("no answer")]}
    world.add(state=State.ATTEMPTING, claim="somebody")
    assert not await life.work(world.wake_up())
    assert not world.receivers.offered


@pytest.mark.parametrize(
    ("attempts", "back_to"), [(0, State.QUEUED), (1, State.DEFERRED), (7, State.DEFERRED)]
)
async def test_trouble_of_our_own_before_the_dot_uses_no_attempt(
    world: World, life: Life, attempts: int, back_to: State
) -> None:
    before = world.add(attempts=attempts, state=back_to)
    world.copier.answer = OSError("S3 is away")
    assert await life.work(world.wake_up())
    row = world.row()
    assert (row.state, row.attempts, row.claim) == (back_to, attempts, None)
    assert row.generation == before.generation + 1
    assert world.woken == [(world.wake_up(), 30.0)]
    assert not world.book.events
    assert life.open_claims() == 0


class Raising:
    """A receiver's side that fails us, before the dot or after it."""

    def __init__(self, *, after: bool) -> None:
        self._after = after

    async def __call__(self, copy: Copy, to: str, **calls: Any) -> Exchanged:
        if self._after:
            await calls["before_dot"]()
        raise RuntimeError("a defect of ours")


async def test_an_exchange_that_fails_before_the_dot_gives_the_claim_back(
    world: World, life: Life
) -> None:
    life.send._port = Raising(after=False)
    await life.work(world.wake_up())
    assert (world.row().state, world.row().attempts) == (State.QUEUED, 0)


async def test_an_exchange_that_fails_after_the_dot_is_uncertain(world: World, life: Life) -> None:
    life.send._port = Raising(after=True)
    await life.work(world.wake_up())
    row = world.row()
    assert (row.state, row.attempts, row.uncertain) == (State.DEFERRED, 1, 1)
    assert world.woken == [(world.wake_up(), world.policy.resend_delay(jitter=0.0))]
    assert [event.type for event in world.book.events] == [EventType.UNCERTAIN]


async def test_a_delivery_nobody_was_promised_waits_for_its_commit(
    world: World, life: Life
) -> None:
    world.copier.answer = NotCommittedError("x")
    await life.work(world.wake_up())
    assert (world.row().state, world.row().attempts) == (State.QUEUED, 0)
    assert not world.woken  # the commit, or whoever looks for it, wakes it
    assert not world.receivers.offered


async def test_a_copy_that_may_not_be_made_is_refused_without_a_connection(
    world: World, life: Life
) -> None:
    world.copier.answer = SmtpReply(550, "5.7.1 not verified any more", Phase.MAIL)
    await life.work(world.wake_up())
    assert world.row().state is State.BOUNCED
    assert not world.receivers.offered


async def test_a_domain_that_takes_no_mail_is_the_exchanges_answer(
    world: World, life: Life
) -> None:
    world.receivers.scripts = {
        "r1@example.org": [SmtpReply(556, "5.1.10 null MX", Phase.DNS)],
    }
    await life.work(world.wake_up())
    assert world.row().state is State.BOUNCED


class FailingJournal(Journal):
    """A disk that fails at the dot or at the verdict."""

    at = "dot"

    async def dot(self, claim: str) -> None:
        if self.at == "dot":
            raise JournalError("the journal could not be synced")
        await super().dot(claim)

    def verdict(self, claim: str, verdict: Any) -> None:
        if self.at == "verdict":
            raise JournalError("the journal failed")
        super().verdict(claim, verdict)


async def test_without_a_durable_dot_nothing_is_sent(world: World) -> None:
    life = Life(world, journal=FailingJournal)
    await life.work(world.wake_up())
    await life.end()
    assert not world.receivers.taken
    assert (world.row().state, world.row().attempts) == (State.QUEUED, 0)


async def test_a_known_verdict_reaches_the_table_though_the_disk_fails(world: World) -> None:
    life = Life(world, journal=type("Full", (FailingJournal,), {"at": "verdict"}))
    await life.work(world.wake_up())
    await life.end()
    assert world.row().state is State.SENT


async def test_a_transaction_is_not_finished_on_a_claim_that_is_too_old(
    world: World, life: Life
) -> None:
    delivery = await claim(world.wake_up(), life.desk)
    assert delivery is not None

    class Slow:
        async def __call__(self, *given: Any, before_dot: Any, **named: Any) -> Exchanged:
            life.monotonic += LAST_START + 1
            await before_dot()
            raise AssertionError("the dot was written")

    life.send._port = Slow()
    await attempt(delivery, life.desk, life.send)
    assert (world.row().state, world.row().attempts) == (State.QUEUED, 0)


@pytest.mark.parametrize("attempts", [0, 3])
async def test_a_hold_is_written_like_a_verdict_and_wakes_nobody(
    world: World, life: Life, attempts: int
) -> None:
    before = world.add(attempts=attempts, generation=5)
    world.copier.answer = Held(Hold.DEVELOPMENT)
    assert await life.work(world.wake_up())
    row = world.row()
    assert (row.state, row.attempts, row.claim) == (State.HELD, attempts, None)
    assert (row.generation, row.due_at) == (before.generation + 1, START + 7 * 86_400)
    (event,) = world.book.events
    assert (event.type, event.attempt and event.attempt.final) == (EventType.HELD, False)
    assert not world.receivers.offered
    assert not world.woken
    assert life.open_claims() == 0


async def test_a_hold_that_the_table_did_not_hear_of_is_written_at_the_next_start(
    world: World,
) -> None:
    world.copier.answer = Held(Hold.LIMIT)
    life = Life(world, Moment.AFTER_REPLY)
    with pytest.raises(Crash):
        await life.work(world.wake_up())
    await life.end()
    life = Life(world)
    await life.recover()
    assert world.row().state is State.QUEUED  # not even in the journal: looked at again
    await life.work(world.wake_up())
    await life.end()
    assert (world.row().state, world.row().attempts) == (State.HELD, 0)


async def test_a_hold_in_the_journal_survives_a_crash(world: World, life: Life) -> None:
    delivery = await claim(world.wake_up(), life.desk)
    assert delivery is not None
    settlement = put_on_hold(delivery, Hold.CREDENTIAL, now=START, seconds=60.0)
    life.journal.verdict(delivery.claim or "", dump_settlement(settlement))
    life._die()
    reborn = Life(world)
    await reborn.recover()
    await reborn.end()
    assert (world.row().state, world.row().due_at) == (State.HELD, START + 60.0)
    assert [event.type for event in world.book.events] == [EventType.HELD]
    assert not world.woken


async def test_a_hold_ends_while_its_content_is_still_there(world: World, life: Life) -> None:
    world.add()
    lifetime = life.desk.policy.give_up_after / life.desk.policy.divisor
    world.copier.answer = Held(Hold.LIMIT, START + lifetime + 3600)
    assert await life.work(world.wake_up())
    assert world.row().due_at == START + 3600


@pytest.mark.parametrize("attempts", [0, 3])
async def test_a_suppressed_recipient_ends_it_and_uses_no_attempt(
    world: World, life: Life, attempts: int
) -> None:
    before = world.add(attempts=attempts, generation=5)
    world.copier.answer = Suppressed("complaint")
    assert await life.work(world.wake_up())
    row = world.row()
    assert (row.state, row.attempts, row.claim, row.due_at) == (
        State.SUPPRESSED,
        attempts,
        None,
        None,
    )
    assert row.generation == before.generation + 1
    (event,) = world.book.events
    assert event.type is EventType.SUPPRESSED
    assert event.attempt is not None
    assert "complaint" in event.attempt.details
    assert not world.receivers.offered
    assert not world.woken
    assert life.open_claims() == 0


async def test_what_waits_for_room_is_parked_and_wakes_nobody(world: World, life: Life) -> None:
    before = world.add(generation=5)
    world.copier.answer = Parked(START + 3600)
    assert await life.work(world.wake_up())
    row = world.row()
    assert (row.state, row.attempts, row.claim) == (State.QUEUED, 0, None)
    assert row.generation == before.generation + 1
    assert row.due_at is not None
    assert START + 3600 <= row.due_at <= START + 3600 + 900
    assert not world.book.events
    assert not world.woken
    assert life.open_claims() == 0


async def test_what_never_leaves_is_settled_by_the_answer_it_stands_for(
    world: World, life: Life
) -> None:
    world.copier.answer = Simulated(SmtpReply(550, "5.1.1 simulated", Phase.RCPT))
    assert await life.work(world.wake_up())
    assert world.row().state is State.BOUNCED
    (event,) = world.book.events
    assert event.attempt is not None
    assert (event.attempt.mx, event.attempt.tls) == ("sandbox.invalid", False)
    assert not world.receivers.offered
    assert life.open_claims() == 0


async def test_a_limit_nobody_knows_gives_the_claim_back(world: World, life: Life) -> None:
    world.copier.answer = LimitUnavailableError("the table is away")
    for _ in range(5):  # however often
        await life.work(world.wake_up())
    assert (world.row().state, world.row().attempts) == (State.QUEUED, 0)
    assert [delay for _, delay in world.woken] == [30.0] * 5
    assert not world.receivers.offered


async def test_a_copy_that_can_never_be_made_is_deferred_by_the_rules_from_the_third_time(
    world: World, life: Life
) -> None:
    world.copier.answer = UnfitCopyError("LookupError")
    for _ in range(3):
        assert not world.book.events
        await life.work(world.wake_up())
    row = world.row()
    assert (row.state, row.attempts, row.due_at) == (State.DEFERRED, 1, START + 60)
    assert [delay for _, delay in world.woken] == [30.0, 30.0, 60.0]
    (event,) = world.book.events
    assert event.attempt is not None
    assert "LookupError" in event.attempt.reply
    await life.work(world.wake_up())  # and then the count starts anew
    assert world.row().attempts == 1


async def test_the_memory_of_troubles_is_bounded() -> None:
    troubles = Troubles(patience=2)
    keys = [DeliveryKey(SERVER, number, 0) for number in range(1, 1_102)]
    assert not any(troubles.exhausted_by(key) for key in keys)
    assert not troubles.exhausted_by(keys[0])  # forgotten
    assert troubles.exhausted_by(keys[-1])


async def test_no_transaction_is_begun_on_a_claim_that_is_too_old(world: World, life: Life) -> None:
    delivery = await claim(world.wake_up(), life.desk)
    assert delivery is not None

    class Slow:
        async def copy(self, delivery: object) -> Copy:
            life.monotonic += LAST_START + 1
            return Copy("b@rp.test", b"x")

    life.desk.copier._port = Slow()  # type: ignore[attr-defined]
    await attempt(delivery, life.desk, life.send)
    assert (world.row().state, world.row().attempts) == (State.QUEUED, 0)
    assert not world.receivers.offered


@pytest.mark.parametrize("broken_at", ["dot", "verdict"])
async def test_a_broken_journal_is_told_after_the_claim_is_closed(
    world: World, broken_at: str
) -> None:
    class Broken(FailingJournal):
        at = broken_at

        def settled(self, claim: str) -> None:
            raise JournalError("the journal failed")

    life = Life(world, journal=Broken)
    world.receivers.scripts = {"r1@example.org": [LOST]}
    with pytest.raises(JournalError):
        await life.work(world.wake_up())
    await life.end()
    row = world.row()
    assert row.claim is None
    assert row.state is (State.QUEUED if broken_at == "dot" else State.DEFERRED)
    assert [wake_up for wake_up, _ in world.woken] == [world.wake_up()]


@pytest.mark.parametrize("reply", [OK, BUSY, REFUSED, LOST])
def test_a_settlement_survives_the_journal(tmp_path: Path, reply: SmtpReply) -> None:
    before = World(tmp_path).add(state=State.ATTEMPTING, claim="c")
    settlement = settle(
        before, classify_reply(reply), Seen("mx", True, 1.0, "c"), now=START,
        policy=World(tmp_path).policy, jitter=0.5,
    )  # fmt: skip
    assert load_settlement(dump_settlement(settlement)) == settlement


async def test_the_log_line_names_no_address(
    world: World, life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world.receivers.scripts = {"r1@example.org": [BUSY]}
    await life.work(world.wake_up())
    (line,) = [record for record in caplog.records if record.message == "attempt"]
    assert "@" not in str(vars(line))
    assert vars(line)["reply"] == "451 4.7.1 later"
    assert vars(line)["delivery"] == str(world.row().key)
