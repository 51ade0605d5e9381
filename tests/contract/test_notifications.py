"""The webhook queue with its history, and the topic: fakes and adapters keep the same promises."""

import json
from dataclasses import replace

import pytest

from mailroom.adapters.dynamo_breaker import DynamoGates
from mailroom.adapters.notification_text import load_notification
from mailroom.adapters.queued_notifications import QueuedNotifications
from mailroom.adapters.sns_facts import SnsFacts
from mailroom.adapters.tables import GateRow, NotificationRow, bound
from mailroom.domain.breaker import Gate, Place
from mailroom.domain.event import AttemptFacts, Event, EventType, dump_event, load_event
from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.errors import HandOverError
from mailroom.fakes.memory import FixedClock, MemoryFacts
from mailroom.fakes.notifying import MemoryGates, MemoryNotifications
from mailroom.ports import Answer, Notification

NAMES = ["memory", pytest.param("aws", marks=pytest.mark.emulator)]
SERVER = ServerId("abcdefghij")
CALL = Notification(
    uuid="u1",
    server=SERVER,
    webhook="w1",
    url="https://hook.example/in?x=1",
    event="MessageSent",
    body='{"subject":"Gr\u00fc\u00dfe \\ud83d"}',
    attempt=1,
    first_at=10.0,
    not_before=1234.5,
)


@pytest.fixture
def session(emulator, monkeypatch):
    """Clients of an account of our own; pynamodb, which makes its own, finds it too."""
    account = emulator.new_account()
    for name, value in {
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    return emulator.session(account)


class Queue:
    """Reads a real queue."""

    def __init__(self, session, name):
        self._sqs = session.client("sqs")
        self.url = self._sqs.create_queue(QueueName=name)["QueueUrl"]

    def arn(self):
        answer = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        return answer["Attributes"]["QueueArn"]

    def read(self, count):
        """Return the bodies of the first `count` messages."""
        bodies = []
        while len(bodies) < count:
            answer = self._sqs.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=5
            )
            found = answer.get("Messages", [])
            assert found, f"only {len(bodies)} of {count} messages came"
            bodies += [message["Body"] for message in found]
        return bodies


class AwsNotifications(QueuedNotifications):
    """The adapter with a way to look into the queue."""

    def __init__(self, session):
        session.client("dynamodb").create_table(
            TableName="notifications",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
            ],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
        )
        self.queue = Queue(session, "webhooks")
        rows = bound(NotificationRow, "notifications")
        super().__init__(session.client("sqs"), self.queue.url, rows)

    def waiting(self, count):
        return [load_notification(body) for body in self.queue.read(count)]


class FakeNotifications(MemoryNotifications):
    def waiting(self, count):
        return [call for call, _ in self.queued[:count]]


@pytest.fixture(params=NAMES)
def notifications(request):
    if request.param == "memory":
        return FakeNotifications()
    return AwsNotifications(request.getfixturevalue("session"))


def test_every_call_is_queued_as_it_is(notifications):
    calls = [replace(CALL, uuid=f"u{n}") for n in range(23)]
    notifications.enqueue(calls)
    assert sorted(notifications.waiting(23), key=lambda c: c.uuid) == sorted(
        calls, key=lambda c: c.uuid
    )


def test_calls_too_large_for_one_batch_go_in_several(notifications):
    calls = [replace(CALL, uuid=f"u{n}", body="x" * 100_000) for n in range(5)]
    notifications.enqueue(calls)
    assert {call.uuid for call in notifications.waiting(5)} == {call.uuid for call in calls}


