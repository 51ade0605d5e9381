"""Rewriting and removing stored mail: fakes and adapters keep the same promises."""

import json
from dataclasses import replace

import pytest

from mailroom.adapters.dynamo_erasure import DynamoErasure
from mailroom.adapters.dynamo_ledger import DynamoLedger
from mailroom.adapters.dynamo_removal import DynamoRemoval
from mailroom.adapters.names import delivery_sk, mail_pk
from mailroom.adapters.tables import WatchRow, bound, mail_tables
from mailroom.domain import erasure
from mailroom.domain.event import AttemptFacts, Event, EventType, ViewFacts
from mailroom.domain.lifecycle import State
from mailroom.domain.message import BodyRef, Delivery, DeliveryKey, ServerId, Submission
from mailroom.fakes.erasure import MemoryErasure, MemoryRemoval
from mailroom.fakes.memory import MemoryLedger

SERVER, OTHER = ServerId("abcdefghij"), ServerId("bbbbbbbbbb")
NOW = 4_000_000_000.0  # to come: the emulator deletes rows whose ttl is over
DAY = 86_400.0


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def ports(request):
    """(Ledger, Erasure, Removal) over the same rows."""
    if request.param == "memory":
        ledger = MemoryLedger()
        return ledger, MemoryErasure(ledger), MemoryRemoval(ledger)
    cloud = request.getfixturevalue("cloud")
    tables = mail_tables(cloud.settings)
    watches = bound(WatchRow, cloud.settings.resource("table", "due"))
    return (
        DynamoLedger(tables, watches),
        DynamoErasure(tables),
        DynamoRemoval(cloud.settings, cloud.client("dynamodb")),
    )


def delivery(index=0, number=5, server=SERVER, **changes):
    whole = Delivery(
        key=DeliveryKey(server, number, index),
        recipient=f"ann+{index}@x.test",
        state=State.QUEUED,
        accepted_at=NOW,
        expires_at=NOW + 1000,
        merge={"name": "Ann"},
    )
    return replace(whole, **changes)


def submission(number=5, server=SERVER, **changes):
    whole = Submission(
        server=server,
        number=number,
        accepted_at=NOW,
        expires_at=NOW + 1000,
        mail_from="",
        from_address="me@demo.test",
        sign_domain="demo.test",
        subject="Dear Ann",
        message_id="m@demo.test",
        tag="welcome",
        size=10,
        recipients=1,
        source="api",
        bounce=False,
        body=BodyRef(key="30/aa/o/abcdefghij/5"),
        metadata={"customer": "7"},
        dsn='{"envid":"x"}',
        tags=("welcome", "more"),
    )
    return replace(whole, **changes)


def event(number=1, **changes):
    facts = AttemptFacts(1, "no such user ann@x.test", "550 <ann@x.test>", 550)
    whole = Event(f"e{number}", EventType.BOUNCED, delivery().key, NOW + number, attempt=facts)
    return replace(whole, **changes)


def test_a_submission_can_be_emptied_and_stays_where_it_was(ports):
    ledger, rewriting, _ = ports
    ledger.reserve([delivery()])
    ledger.commit(submission())
    rewriting.rewrite_submission(submission(), erasure.emptied(submission()))
    rewriting.rewrite_submission(submission(9), erasure.emptied(submission(9)))
    expected = replace(submission(), subject="", dsn="", metadata={}, body=BodyRef())
    assert ledger.submission(SERVER, 5) == expected
    assert ledger.submission(SERVER, 9) is None


def test_history_is_rewritten_event_by_event(ports):
    ledger, rewriting, _ = ports
    view = ViewFacts("192.0.2.1", "Firefox", "https://x.test/a?u=7", "192.0.2.0/24")
    opened = event(2, type=EventType.CLICKED, attempt=None, view=view)
    for each in (event(), opened, event(3, key=delivery(1).key)):
        ledger.record(each)
    assert rewriting.rewrite_history(delivery().key, erasure.scrubbed) == 2
    assert rewriting.rewrite_history(delivery().key, erasure.scrubbed) == 0
    assert ledger.history(delivery().key) == [erasure.scrubbed(event()), erasure.scrubbed(opened)]
    assert "ann" not in str(ledger.history(delivery().key))
    assert ledger.history(delivery(1).key) == [event(3, key=delivery(1).key)]


