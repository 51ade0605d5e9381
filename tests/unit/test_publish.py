"""From the table's stream to the topic, and from the topic to history and counters."""

import json

import pytest
from mail_webhooks import consumers
from mail_webhooks.batch import read_fact

from mailroom.adapters.names import first_view_sk, history_sk, server_fact_sk
from mailroom.domain.event import AttemptFacts, Event, EventType, dump_event
from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.domain.server_fact import ServerFact, dump_fact
from mailroom.errors import HandOverError
from mailroom.fakes.memory import MemoryFacts
from tests.support.recording import Recording

SERVER = ServerId("abcdefghij")
HOUR = 500_000


def event_of(index: int, type_: EventType = EventType.SENT, *, at: float = HOUR * 3600.0) -> Event:
    key = DeliveryKey(SERVER, 7, index)
    return Event(f"{key}/1/{type_}", type_, key, at, AttemptFacts(1, "said", final=True))


def image(event: Event | None, **more: str) -> dict:
    attributes = {name: {"S": value} for name, value in more.items()}
    return attributes | ({"event": {"S": json.dumps(dump_event(event))}} if event else {})


def change(sequence: int, *, new: dict | None, old: dict | None = None) -> dict:
    images = {"SequenceNumber": str(sequence)}
    images |= {"NewImage": new} if new is not None else {}
    images |= {"OldImage": old} if old is not None else {}
    return {"eventID": str(sequence), "eventName": "MODIFY", "dynamodb": images}


def queue_message(id_: str, body: str) -> dict:
    return {"messageId": id_, "body": body}


def raw(event: Event) -> str:
    return json.dumps(dump_event(event))


def logged(capsys) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_verdict_is_published_once_when_its_event_appears(capsys):
    facts = MemoryFacts()
    first, second = event_of(0, EventType.DEFERRED), event_of(0)
    records = [
        change(1, new=image(None, state="queued")),
        change(2, new=image(first), old=image(None)),
        change(3, new=image(first, state="attempting"), old=image(first)),  # a claim
        change(4, new=image(second), old=image(first)),
        change(5, new=None, old=image(second)),  # deleted by its time to live
    ]
    assert consumers.publish({"Records": records}, facts) == {"batchItemFailures": []}
    assert facts.published == [first, second]
    (line,) = logged(capsys)
    assert (line["function"], line["records"], line["published"]) == ("publish", 5, 2)


def test_history_rows_carry_events_too_but_are_where_they_end():
    facts, event = MemoryFacts(), event_of(0)
    written = image(event, pk="p", sk=history_sk(0, event.at, event.id))
    consumers.publish({"Records": [change(1, new=written)]}, facts)
    assert facts.published == []


def test_the_row_of_first_views_is_no_fact(capsys):
    facts = MemoryFacts()
    row = image(None, pk="p", sk=first_view_sk(0), o="k/opened/1")
    consumers.publish({"Records": [change(1, new=row), change(2, new=row, old=row)]}, facts)
    assert facts.published == []
    assert logged(capsys)[0]["malformed"] == []


@pytest.mark.parametrize(
    "images",
    [
        {"SequenceNumber": "9", "NewImage": {"event": {"S": "{not json"}}},
        {"SequenceNumber": "9", "NewImage": {"event": {"S": "[]"}}},
        {"SequenceNumber": "9", "NewImage": {"event": {"S": '{"v": 99}'}}},
        {"SequenceNumber": "9", "NewImage": {"event": {"N": "5"}}},
    ],
)
def test_a_malformed_record_is_named_and_passed_over(images, capsys):
    facts = MemoryFacts()
    records = [{"dynamodb": images}, change(2, new=image(event_of(1)))]
    consumers.publish({"Records": records}, facts)
    assert facts.published == [event_of(1)]
    assert logged(capsys)[0]["malformed"] == ["9"]


def test_a_malformed_old_image_does_not_hide_the_new_event():
    facts = MemoryFacts()
    consumers.publish(
        {"Records": [change(1, new=image(event_of(1)), old={"event": {"S": "?"}})]}, facts
    )
    assert facts.published == [event_of(1)]