def test_history_keeps_every_try_newest_first(notifications):
    first = Answer(500, "oops", "", will_retry=True, seconds=1.5)
    second = Answer(0, "", "the connection was refused")
    notifications.remember(CALL, at=100.0, answer=first)
    notifications.remember(replace(CALL, attempt=2, replay=True), at=220.0, answer=second)
    notifications.remember(replace(CALL, webhook="w2"), at=150.0, answer=Answer(200))
    page = notifications.page(SERVER, "w1", limit=10)
    assert [(t.made.attempt, t.at, t.answer, t.made.replay) for t in page.tries] == [
        (2, 220.0, second, True),
        (1, 100.0, first, False),
    ]
    assert page.cursor == ""
    assert {(t.made.uuid, t.made.event, t.made.url, t.made.body) for t in page.tries} == {
        (CALL.uuid, CALL.event, CALL.url, CALL.body)
    }


def test_pages_follow_one_another_without_gap_or_repeat(notifications):
    for n in range(7):
        made = replace(CALL, uuid=f"u{n}")
        notifications.remember(made, at=100.0 + n, answer=Answer(200))
    found, cursor = [], ""
    while True:
        page = notifications.page(SERVER, "w1", limit=3, cursor=cursor)
        found += [each.made.uuid for each in page.tries]
        cursor = page.cursor
        if not cursor:
            break
        # What is new comes before what was read already.
        notifications.remember(replace(CALL, uuid="new"), at=900.0, answer=Answer(200))
    assert [uuid for uuid in found if uuid != "new"] == [f"u{n}" for n in reversed(range(7))]


@pytest.mark.parametrize("cursor", ["!", "x", "YWJj", "../..", "\u00e9"])
def test_a_cursor_nobody_gave_is_refused(notifications, cursor):
    with pytest.raises(ValueError, match="cursor"):
        notifications.page(SERVER, "w1", limit=3, cursor=cursor)


def test_one_call_is_found_by_its_uuid_newest_try_first(notifications):
    for attempt in (1, 2):
        made = replace(CALL, attempt=attempt)
        notifications.remember(made, at=100.0 * attempt, answer=Answer(500))
    notifications.remember(replace(CALL, uuid="u2"), at=300.0, answer=Answer(200))
    found = notifications.find(SERVER, "w1", "u1")
    assert (found.made.attempt, found.made.body, found.is_whole) == (2, CALL.body, True)
    assert notifications.find(SERVER, "w1", "u3") is None
    assert notifications.find(SERVER, "w2", "u1") is None
    assert notifications.find(ServerId("klmnopqrst"), "w1", "u1") is None


def test_a_time_is_read_from_its_beginning(notifications):
    for n in range(5):
        notifications.remember(replace(CALL, uuid=f"u{n}"), at=100.5 + n, answer=Answer(200))
    found = notifications.since(SERVER, "w1", 102.5, limit=2)
    assert [each.made.uuid for each in found] == ["u2", "u3"]


@pytest.mark.emulator
def test_bodies_are_kept_up_to_a_limit_and_without_secrets(session):
    notifications = AwsNotifications(session)
    long = replace(CALL, body="\u00fc" * 40_000)
    answer = Answer(500, "Authorization: Bearer abcdefghijk\n" + "x" * 10_000)
    notifications.remember(long, at=100.0, answer=answer)
    (found,) = notifications.page(SERVER, "w1", limit=1).tries
    assert len(found.made.body.encode()) == 65_536
    assert not found.is_whole
    assert "abcdefghijk" not in found.answer.body
    assert len(found.answer.body) <= 4_096


@pytest.mark.emulator
def test_the_history_has_no_password_and_ages(session):
    notifications = AwsNotifications(session)
    secret = replace(CALL, url="https://ann:hunter2@hook.example/?token=hunter2&x=1")
    notifications.remember(secret, at=100.0, answer=Answer(200))
    (item,) = session.client("dynamodb").scan(TableName="notifications")["Items"]
    assert "hunter2" not in json.dumps(item, default=str)
    assert int(item["ttl"]["N"]) == 100 + 10 * 86_400


@pytest.mark.emulator
def test_a_missing_queue_is_a_refusal(session):
    notifications = AwsNotifications(session)
    session.client("sqs").delete_queue(QueueUrl=notifications.queue.url)
    with pytest.raises(HandOverError):
        notifications.enqueue([CALL])