def test_a_recipient_is_replaced_while_the_delivery_is_the_same(ports):
    ledger, rewriting, _ = ports
    ledger.reserve([delivery()])
    assert not rewriting.rewrite_recipient(delivery(generation=3), "erased:1")
    assert not rewriting.rewrite_recipient(delivery(state=State.SENT), "erased:1")
    assert not rewriting.rewrite_recipient(delivery(7), "erased:1")
    assert rewriting.rewrite_recipient(delivery(), "erased:1")
    assert not rewriting.rewrite_recipient(delivery(), "erased:1")
    assert ledger.delivery(delivery().key) == delivery(recipient="erased:1", merge={})


@pytest.mark.emulator
def test_an_erased_row_is_in_no_index_of_recipients_and_publishes_nothing(cloud):
    tables = mail_tables(cloud.settings)
    ledger = DynamoLedger(tables, bound(WatchRow, cloud.settings.resource("table", "due")))
    ledger.reserve([delivery()])
    row = tables.delivery(mail_pk(SERVER, 5), delivery_sk(0))
    row.update(actions=[tables.delivery.event.set(json.dumps({"x": "ann"}))])
    assert DynamoErasure(tables).rewrite_recipient(delivery(), "erased:1")
    row.refresh()
    assert (row.rcpt_key, row.event, row.merge) == (None, None, None)


def test_a_day_s_mail_is_found_and_removed_with_all_that_hangs_on_it(ports):
    ledger, _, removal = ports
    for number in (5, 6):
        ledger.reserve([delivery(0, number), delivery(1, number)])
        ledger.commit(submission(number, recipients=2))
    ledger.record(event())
    ledger.reserve([delivery(0, 7, OTHER)])
    ledger.commit(submission(7, OTHER, body=BodyRef(inline=b"x")))
    found = removal.mail(SERVER, NOW, 10)
    assert {each.number: each.body for each in found} == dict.fromkeys(
        (5, 6), submission().body.key
    )
    assert len(removal.mail(SERVER, NOW, 1)) == 1
    assert list(removal.mail(SERVER, NOW - DAY, 10)) == []
    assert [each.body for each in removal.mail(OTHER, NOW, 10)] == [None]
    assert removal.drop_mail(SERVER, [5, 6]) >= 6
    assert removal.drop_mail(SERVER, [5, 6]) == 0
    assert ledger.submission(SERVER, 5) is None
    assert ledger.delivery(delivery(1, 6).key) is None
    assert list(removal.mail(SERVER, NOW, 10)) == []
    assert ledger.submission(OTHER, 7) is not None


def test_what_is_not_there_is_removed_without_a_word(ports):
    removal = ports[2]
    assert removal.drop_facts(SERVER, 10) == 0
    assert removal.drop_counts(SERVER, 10) == 0
    assert removal.drop_calls(SERVER, "hook", 10) == 0


@pytest.mark.emulator
def test_rows_of_other_tables_are_removed_in_parts(cloud):
    dynamodb, settings = cloud.client("dynamodb"), cloud.settings
    removal = DynamoRemoval(settings, dynamodb)

    def put(table, pk, sk, **more):
        item = {"pk": {"S": pk}, "sk": {"S": sk}, **more}
        dynamodb.put_item(TableName=settings.resource("table", table), Item=item)

    for number in range(30):
        put("mail", f"{SERVER}#facts", f"n#{number:014d}#x")
        put("notifications", f"{SERVER}#hook", f"{number:014d}#u#1")
        put("counters", f"stat#{SERVER}#tag#wel#come", f"h#{number:07d}")
    put("counters", f"stat#{SERVER}", "tag#0000001", names={"SS": ["wel#come"]})
    put("counters", f"stat#{SERVER}#server#", "d#0000001")
    put("counters", f"stat#{SERVER}#provider#gmail", "d#0000001")
    put("counters", f"limit#{SERVER}", "limit")
    put("counters", f"stat#{OTHER}#server#", "d#0000001")
    for drop, rows in (
        (lambda: removal.drop_facts(SERVER, 20), 30),
        (lambda: removal.drop_calls(SERVER, "hook", 20), 30),
        (lambda: removal.drop_counts(SERVER, 20), 34),
    ):
        dropped = []
        while not dropped or dropped[-1]:
            dropped.append(drop())
            assert dropped[-1] <= 21
        assert sum(dropped) == rows
    left = dynamodb.scan(TableName=settings.resource("table", "counters"))["Items"]
    assert [item["pk"]["S"] for item in left] == [f"stat#{OTHER}#server#"]