def test_a_topic_that_refuses_fails_the_invocation_so_that_the_shard_waits(capsys):
    facts = MemoryFacts()
    facts.broken = True
    with pytest.raises(HandOverError):
        consumers.publish({"Records": [change(1, new=image(event_of(1)))]}, facts)
    assert logged(capsys)[0]["error"] == "HandOverError"


def test_events_are_read_raw_and_from_the_envelope_of_sns():
    event = event_of(3)
    envelope = {"Type": "Notification", "TopicArn": "t", "Message": raw(event)}
    assert read_fact(raw(event)) == read_fact(json.dumps(envelope)) == event


def test_an_acceptance_is_published_once_when_its_row_appears():
    facts = MemoryFacts()
    row = {"pk": {"S": f"{SERVER}#{7:013d}"}, "sk": {"S": "s"}, "at": {"N": "1760000000123"}}
    inserted = change(1, new=row) | {"eventName": "INSERT"}
    changed = change(2, new=row, old=row)
    consumers.publish({"Records": [inserted, changed]}, facts)
    key = DeliveryKey(SERVER, 7, 0)
    assert facts.published == [Event(f"{key}/accepted", EventType.ACCEPTED, key, 1_760_000_000.123)]


def test_a_fact_of_a_server_is_published_and_read_again():
    facts = MemoryFacts()
    fact = ServerFact("f1", "ServerBrakeWarned", SERVER, 5.0, {"reason": "r"})
    row = {"pk": {"S": "p"}, "sk": {"S": server_fact_sk(5.0, "f1")}}
    row["fact"] = {"S": json.dumps(dump_fact(fact))}
    consumers.publish({"Records": [change(1, new=row) | {"eventName": "INSERT"}]}, facts)
    assert facts.published == [fact]
    assert read_fact(json.dumps(dump_fact(fact))) == fact


def test_a_fact_of_a_schema_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="schema 2"):
        read_fact(json.dumps({"v": 2, "fact": "server"}))


def test_only_new_events_are_counted_with_one_update_a_row(capsys):
    recording = Recording()
    recording.ledger.record(event_of(0))
    events = [event_of(0), event_of(1), event_of(2), event_of(1), event_of(3, EventType.DEFERRED)]
    batch = {"Records": [queue_message(str(n), raw(e)) for n, e in enumerate(events)]}
    assert consumers.record(batch, recording.ports) == {"batchItemFailures": []}
    assert recording.hour(SERVER, HOUR) == {"sent": 2, "deferred": 1}
    assert recording.statistics.updates == 2  # the hour and its day
    assert recording.ledger.history(event_of(2).key) == [event_of(2)]
    (line,) = logged(capsys)
    assert (line["records"], line["new"], line["failed"], line["counted"]) == (5, 3, 0, 2)


def test_one_bad_record_stays_in_the_queue_and_its_neighbours_do_not(capsys):
    recording = Recording()
    batch = {"Records": [queue_message("bad", "{}"), queue_message("good", raw(event_of(1)))]}
    report = consumers.record(batch, recording.ports)
    assert report == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert recording.hour(SERVER, HOUR) == {"sent": 1}
    assert "KeyError" in logged(capsys)[0]["problem"]


def test_trouble_with_the_counters_repeats_no_event():
    recording = Recording()
    recording.statistics.broken = True
    report = consumers.record({"Records": [queue_message("1", raw(event_of(1)))]}, recording.ports)
    assert report == {"batchItemFailures": []}
    assert recording.ledger.history(event_of(1).key) == [event_of(1)]


def test_a_fact_of_a_server_is_no_history_of_a_message(capsys):
    recording = Recording()
    fact = json.dumps(dump_fact(ServerFact("f1", "SendLimitExceeded", SERVER, 5.0)))
    report = consumers.record({"Records": [queue_message("1", fact)]}, recording.ports)
    assert report == {"batchItemFailures": []}
    assert logged(capsys)[0]["new"] == 0


def test_without_the_messages_nothing_becomes_history():
    recording = Recording()
    recording.mailings.broken = True
    with pytest.raises(ConnectionError):
        consumers.record({"Records": [queue_message("1", raw(event_of(1)))]}, recording.ports)
    assert recording.ledger.history(event_of(1).key) == []
