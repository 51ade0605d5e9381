"""The host's asynchronous adapters and the functions' synchronous ones mean the same rows."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from egress.aws.deliveries import ClaimAsk, Deliveries, LedgerError
from egress.aws.parked import ParkedMail
from mailroom.adapters.dynamo_ledger import DynamoDueWork, DynamoLedger
from mailroom.adapters.names import SHARDS, delivery_sk, mail_pk
from mailroom.adapters.tables import WatchRow, bound, mail_tables
from mailroom.domain.event import load_event
from mailroom.domain.hold import Hold, put_on_hold, release
from mailroom.domain.lifecycle import State
from mailroom.domain.message import BodyRef, Delivery, DeliveryKey, ServerId, Submission, WakeUp
from mailroom.domain.outcome import classify_reply
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.retry import RetryPolicy
from mailroom.domain.settlement import Seen, Settlement, expire, give_notice, lose_claim, settle
from tests.contract.conftest import Cloud
from tests.support.host_clients import clients

pytestmark = pytest.mark.emulator

SERVER = ServerId("abcdefghij")
NOW = 4_000_000_000.123  # to come: the emulator deletes rows whose ttl is over
BUSY = SmtpReply(451, "4.7.1 später", Phase.RCPT)
OK = SmtpReply(250, "2.0.0 ok", Phase.DOT)
LOST = SmtpReply(0, "connection lost", Phase.DOT)
WHOLE = Submission(
    server=SERVER,
    number=77,
    accepted_at=NOW,
    expires_at=NOW + 172_800,
    mail_from="ann@demo.example",
    from_address="ann@demo.example",
    sign_domain="demo.example",
    subject="Grüße",
    message_id="m1@demo.example",
    tag="news",
    size=123,
    recipients=2,
    source="smtp",
    bounce=True,
    body=BodyRef(inline=zlib.compress(b"raw\x00\xff")),
    credential="c1",
    received_with_ssl=True,
)


@dataclass
class Both:
    """One mail table seen from both sides."""

    deliveries: Deliveries
    ledger: DynamoLedger
    due_work: DynamoDueWork

    def add(self, number: int = 77, count: int = 1) -> list[Delivery]:
        rows = [
            Delivery(
                DeliveryKey(SERVER, number, index), f"r{index}@exämple.org", State.QUEUED,
                NOW, NOW + 172_800,
            )
            for index in range(count)
        ]  # fmt: skip
        self.ledger.reserve(rows)
        return rows

    def now(self, row: Delivery) -> Delivery:
        found = self.ledger.delivery(row.key)
        assert found is not None
        return found

    async def claimed(self, row: Delivery, claim: str = "claim-1") -> Delivery:
        found = await self.deliveries.claim(ask(row, claim))
        assert found is not None
        return found

    def due(self, later: float = 1e6) -> Sequence[DeliveryKey]:
        return self.due_work.due(NOW + later, 100)


def ask(row: Delivery, claim: str) -> ClaimAsk:
    return ClaimAsk(WakeUp(row.key, row.generation, row.recipient), claim, NOW + 1800)


def verdict(row: Delivery, reply: SmtpReply) -> Settlement:
    return settle(
        row, classify_reply(reply), Seen("mx.test", True, 0.5, "log"), now=NOW,
        policy=RetryPolicy(), jitter=0.0,
    )  # fmt: skip


@pytest.fixture
async def both(cloud: Cloud) -> AsyncIterator[Both]:
    tables = mail_tables(cloud.settings)
    watches = bound(WatchRow, cloud.settings.resource("table", "due"))
    async with clients("dynamodb") as (dynamodb,):
        deliveries = Deliveries(dynamodb, cloud.settings.resource("table", "mail"))
        yield Both(
            deliveries, DynamoLedger(tables, watches), DynamoDueWork(tables, watches, SHARDS)
        )
        await deliveries.drain()


@pytest.mark.parametrize(
    "submission",
    [
        WHOLE,
        replace(WHOLE, body=BodyRef(key="30/ab/org/abcdefghij/77"), received_with_ssl=False),
        replace(
            WHOLE,
            message_id=None,
            tag=None,
            subject="",
            mail_from="",
            credential="",
            bounce=False,
            received_with_ssl=None,
            source="api",
        ),
        replace(
            WHOLE,
            stream="broadcast",
            tags=("news", "zwei"),
            metadata={"order": "ü"},
            track_opens=True,
            track_clicks=False,
            send_at=NOW + 5,
            retention_days=7,
            raw_until=NOW + 99,
            test=True,
            individual=True,
        ),
    ],
    ids=["inline", "in S3", "bare", "rich"],
)
async def test_a_submission_is_read_as_it_was_committed(both: Both, submission: Submission) -> None:
    assert await both.deliveries.submission(SERVER, 77) is None
    both.ledger.commit(submission)
    assert await both.deliveries.submission(SERVER, 77) == submission
    assert both.ledger.submission(SERVER, 77) == submission


async def test_many_submissions_are_read_at_once_and_told_apart(both: Both) -> None:
    for number in range(1, 150, 2):
        both.ledger.commit(replace(WHOLE, number=number))
    asked = [*range(150), *range(150)]  # each twice: its recipients come together
    found = await asyncio.gather(*(both.deliveries.submission(SERVER, n) for n in asked))
    assert [each and each.number for each in found] == [n if n % 2 else None for n in asked]


class Throttled:
    """A table that answers one key a call, and after `until` calls all of them."""

    def __init__(self, until: int) -> None:
        self.calls, self._until = 0, until

    async def batch_get_item(self, **request: Any) -> dict[str, Any]:
        self.calls += 1
        ((table, wanted),) = request["RequestItems"].items()
        left = wanted["Keys"][1:] if self.calls < self._until else []
        return {"Responses": {}, "UnprocessedKeys": {table: {"Keys": left}} if left else {}}


async def test_what_a_busy_table_left_out_is_asked_for_again(both: Both) -> None:
    assert both
    table = Throttled(3)
    deliveries = Deliveries(table, "mail")
    found = await asyncio.gather(*(deliveries.submission(SERVER, n) for n in range(5)))
    assert (found, table.calls) == ([None] * 5, 3)
    deliveries = Deliveries(Throttled(99), "mail")
    asked = (deliveries.submission(SERVER, n) for n in range(9))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(answer, LedgerError) for answer in answers)


async def test_a_delivery_is_read_as_it_was_reserved(both: Both) -> None:
    rows = both.add(count=3)
    assert [await both.deliveries.get(row.key) for row in rows] == rows
    assert await both.deliveries.get(DeliveryKey(SERVER, 77, 3)) is None


async def test_a_claim_is_seen_from_both_sides(both: Both) -> None:
    (row,) = both.add()
    claimed = await both.claimed(row)
    expected = replace(row, state=State.ATTEMPTING, claim="claim-1", claim_until=NOW + 1800)
    assert claimed == both.now(row) == expected


async def test_only_one_of_many_has_a_claim(both: Both) -> None:
    (row,) = both.add()
    first = await both.deliveries.claim(ask(row, "claim-1"))
    others = [await both.deliveries.claim(ask(row, f"claim-{n}")) for n in range(2, 5)]
    assert first is not None
    assert others == [None] * 3
    assert both.now(row).claim == "claim-1"


async def test_a_claim_repeated_after_a_lost_answer_is_still_ours(both: Both) -> None:
    (row,) = both.add()
    assert await both.claimed(row) == await both.claimed(row)


async def test_a_stale_wake_up_claims_nothing(both: Both) -> None:
    (row,) = both.add()
    assert await both.deliveries.claim(ask(replace(row, generation=1), "claim-1")) is None
    assert both.now(row) == row


async def test_what_does_not_exist_is_not_claimed_into_being(both: Both) -> None:
    (row,) = both.add()
    missing = replace(row, key=DeliveryKey(SERVER, 99, 0))
    assert await both.deliveries.claim(ask(missing, "claim-1")) is None
    assert both.ledger.delivery(missing.key) is None


@pytest.mark.parametrize("reply", [OK, BUSY, LOST])
async def test_a_verdict_is_seen_from_both_sides(
    both: Both, cloud: Cloud, reply: SmtpReply
) -> None:
    (row,) = both.add()
    settlement = verdict(await both.claimed(row), reply)
    assert await both.deliveries.settle("claim-1", settlement.after, settlement.event)
    assert both.now(row) == await both.deliveries.get(row.key) == settlement.after
    assert load_event(json.loads(_outbox(cloud, row))) == settlement.event


async def test_a_verdict_on_a_lost_claim_changes_nothing(both: Both) -> None:
    (row,) = both.add()
    claimed = await both.claimed(row)
    settlement = verdict(claimed, OK)
    assert not await both.deliveries.settle("other", settlement.after, settlement.event)
    assert both.now(row) == claimed
    assert await both.deliveries.settle("claim-1", settlement.after, settlement.event)
    assert not await both.deliveries.settle("claim-1", settlement.after, settlement.event)


async def test_the_scheduler_settles_what_the_host_claimed_and_the_host_sees_it(
    both: Both,
) -> None:
    (row,) = both.add()
    claimed = await both.claimed(row)
    lost = verdict(claimed, LOST)
    assert both.due_work.settle(claimed, lost.after, lost.event)
    assert await both.deliveries.get(row.key) == lost.after
    late = verdict(claimed, OK)
    assert not await both.deliveries.settle("claim-1", late.after, late.event)
    assert both.now(row) == lost.after


async def test_the_host_settles_first_and_the_scheduler_sees_it(both: Both) -> None:
    (row,) = both.add()
    claimed = await both.claimed(row)
    done, late = verdict(claimed, OK), verdict(claimed, LOST)
    assert await both.deliveries.settle("claim-1", done.after, done.event)
    assert not both.due_work.settle(claimed, late.after, late.event)
    assert both.now(row).state is State.SENT


@pytest.mark.parametrize("back_to", [State.QUEUED, State.DEFERRED])
async def test_a_claim_given_back_can_be_had_again(both: Both, back_to: State) -> None:
    (row,) = both.add()
    await both.claimed(row)
    assert not await both.deliveries.release("other", row.key, back_to, 1)
    assert await both.deliveries.release("claim-1", row.key, back_to, 1)
    free = replace(row, state=back_to, generation=1)
    assert both.now(row) == await both.deliveries.get(row.key) == free
    assert (await both.claimed(free, "claim-2")).claim == "claim-2"


async def test_a_parked_claim_is_due_when_there_is_room(both: Both) -> None:
    (row,) = both.add()
    await both.claimed(row)
    assert not await both.deliveries.release("other", row.key, State.QUEUED, 1, NOW + 3600)
    assert await both.deliveries.release("claim-1", row.key, State.QUEUED, 1, NOW + 3600)
    parked = replace(row, generation=1, due_at=NOW + 3600)
    assert both.now(row) == await both.deliveries.get(row.key) == parked
    assert both.due(3599.0) == []
    assert both.due(3600.0) == [row.key]


async def test_a_scheduled_delivery_is_claimed_with_its_own_texts(both: Both) -> None:
    row = Delivery(
        DeliveryKey(SERVER, 78, 0), "ann@x.test", State.SCHEDULED, NOW, NOW + 172_800,
        due_at=NOW + 60, merge={"name": "Jörg"},
    )  # fmt: skip
    both.ledger.reserve([row])
    claimed = await both.claimed(row)
    assert claimed == both.now(row)
    assert (claimed.state, claimed.merge) == (State.ATTEMPTING, {"name": "Jörg"})
    sent = verdict(claimed, OK)
    assert await both.deliveries.settle("claim-1", sent.after, sent.event)
    assert both.now(row) == sent.after


async def test_what_a_waiting_delivery_remembers_is_seen_from_both_sides(both: Both) -> None:
    row = Delivery(
        DeliveryKey(SERVER, 79, 0), "ann@x.test", State.QUEUED, NOW, NOW + 172_800, bulk=True
    )
    both.ledger.reserve([row])
    assert both.now(row) == await both.deliveries.get(row.key) == row
    first = verdict(await both.claimed(row), BUSY)
    kept = replace(first.after, sticky="adr_1", stalls=3, late=True)
    assert await both.deliveries.settle("claim-1", kept, first.event)
    assert both.now(row) == await both.deliveries.get(row.key) == kept
    second = verdict(await both.claimed(kept, "claim-2"), BUSY)
    forgotten = replace(second.after, sticky="", stalls=0, late=False)
    assert await both.deliveries.settle("claim-2", forgotten, second.event)
    assert both.now(row) == await both.deliveries.get(row.key) == forgotten
    noted = replace(forgotten, sticky="adr_2", stalls=1, late=True)
    assert both.due_work.settle(forgotten, noted, second.event)
    assert both.now(row) == await both.deliveries.get(row.key) == noted
    again = replace(noted, sticky="", stalls=0, late=False)
    assert both.due_work.settle(noted, again, second.event)
    assert both.now(row) == await both.deliveries.get(row.key) == again


@pytest.mark.parametrize("reply", [OK, BUSY])
async def test_what_is_learnt_late_of_a_lost_claim_is_written_all_the_same(
    both: Both, reply: SmtpReply
) -> None:
    (row,) = both.add()
    claimed = await both.claimed(row)
    late = verdict(claimed, reply)
    lost = lose_claim(claimed, now=NOW, policy=RetryPolicy())
    assert (
        await both.deliveries.correct("claim-1", late.after, late.event) is None
    )  # nobody gave it up
    assert both.due_work.settle(claimed, lost.after, lost.event)
    other = "claim-9.never-had"  # of the same generation, but nobody's loss
    assert await both.deliveries.correct(other, late.after, late.event) is None
    known = await both.deliveries.correct("claim-1", late.after, late.event)
    assert known == both.now(row) == replace(late.after, generation=late.after.generation + 1)
    assert await both.deliveries.correct("claim-1", late.after, late.event) is None  # not twice
    assert await both.deliveries.claim(ask(lost.after, "claim-2")) is None  # the copy's wake-up


async def test_what_is_learnt_late_changes_nothing_once_another_has_the_claim(both: Both) -> None:
    (row,) = both.add()
    claimed = await both.claimed(row)
    late, lost = verdict(claimed, OK), lose_claim(claimed, now=NOW, policy=RetryPolicy())
    assert both.due_work.settle(claimed, lost.after, lost.event)
    again = await both.claimed(lost.after, "claim-2")
    assert await both.deliveries.correct("claim-1", late.after, late.event) is None
    assert both.now(row) == again


async def test_what_is_deferred_is_in_the_due_index_until_it_is_settled(both: Both) -> None:
    (row,) = both.add()
    assert both.due() == []
    deferred = verdict(await both.claimed(row), BUSY)
    assert await both.deliveries.settle("claim-1", deferred.after, deferred.event)
    assert both.due(59.0) == []
    assert both.due(60.0) == [row.key]
    again = await both.claimed(both.now(row), "claim-2")
    assert again.due_at == NOW + 60.0
    assert both.due() == [row.key]  # a claim whose owner dies is found here
    sent = verdict(again, OK)
    assert await both.deliveries.settle("claim-2", sent.after, sent.event)
    assert both.due() == []
    assert both.now(row).due_at is None


async def test_a_hold_and_its_release_mean_the_same_on_both_sides(both: Both) -> None:
    (row,) = both.add()
    held = put_on_hold(await both.claimed(row), Hold.DEVELOPMENT, now=NOW, seconds=60.0)
    assert await both.deliveries.settle("claim-1", held.after, held.event)
    assert both.now(row) == await both.deliveries.get(row.key) == held.after
    assert await both.deliveries.claim(ask(held.after, "claim-2")) is None
    assert both.due(60.0) == [row.key]
    out = release(held.after, "ann", now=NOW + 9, lifetime=100.0, due_at=NOW + 20)
    assert both.due_work.settle(held.after, out.after, out.event)
    assert not both.due_work.settle(held.after, out.after, out.event)  # not twice
    assert both.now(row) == await both.deliveries.get(row.key) == out.after
    claimed = await both.claimed(out.after, "claim-3")
    assert (claimed.manual, claimed.expires_at) == (True, NOW + 109)
    deferred = verdict(claimed, BUSY)
    assert await both.deliveries.settle("claim-3", deferred.after, deferred.event)
    assert both.now(row).manual


async def test_parked_mail_is_found_by_its_age_and_stays_parked_when_called_late(
    both: Both, cloud: Cloud
) -> None:
    (row,) = both.add()
    async with clients("dynamodb") as (dynamodb,):
        parking = ParkedMail(dynamodb, cloud.settings.resource("table", "mail"))
        assert await parking.park(row.key, 0, "park#p#x", NOW)
        parked = both.now(row)
        assert both.due_work.between("park#p#x", NOW - 1, NOW + 1, 10) == [row.key]
        assert both.due_work.between("park#p#x", NOW + 1, NOW + 2, 10) == []
        notice = give_notice(parked, now=NOW + 9)
        assert both.due_work.settle(parked, notice.after, notice.event)
        assert both.now(row) == notice.after
        assert [each.key for each in await parking.waiting("park#p#x", 10)] == [row.key]
        assert both.due() == []
        gone = expire(notice.after, now=NOW + 10)
        assert both.due_work.settle(notice.after, gone.after, gone.event)
        assert both.due_work.between("park#p#x", 0.0, NOW + 1, 10) == []
        await parking.drain()


async def test_what_the_scheduler_postponed_the_host_still_claims(both: Both) -> None:
    (row,) = both.add()
    deferred = verdict(await both.claimed(row), BUSY)
    await both.deliveries.settle("claim-1", deferred.after, deferred.event)
    assert both.due_work.postpone(both.now(row), NOW + 600)
    assert (await both.claimed(both.now(row), "claim-2")).due_at == NOW + 600


async def test_sixty_claims_at_once_are_told_apart(both: Both) -> None:
    rows = both.add(count=60)
    for row in rows[::3]:
        await both.claimed(row, "somebody")
    answers = await asyncio.gather(*(both.deliveries.claim(ask(row, "mine")) for row in rows))
    had = {answer.key for answer in answers if answer is not None}
    assert had == {row.key for row in rows} - {row.key for row in rows[::3]}
    assert all(answer is None or answer.claim == "mine" for answer in answers)


def _outbox(cloud: Cloud, row: Delivery) -> str:
    item = cloud.client("dynamodb").get_item(
        TableName=cloud.settings.resource("table", "mail"),
        Key={
            "pk": {"S": mail_pk(row.key.server, row.key.number)},
            "sk": {"S": delivery_sk(row.key.index)},
        },
    )["Item"]
    return str(item["event"]["S"])
