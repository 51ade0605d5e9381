"""Which webhooks hear of an event, and in which words."""

import json
from dataclasses import replace

import pytest
from mail_webhooks import consumers

from mailroom.adapters.notification_text import dump_notification, load_notification
from mailroom.domain.event import AttemptFacts, Event, EventType, ViewFacts, dump_event
from mailroom.domain.lifecycle import State
from mailroom.domain.limit_fact import limit_fact
from mailroom.domain.message import (
    EPOCH,
    BodyRef,
    Delivery,
    DeliveryKey,
    Server,
    ServerId,
    Submission,
    Webhook,
)
from mailroom.domain.send_limit import Notice, Period, Told
from mailroom.domain.server_fact import ServerFact
from mailroom.domain.token import message_token
from mailroom.fakes.memory import FixedClock, MemoryDirectory, MemoryLedger
from mailroom.fakes.notifying import MemoryNotifications
from mailroom.usecases.fan_out import FanOutPorts, MessageUnseenError, fan_out

SERVER = ServerId("abcdefghij")
SECRET = b"s" * 32
ACCEPTED = EPOCH + 1000.0
KEY = DeliveryKey(SERVER, 1000 << 13, 0)

SUBMISSION = Submission(
    server=SERVER,
    number=KEY.number,
    accepted_at=ACCEPTED,
    expires_at=ACCEPTED + 172_800,
    mail_from="bounce@demo.test",
    from_address="a@demo.test",
    sign_domain="demo.test",
    subject="Grüße",
    message_id="m1@demo.test",
    tag="welcome",
    size=100,
    recipients=1,
    source="api",
    bounce=False,
    body=BodyRef(inline=b"x"),
)
DELIVERY = Delivery(KEY, "b@sim.test", State.SENT, ACCEPTED, ACCEPTED + 172_800, attempts=1)
SENT = Event(
    f"{KEY}/1/sent",
    EventType.SENT,
    KEY,
    ACCEPTED + 2.5,
    AttemptFacts(1, "accepted", "250 ok", 250, ".", "mx.sim.test", True, 0.25, final=True),
)
CLICKED = Event(
    f"{KEY}/clicked/ab",
    EventType.CLICKED,
    KEY,
    ACCEPTED + 60,
    view=ViewFacts("192.0.2.7", "Browser", "https://example.com/a"),
)
OPENED = replace(
    CLICKED, id=f"{KEY}/opened/ab", type=EventType.OPENED, view=ViewFacts("192.0.2.7", "Browser")
)
MESSAGE = {
    "id": KEY.postal_id,
    "token": message_token(KEY, SECRET),
    "direction": "outgoing",
    "message_id": "m1@demo.test",
    "to": "b@sim.test",
    "from": "bounce@demo.test",
    "subject": "Grüße",
    "timestamp": ACCEPTED,
    "spam_status": "NotChecked",
    "tag": "welcome",
}


class CountingLedger(MemoryLedger):
    reads = 0

    def submission(self, server, number):
        self.reads += 1
        return super().submission(server, number)


@pytest.fixture
def ledger():
    ledger = CountingLedger()
    ledger.reserve([DELIVERY])
    ledger.commit(SUBMISSION)
    return ledger


def ports(ledger, *webhooks) -> FanOutPorts:
    directory = MemoryDirectory()
    for webhook in webhooks:
        directory.add_webhook(webhook)
    return FanOutPorts(directory, ledger, FixedClock(ACCEPTED + 100), lambda: SECRET)


def hook(id_: str = "w1", *events: str, enabled: bool = True) -> Webhook:
    return Webhook(id_, SERVER, f"https://{id_}.example/hook", frozenset(events), enabled)


def only(event, ledger):
    (call,) = fan_out(event, ports(ledger, hook()))
    return call, json.loads(call.body)


def test_a_verdict_in_postals_words(ledger):
    call, envelope = only(SENT, ledger)
    assert envelope == {
        "event": "MessageSent",
        "timestamp": ACCEPTED + 2.5,
        "uuid": call.uuid,
        "payload": {
            "message": MESSAGE,
            "status": "Sent",
            "details": "accepted",
            "output": "250 ok",
            "sent_with_ssl": True,
            "timestamp": ACCEPTED + 2.5,
            "time": 0.25,
        },
    }
    assert (call.event, call.attempt, call.first_at) == ("MessageSent", 0, ACCEPTED + 100)


@pytest.mark.parametrize(
    ("type_", "final", "name", "status"),
    [
        (EventType.DEFERRED, False, "MessageDelayed", "SoftFail"),
        (EventType.UNCERTAIN, False, "MessageDelayed", "SoftFail"),
        (EventType.UNCERTAIN, True, "MessageDeliveryFailed", "HardFail"),
        (EventType.BOUNCED, True, "MessageDeliveryFailed", "HardFail"),
        (EventType.EXPIRED, True, "MessageDeliveryFailed", "HardFail"),
    ],
)
def test_every_other_verdict_has_its_name_and_status(ledger, type_, final, name, status):
    event = replace(SENT, type=type_, attempt=replace(SENT.attempt, final=final))
    _, envelope = only(event, ledger)
    assert (envelope["event"], envelope["payload"]["status"]) == (name, status)