def event_of(number):
    key = DeliveryKey(SERVER, number, 0)
    said = AttemptFacts(1, "Annahme verweigert \u2013 sp\u00e4ter", "451 4.3.0 no", 451)
    return Event(f"{key}/1/deferred", EventType.DEFERRED, key, 5.5, said)


@pytest.mark.emulator
@pytest.mark.parametrize("is_raw", [True, False])
def test_published_events_reach_a_subscribed_queue(session, is_raw):
    sns, queue = session.client("sns"), Queue(session, "recorder")
    topic = sns.create_topic(Name="events")["TopicArn"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=queue.arn(),
        Attributes={"RawMessageDelivery": "true" if is_raw else "false"},
    )
    events = [event_of(number) for number in range(12)]
    SnsFacts(sns, topic).publish(events)
    stored = [json.loads(body) for body in queue.read(12)]
    if not is_raw:
        assert all(envelope["Subject"] for envelope in stored)
        stored = [json.loads(envelope["Message"]) for envelope in stored]
    assert sorted((load_event(each) for each in stored), key=lambda e: e.key) == events


@pytest.fixture(params=NAMES)
def broken_facts(request):
    if request.param == "memory":
        facts = MemoryFacts()
        facts.broken = True
        return facts
    topic = "arn:aws:sns:us-east-1:000000000000:nobody"
    return SnsFacts(request.getfixturevalue("session").client("sns"), topic)


def test_a_topic_out_of_reach_is_a_refusal(broken_facts):
    with pytest.raises(HandOverError):
        broken_facts.publish([event_of(1)])


class PartialSns:
    """SNS that takes all of a batch but one entry, the first time."""

    def __init__(self, *, forever=False):
        self.calls = []
        self._forever = forever

    def publish_batch(self, *, TopicArn, PublishBatchRequestEntries):  # noqa: N803
        assert TopicArn == "topic"
        self.calls.append([json.loads(each["Message"]) for each in PublishBatchRequestEntries])
        refuses = self._forever or len(self.calls) == 1
        return {"Failed": [{"Id": "0"}]} if refuses else {}


def test_only_refused_entries_are_published_again():
    sns = PartialSns()
    SnsFacts(sns, "topic").publish([event_of(1), event_of(2)])
    assert sns.calls[1] == [json.loads(json.dumps(dump_event(event_of(1))))]


def test_an_entry_refused_again_and_again_is_a_refusal():
    with pytest.raises(HandOverError):
        SnsFacts(PartialSns(forever=True), "topic").publish([event_of(1)])


@pytest.fixture(params=NAMES)
def gates(request):
    if request.param == "memory":
        return MemoryGates()
    AwsNotifications(request.getfixturevalue("session"))  # the table is theirs
    return DynamoGates(bound(GateRow, "notifications"), FixedClock(NOW))


NOW = 4_000_000_000.0  # to come: the emulator deletes rows whose ttl is over
GATE = Gate(2, NOW + 60.5, NOW + 90.25, NOW + 1, (Place("a1", NOW + 2.5), Place("b2", NOW + 3)))


def test_an_endpoint_nobody_wrote_of_is_open(gates):
    assert gates.read("s#w#1") == (Gate(), 0)


def test_a_gate_comes_back_as_it_was_written(gates):
    assert gates.swap("s#w#1", GATE, 0)
    assert gates.read("s#w#1") == (GATE, 1)
    assert gates.read("s#w#2") == (Gate(), 0)
    assert gates.swap("s#w#1", Gate(), 1)
    assert gates.read("s#w#1") == (Gate(), 2)


def test_whoever_is_late_changes_nothing(gates):
    assert gates.swap("s#w#1", GATE, 0)
    assert not gates.swap("s#w#1", Gate(), 0)
    assert not gates.swap("s#w#1", Gate(), 7)
    assert not gates.swap("s#w#2", GATE, 3)
    assert gates.read("s#w#1") == (GATE, 1)
