"""The record of submissions and deliveries: fake and adapter keep the same promises."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mailroom.adapters.dynamo_ledger import DynamoDueWork, DynamoLedger
from mailroom.adapters.gathered_ledger import GatheredLedger
from mailroom.adapters.names import SHARDS, delivery_sk, mail_pk
from mailroom.adapters.tables import WatchRow, bound, mail_tables
from mailroom.domain.event import AttemptFacts, Event, EventType, ViewFacts
from mailroom.domain.hold import Hold, cancel, put_on_hold, release
from mailroom.domain.intervention import redeliver, reschedule, try_now
from mailroom.domain.lifecycle import State
from mailroom.domain.message import (
    BodyRef,
    Delivery,
    DeliveryKey,
    ServerId,
    Submission,
)
from mailroom.domain.settlement import suppress
from mailroom.errors import NumberTakenError
from mailroom.fakes.memory import MemoryLedger

SERVER, OTHER = ServerId("abcdefghij"), ServerId("bbbbbbbbbb")
NOW = 4_000_000_000.123  # of a time to come: an emulator deletes rows whose `ttl` is over
FAKE_AND_ADAPTER = [
    "memory",
    pytest.param("dynamo", marks=pytest.mark.emulator),
    pytest.param("gathered", marks=pytest.mark.emulator),
]


@pytest.fixture(params=FAKE_AND_ADAPTER)
def ports(request):
    """(Ledger, DueWork, what a claim by egress writes) over the same rows."""
    if request.param == "memory":
        memory = MemoryLedger()
        return memory, memory, memory.put
    settings = request.getfixturevalue("cloud").settings
    tables = mail_tables(settings)
    watches = bound(WatchRow, settings.resource("table", "due"))

    def claim(row):
        name = mail_pk(row.key.server, row.key.number), delivery_sk(row.key.index)
        model = tables.delivery
        model(*name).update(
            actions=[
                model.state.set(str(row.state)),
                model.claim.set(row.claim),
                model.until.set(round(row.claim_until * 1000)),
            ]
        )

    work = DynamoDueWork(tables, watches, SHARDS)
    if request.param == "dynamo":
        return DynamoLedger(tables, watches), work, claim
    dynamodb = request.getfixturevalue("cloud").client("dynamodb")
    return GatheredLedger(tables, watches, dynamodb), work, claim


@pytest.fixture
def ledger(ports):
    return ports[0]


@pytest.fixture
def due_work(ports):
    return ports[1]


def test_a_release_changes_lifetime_and_mark_and_a_cancelled_hold_is_due_no_more(ports):
    ledger, due_work, claim = ports
    first, second = delivery(0), delivery(1)
    ledger.reserve([first, second])
    held = []
    for row in (first, second):
        claimed = replace(row, state=State.ATTEMPTING, claim="c", claim_until=NOW + 9)
        claim(claimed)
        done = put_on_hold(claimed, Hold.LIMIT, now=NOW, seconds=60.0)
        assert due_work.settle(claimed, done.after, done.event)
        held.append(done.after)
    assert due_work.due(NOW + 61, 9) == [first.key, second.key]
    out = release(held[0], "ann", now=NOW + 5, lifetime=5000.0, due_at=NOW + 10)
    gone = cancel(held[1], "ann", now=NOW + 5)
    assert due_work.settle(held[0], out.after, out.event)
    assert due_work.settle(held[1], gone.after, gone.event)
    assert [ledger.delivery(row.key) for row in (first, second)] == [out.after, gone.after]
    assert due_work.due(NOW + 61, 9) == [first.key]


def delivery(index=0, number=5, server=SERVER):
    return Delivery(
        key=DeliveryKey(server, number, index),
        recipient=f"Ann+{index}@x.test",
        state=State.QUEUED,
        accepted_at=NOW,
        expires_at=NOW + 1000,
    )


def submission(number=5, server=SERVER, **changes):
    whole = Submission(
        server=server,
        number=number,
        accepted_at=NOW,
        expires_at=NOW + 1000,
        mail_from="",
        from_address="me@demo.test",
        sign_domain="demo.test",
        subject="Grüße",
        message_id=None,
        tag=None,
        size=123,
        recipients=2,
        source="api",
        bounce=True,
        body=BodyRef(inline=b"\x00\xff"),
        credential="c1",
        received_with_ssl=None,
    )
    return replace(whole, **changes)


def attempt(key, number=1, kind=EventType.DEFERRED, at=NOW + 1):
    facts = AttemptFacts(number, "details ü", reply="451 4.0.0 later", code=451, seconds=0.5)
    return Event(f"{key}/{number}/{kind}", kind, key, at, attempt=facts)


def deferred(before, due_at):
    return replace(
        before, state=State.DEFERRED, attempts=before.attempts + 1,
        generation=before.generation + 1, due_at=due_at,
    )  # fmt: skip


def test_a_submission_comes_back_as_it_was_committed(ledger):
    whole = submission(message_id="a@b", tag="t", received_with_ssl=False, mail_from="x@y.test")
    stored_apart = submission(number=6, body=BodyRef(key="30/ab/o/s/6"))
    rich = submission(
        number=7,
        stream="broadcast",
        tag="one",
        tags=("one", "zwei ü"),
        metadata={"order": "4711", "näme": "ü"},
        track_opens=False,
        track_clicks=True,
        send_at=NOW + 86_400,
        retention_days=400,
        raw_until=NOW + 9_000,
        test=True,
        individual=True,
    )
    for value in (whole, stored_apart, rich):
        ledger.commit(value)
        assert ledger.submission(SERVER, value.number) == value


def test_there_is_no_submission_before_the_commit(ledger):
    ledger.watch(SERVER, 5, NOW)
    ledger.reserve([delivery()])
    assert ledger.submission(SERVER, 5) is None
    assert ledger.delivery(delivery().key) == delivery()


def test_a_submission_is_committed_once(ledger):
    ledger.commit(submission())
    with pytest.raises(Exception, match=r"\S"):
        ledger.commit(submission(subject="another"))
    assert ledger.submission(SERVER, 5) == submission()


def test_servers_and_numbers_are_apart(ledger):
    ledger.commit(submission())
    ledger.reserve([delivery()])
    assert ledger.submission(OTHER, 5) is None
    assert ledger.submission(SERVER, 50) is None
    assert ledger.delivery(delivery(server=OTHER).key) is None
    assert ledger.deliveries(OTHER, 5) == []


def test_deliveries_come_in_index_order(ledger):
    every = [delivery(index) for index in range(30)]
    ledger.reserve(every)
    ledger.commit(submission(recipients=30))
    ledger.record(attempt(every[3].key))
    assert list(ledger.deliveries(SERVER, 5)) == every
    assert ledger.delivery(every[29].key) == every[29]
    assert ledger.delivery(delivery(30).key) is None


def test_a_recipient_keeps_its_own_texts_whatever_becomes_of_it(ledger, due_work):
    before = replace(delivery(), merge={"name": "Jörg", "n": "<&>"})
    ledger.reserve([before])
    assert ledger.delivery(before.key) == before
    assert due_work.settle(before, deferred(before, NOW + 60), attempt(before.key))
    assert ledger.delivery(before.key).merge == before.merge


def test_a_scheduled_delivery_is_due_at_its_time_and_can_be_discarded(ledger, due_work):
    waiting = [
        replace(delivery(index), state=State.SCHEDULED, due_at=NOW + 3600) for index in (0, 1)
    ]
    ledger.reserve(waiting)
    assert list(ledger.deliveries(SERVER, 5)) == waiting
    assert list(due_work.due(NOW + 3599, 10)) == []
    assert sorted(due_work.due(NOW + 3600, 10)) == [row.key for row in waiting]
    due_work.discard(waiting[0].key)
    assert list(due_work.due(NOW + 3600, 10)) == [waiting[1].key]


def test_what_people_decide_is_written(ledger, due_work):
    first = replace(delivery(0), state=State.SCHEDULED, due_at=NOW + 3600)
    rest = [delivery(1), replace(delivery(2), state=State.SCHEDULED, due_at=NOW + 3600)]
    ledger.reserve([first, *rest])
    moved = reschedule(first, "ann", now=NOW, send_at=NOW + 7200, lifetime=1000.0)
    ended = suppress(rest[0], "complaint", now=NOW)
    tried = try_now(rest[1], "ann", now=NOW, due_at=NOW + 120)
    for before, done in zip((first, *rest), (moved, ended, tried), strict=True):
        assert due_work.settle(before, done.after, done.event)
        assert ledger.delivery(before.key) == done.after
    assert list(due_work.due(NOW + 7200, 10)) == [tried.after.key, first.key]
    again = redeliver(ended.after, "ann", now=NOW, lifetime=5000.0, due_at=NOW + 9)
    assert due_work.settle(ended.after, again.after, again.event)
    assert ledger.delivery(rest[0].key) == again.after


def test_a_taken_number_changes_nothing(ledger):
    ledger.reserve([delivery(0), delivery(1)])
    stranger = replace(delivery(0), recipient="stranger@x.test")
    with pytest.raises(NumberTakenError):
        ledger.reserve([stranger, delivery(1), delivery(2)])
    assert list(ledger.deliveries(SERVER, 5)) == [delivery(0), delivery(1)]


def test_history_is_kept_once_and_read_oldest_first(ledger):
    key = delivery().key
    late = attempt(key, 2, EventType.SENT, NOW + 2)
    view = Event("v", EventType.CLICKED, key, NOW + 3, view=ViewFacts("::1", "UA", "https://x"))
    early = attempt(key)
    assert [ledger.record(event) for event in (late, view, early)] == [True] * 3
    assert [ledger.record(event) for event in (late, view, early)] == [False] * 3
    assert list(ledger.history(key)) == [early, late, view]
    assert list(ledger.history(delivery(1).key)) == []


def test_events_of_one_instant_are_all_kept(ledger):
    key = delivery().key
    events = [attempt(key, number, at=NOW) for number in (1, 2, 3)]
    for event in reversed(events):
        assert ledger.record(event)
    assert list(ledger.history(key)) == events


def test_a_watched_submission_shows_when_it_is_due(ledger, due_work):
    ledger.watch(SERVER, 5, NOW)
    ledger.watch(OTHER, 6, NOW + 10)
    assert list(due_work.watched(NOW - 0.01, 10)) == []
    assert list(due_work.watched(NOW, 10)) == [(SERVER, 5, NOW)]
    assert sorted(due_work.watched(NOW + 10, 10)) == [(SERVER, 5, NOW), (OTHER, 6, NOW + 10)]


def test_a_watch_can_move_and_end(ledger, due_work):
    ledger.watch(SERVER, 5, NOW)
    due_work.rewatch(SERVER, 5, NOW, NOW + 10)
    assert list(due_work.watched(NOW + 9, 10)) == []
    assert list(due_work.watched(NOW + 10, 10)) == [(SERVER, 5, NOW + 10)]
    due_work.unwatch(SERVER, 5, NOW)  # an older one: nothing happens
    due_work.unwatch(SERVER, 5, NOW + 10)
    assert list(due_work.watched(NOW + 100, 10)) == []


def test_moving_a_watch_to_where_it_is_keeps_it(ledger, due_work):
    ledger.watch(SERVER, 5, NOW)
    due_work.rewatch(SERVER, 5, NOW, NOW)
    assert list(due_work.watched(NOW, 10)) == [(SERVER, 5, NOW)]


def test_no_more_than_the_limit_is_watched_the_earliest_first(ledger, due_work):
    for number in range(20):
        ledger.watch(SERVER, number, NOW + number)
    found = list(due_work.watched(NOW + 100, 5))
    assert [number for _, number, _ in found] == [0, 1, 2, 3, 4]


def settled(ledger, due_work, number, due_at):
    before = delivery(number=number)
    ledger.reserve([before])
    after = deferred(before, due_at)
    assert due_work.settle(before, after, attempt(before.key))
    return after


def test_a_deferred_delivery_is_due_at_its_time(ledger, due_work):
    after = settled(ledger, due_work, 5, NOW + 60)
    assert ledger.delivery(after.key) == after
    assert list(due_work.due(NOW + 59.9, 10)) == []
    assert list(due_work.due(NOW + 60, 10)) == [after.key]


def test_no_more_than_the_limit_is_due_the_earliest_first(ledger, due_work):
    for number in range(12):
        settled(ledger, due_work, number, NOW + number)
    assert [key.number for key in due_work.due(NOW + 100, 5)] == [0, 1, 2, 3, 4]


def test_a_settled_delivery_is_due_no_more(ledger, due_work):
    waiting = settled(ledger, due_work, 5, NOW)
    after = replace(waiting, state=State.EXPIRED, generation=2, due_at=None)
    assert due_work.settle(waiting, after, attempt(waiting.key, 2, EventType.EXPIRED))
    assert list(due_work.due(NOW + 100, 10)) == []
    assert ledger.delivery(after.key) == after


def test_only_what_is_still_the_same_is_settled(ledger, due_work):
    waiting = settled(ledger, due_work, 5, NOW)
    stale = replace(waiting, generation=0)
    moved = replace(waiting, state=State.ATTEMPTING)
    claimed = replace(waiting, claim="somebody")
    for seen in (stale, moved, claimed, delivery(9)):
        after = replace(seen, state=State.EXPIRED, due_at=None)
        assert not due_work.settle(seen, after, attempt(seen.key, 9))
    assert ledger.delivery(waiting.key) == waiting
    assert ledger.delivery(delivery(9).key) is None


def test_a_claim_is_settled_only_by_who_knows_it(ports):
    ledger, due_work, claim = ports
    before = delivery()
    ledger.reserve([before])
    claimed = replace(before, state=State.ATTEMPTING, claim="c1", claim_until=NOW + 5)
    claim(claimed)
    assert ledger.delivery(before.key) == claimed
    after = replace(deferred(claimed, NOW + 60), claim=None, claim_until=None, uncertain=1)
    event = attempt(before.key, kind=EventType.UNCERTAIN)
    assert not due_work.settle(replace(claimed, claim="c2"), after, event)
    assert not due_work.settle(replace(claimed, claim=None), after, event)
    assert due_work.settle(claimed, after, event)
    assert not due_work.settle(claimed, after, event)
    assert ledger.delivery(before.key) == after


def test_a_delivery_can_be_postponed_while_it_is_the_same(ledger, due_work):
    waiting = settled(ledger, due_work, 5, NOW)
    assert due_work.postpone(waiting, NOW + 50)
    assert list(due_work.due(NOW + 49, 10)) == []
    assert list(due_work.due(NOW + 50, 10)) == [waiting.key]
    assert not due_work.postpone(replace(waiting, generation=7), NOW + 500)
    assert not due_work.postpone(replace(waiting, state=State.QUEUED), NOW + 500)
    assert not due_work.postpone(delivery(9), NOW + 500)
    assert list(due_work.due(NOW + 499, 10)) == [waiting.key]


def test_only_a_queued_delivery_can_be_discarded(ledger, due_work):
    ledger.reserve([delivery(0), delivery(1)])
    due_work.discard(delivery(1).key)
    due_work.discard(delivery(2).key)
    waiting = settled(ledger, due_work, 6, NOW)
    due_work.discard(waiting.key)
    assert list(ledger.deliveries(SERVER, 5)) == [delivery(0)]
    assert ledger.delivery(waiting.key) == waiting


@pytest.mark.emulator
def test_many_threads_share_calls_and_each_number_has_one_owner(cloud):
    settings = cloud.settings
    tables, asked = mail_tables(settings), []
    dynamodb = cloud.client("dynamodb")

    class Counting:
        def batch_execute_statement(self, **call):
            asked.append(len(call["Statements"]))
            return dynamodb.batch_execute_statement(**call)

    watches = bound(WatchRow, settings.resource("table", "due"))
    ledger = GatheredLedger(tables, watches, Counting())

    def accept(turn):
        number = turn % 40  # each number is wanted twice
        ledger.watch(SERVER, number + 1, NOW)
        try:
            ledger.reserve([replace(delivery(0, number + 1), recipient=f"r{turn}@x.test")])
        except NumberTakenError:
            return None
        ledger.commit(submission(number + 1, subject=f"by {turn}"))
        return turn

    with ThreadPoolExecutor(16) as pool:
        owners = [turn for turn in pool.map(accept, range(80)) if turn is not None]
    assert sorted(turn % 40 for turn in owners) == list(range(40))
    for turn in owners:
        stored = ledger.submission(SERVER, turn % 40 + 1)
        assert stored.subject == f"by {turn}"
        assert ledger.delivery(delivery(0, turn % 40 + 1).key).recipient == f"r{turn}@x.test"
    assert sum(asked) == 80 + 80 + 40
    assert max(asked) > 1


@pytest.mark.emulator
def test_a_commit_whose_answer_was_lost_is_no_clash(cloud):
    tables = mail_tables(cloud.settings)
    watches = bound(WatchRow, cloud.settings.resource("table", "due"))
    ledger = GatheredLedger(tables, watches, cloud.client("dynamodb"))
    ledger.commit(submission())
    ledger.commit(submission())  # as the client library repeats it
    with pytest.raises(ValueError, match="committed already"):
        ledger.commit(submission(subject="another"))


@pytest.mark.emulator
def test_rows_are_kept_for_as_long_as_was_asked(cloud):
    tables = mail_tables(cloud.settings)
    ledger = DynamoLedger(tables, bound(WatchRow, cloud.settings.resource("table", "due")))
    ledger.reserve([delivery()], days=7)
    ledger.commit(submission(retention_days=7))
    ledger.record(attempt(delivery().key), days=7)
    place, week = mail_pk(SERVER, 5), 7 * 86_400
    assert tables.submission.get(place, "s").ttl == int(NOW + 1000) + week
    assert tables.delivery.get(place, delivery_sk(0)).ttl == int(NOW + 1000) + week
    (row,) = tables.history.query(place, tables.history.sk.startswith("h#"))
    assert row.ttl == int(NOW + 1) + week
    work = DynamoDueWork(tables, bound(WatchRow, "unused"), SHARDS)
    before = ledger.delivery(delivery().key)
    later = redeliver(before, "ann", now=NOW, lifetime=5000.0, due_at=NOW)
    assert work.settle(before, later.after, later.event)
    assert tables.delivery.get(place, delivery_sk(0)).ttl == int(NOW + 5000) + week


@pytest.mark.emulator
def test_rows_of_the_release_before_read_well(cloud):
    tables = mail_tables(cloud.settings)
    ledger = DynamoLedger(tables, bound(WatchRow, cloud.settings.resource("table", "due")))
    ledger.reserve([delivery()])
    ledger.commit(submission(tag="news"))
    known = {"stream", "tags", "meta", "t_open", "t_click", "send_at", "days", "raw_until", "test"}
    item = cloud.client("dynamodb").get_item(
        TableName=cloud.settings.resource("table", "mail"),
        Key={"pk": {"S": mail_pk(SERVER, 5)}, "sk": {"S": "s"}},
    )["Item"]
    assert not known & item.keys()  # such a row has none of them
    read = ledger.submission(SERVER, 5)
    assert (read.stream, read.tag, read.tags, read.metadata) == ("transactional", "news", (), {})
    assert (read.retention_days, read.raw_until, read.test) == (60, None, False)