def test_a_click_names_the_link(ledger):
    _, envelope = only(CLICKED, ledger)
    token = envelope["payload"].pop("token")
    assert len(token) == 16
    assert envelope["event"] == "MessageLinkClicked"
    assert envelope["payload"] == {
        "message": MESSAGE,
        "url": "https://example.com/a",
        "ip_address": "192.0.2.7",
        "user_agent": "Browser",
        "verdict": "",
        "rules": 0,
    }


def test_an_open_names_the_reader(ledger):
    _, envelope = only(OPENED, ledger)
    assert envelope["event"] == "MessageLoaded"
    assert envelope["payload"] == {
        "message": MESSAGE,
        "ip_address": "192.0.2.7",
        "user_agent": "Browser",
        "verdict": "",
        "rules": 0,
    }


def test_a_webhook_hears_only_what_it_asked_for(ledger):
    hooks = (hook("all"), hook("sent", "MessageSent"), hook("clicks", "MessageLinkClicked"))
    calls = fan_out(SENT, ports(ledger, *hooks, hook("off", enabled=False)))
    assert [call.webhook for call in calls] == ["all", "sent"]
    assert len({call.uuid for call in calls}) == 2


def test_a_repeat_has_the_same_uuid_and_the_same_octets(ledger):
    here = ports(ledger, hook())
    (first,) = fan_out(SENT, here)
    here.clock.at += 1000
    (again,) = fan_out(SENT, here)
    assert (again.uuid, again.body) == (first.uuid, first.body)


def test_without_a_webhook_nothing_is_read(ledger):
    assert fan_out(SENT, ports(ledger)) == []
    assert ledger.reads == 0


def test_an_event_of_a_forgotten_message_is_told_to_nobody():
    late = replace(CLICKED, at=ACCEPTED + 90 * 86_400)
    assert fan_out(late, ports(MemoryLedger(), hook())) == []


def test_an_event_of_a_message_not_readable_yet_is_tried_again():
    with pytest.raises(MessageUnseenError):
        fan_out(SENT, ports(MemoryLedger(), hook()))


def test_the_batch_queues_what_is_good_and_reports_what_is_not(ledger):
    notifications = MemoryNotifications()
    body = json.dumps(dump_event(SENT))
    event = {"Records": [{"messageId": "1", "body": body}, {"messageId": "2", "body": "nonsense"}]}
    report = consumers.fan_out(event, ports(ledger, hook("a"), hook("b")), notifications)
    assert report == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert [call.webhook for call, _ in notifications.queued] == ["a", "b"]


def test_a_queue_that_refuses_fails_all_so_that_none_is_forgotten(ledger):
    notifications = MemoryNotifications(broken=True)
    records = [{"messageId": id_, "body": json.dumps(dump_event(SENT))} for id_ in "12"]
    report = consumers.fan_out({"Records": records}, ports(ledger, hook()), notifications)
    assert [each["itemIdentifier"] for each in report["batchItemFailures"]] == ["1", "2"]


def test_a_notification_survives_the_queue(ledger):
    call, _ = only(SENT, ledger)
    assert load_notification(dump_notification(call)) == call


def test_a_webhook_of_the_organisation_hears_of_each_of_its_servers(ledger):
    here = ports(ledger, hook())
    here.directory.add_server(Server(SERVER, "shop", "n", "p", "abc123"))
    for organisation, id_ in (("shop", "ours"), ("bank", "theirs")):
        shared = replace(hook(id_), server=ServerId(""))
        here.directory.add_organisation_webhook(organisation, shared)
    calls = fan_out(SENT, here)
    assert [(call.webhook, call.server) for call in calls] == [("w1", SERVER), ("ours", SERVER)]


def test_a_fact_of_a_server_is_told_with_the_server_in_postals_words():
    directory = MemoryDirectory()
    directory.add_server(Server(SERVER, "org", "Main", "main", "abcdef"))
    directory.add_webhook(Webhook("w1", SERVER, "https://x.test/"))
    directory.add_webhook(Webhook("w2", SERVER, "https://y.test/", frozenset({"MessageSent"})))
    ports = FanOutPorts(directory, MemoryLedger(), FixedClock(), lambda: SECRET)
    told = Told(Period.DAY, Notice.EXCEEDED, 500, 500)
    fact = limit_fact(SERVER, told, 1_760_000_030.0)
    (call,) = fan_out(fact, ports)
    assert call == fan_out(limit_fact(SERVER, told, 1_760_000_039.0), ports)[0]
    assert (call.webhook, call.event) == ("w1", "SendLimitExceeded")
    assert json.loads(call.body) == {
        "event": "SendLimitExceeded",
        "timestamp": 1_759_999_980.0,
        "uuid": call.uuid,
        "payload": {
            "server": {
                "uuid": SERVER,
                "name": "Main",
                "permalink": "main",
                "organization": "org",
            },
            "volume": 500,
            "limit": 500,
            "period": "day",
        },
    }


def test_a_fact_of_a_server_that_is_gone_is_told_to_nobody():
    directory = MemoryDirectory()
    directory.add_webhook(Webhook("w1", SERVER, "https://x.test/"))
    ports = FanOutPorts(directory, MemoryLedger(), FixedClock(), lambda: SECRET)
    assert fan_out(ServerFact("f", "ServerBrakeHeld", SERVER, 5.0), ports) == []
