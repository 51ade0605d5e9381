"""An organisation's own SNS topic: who may subscribe, and that its events and no others arrive."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError
from mail_webhooks import consumers

from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.dynamo_breaker import DynamoGates
from mailroom.adapters.dynamo_directory import DynamoDirectory
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.queued_notifications import QueuedNotifications
from mailroom.adapters.sns_topics import OrganisationTopics, SnsTopic
from mailroom.adapters.tables import DirectoryRow, GateRow, NotificationRow, bound
from mailroom.domain.breaker import Policy
from mailroom.domain.event import AttemptFacts, Event, EventType, dump_event
from mailroom.domain.lifecycle import State
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
from mailroom.fakes.memory import FixedChance, FixedClock, MemoryLedger
from mailroom.fakes.notifying import ScriptedEndpoint
from mailroom.usecases.fan_out import FanOutPorts
from mailroom.usecases.gatekeeper import Gatekeeper
from mailroom.usecases.notify import NotifyPorts
from tests.contract.conftest import Cloud

pytestmark = pytest.mark.emulator
ACCEPTED = EPOCH + 1000.0
SHOP, SHOP_TWO, BANK = (ServerId(name * 10) for name in "abc")
ORGANISATIONS = {SHOP: "shop", SHOP_TWO: "shop", BANK: "bank"}
NOTHING_FAILED: dict[str, Any] = {"batchItemFailures": []}


@dataclass
class Platform:
    """Directory, queue and functions' steps over the emulator."""

    cloud: Cloud

    def __post_init__(self) -> None:
        settings, client = self.cloud.settings, self.cloud.client
        table = settings.resource("table", "directory")
        keyring = KmsKeyring(client("kms"))
        self.rows = DirectoryRows(bound(DirectoryRow, table), keyring)
        for server, organisation in ORGANISATIONS.items():
            self.rows.put_server(Server(server, organisation, "n", f"p{server[0]}", "abc123"))
        self.clock = FixedClock(ACCEPTED + 5)
        self.directory = DynamoDirectory(bound(DirectoryRow, table), self.clock, keyring)
        self.sns, self.sqs = client("sns"), client("sqs")
        self.account = client("sts").get_caller_identity()["Account"]
        self.family = f"arn:aws:sns:us-east-1:{self.account}:acme-org-"
        self.topics = OrganisationTopics(self.sns, self.rows, self.family)
        history = settings.resource("table", "notifications")
        self.queue_url = settings.resource("queue", "webhooks")
        self.notifications = QueuedNotifications(
            self.sqs, self.queue_url, bound(NotificationRow, history)
        )
        gates = DynamoGates(bound(GateRow, history), self.clock)
        self.notify_ports = NotifyPorts(
            directory=self.directory,
            notifications=self.notifications,
            endpoint=ScriptedEndpoint(),
            topics=SnsTopic(self.sns),
            gatekeeper=Gatekeeper(gates, FixedChance(), Policy()),
            clock=self.clock,
            chance=FixedChance(),
            signatures=lambda _: {},
            topic_family=self.family,
        )

    def subscribe(self, topic: str) -> str:
        """Subscribe a queue of a customer's; return its URL."""
        url: str = self.sqs.create_queue(QueueName=topic.rpartition(":")[2])["QueueUrl"]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        self.sns.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=found["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "false"},
        )
        return url

    def happen(self, *servers: ServerId) -> None:
        """Let a message of each server be sent, and the functions do what follows from it."""
        ledger = MemoryLedger()
        events = [sent(server, ledger) for server in servers]
        ports = FanOutPorts(self.directory, ledger, self.clock, lambda: b"s" * 32)
        records = [
            {"messageId": str(n), "body": json.dumps(dump_event(event))}
            for n, event in enumerate(events)
        ]
        report = consumers.fan_out({"Records": records}, ports, self.notifications)
        assert report == NOTHING_FAILED
        self.deliver()

    def deliver(self) -> None:
        """Make the calls that wait in the webhook queue."""
        while found := self.receive(self.queue_url, wait=0):
            records = [{"messageId": m["MessageId"], "body": m["Body"]} for m in found]
            assert consumers.deliver({"Records": records}, self.notify_ports) == NOTHING_FAILED

    def receive(self, url: str, *, wait: int = 1) -> list[dict[str, Any]]:
        """Take up to ten messages out of a queue."""
        answer = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=wait
        )
        found: list[dict[str, Any]] = answer.get("Messages", [])
        for message in found:
            self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found


def sent(server: ServerId, ledger: MemoryLedger) -> Event:
    """Return the event of a sent message that is in `ledger`."""
    key = DeliveryKey(server, 1000 << 13, 0)
    expires = ACCEPTED + 172_800
    ledger.reserve([Delivery(key, f"to@{server}.test", State.SENT, ACCEPTED, expires)])
    ledger.commit(
        Submission(
            server=server,
            number=key.number,
            accepted_at=ACCEPTED,
            expires_at=expires,
            mail_from="a@demo.test",
            from_address="a@demo.test",
            sign_domain="demo.test",
            subject="s",
            message_id="m@demo.test",
            tag=None,
            size=1,
            recipients=1,
            source="api",
            bounce=False,
            body=BodyRef(inline=b"x"),
        )
    )
    said = AttemptFacts(1, "ok", "250 ok", 250)
    return Event(f"{key}/1/sent", EventType.SENT, key, ACCEPTED + 2, said)


@pytest.fixture
def platform(cloud: Cloud) -> Platform:
    return Platform(cloud)


def recipients(messages: list[dict[str, Any]]) -> list[str]:
    bodies = [json.loads(json.loads(each["Body"])["Message"]) for each in messages]
    return sorted(body["payload"]["message"]["to"] for body in bodies)


def test_each_organisation_gets_exactly_its_own_events(platform: Platform) -> None:
    queues = {
        name: platform.subscribe(platform.topics.create(name, ["111122223333"]))
        for name in ("shop", "bank")
    }
    platform.happen(SHOP, SHOP_TWO, BANK)
    shop, bank = (platform.receive(queues[name]) for name in ("shop", "bank"))
    assert recipients(shop) == [f"to@{SHOP}.test", f"to@{SHOP_TWO}.test"]
    assert recipients(bank) == [f"to@{BANK}.test"]
    envelope = json.loads(bank[0]["Body"])
    assert envelope["Subject"] == "mailroom MessageSent"
    attributes = {name: each["Value"] for name, each in envelope["MessageAttributes"].items()}
    assert attributes == {"event": "MessageSent", "server": BANK}
    (made,) = platform.notifications.page(BANK, "topic", limit=5).tries
    assert (made.answer.status, json.loads(envelope["Message"])["uuid"]) == (200, made.made.uuid)


def test_the_policy_lets_exactly_those_accounts_subscribe(platform: Platform) -> None:
    topic = platform.topics.create("shop", ["111122223333"])
    topic = platform.topics.create("shop", ["444455556666", "777788889999", "444455556666"])
    found = platform.sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]
    subscribe, publish = json.loads(found)["Statement"]
    assert subscribe["Principal"] == {
        "AWS": ["arn:aws:iam::444455556666:root", "arn:aws:iam::777788889999:root"]
    }
    assert (subscribe["Action"], subscribe["Resource"]) == ("sns:Subscribe", topic)
    protocols = subscribe["Condition"]["StringEquals"]["sns:Protocol"]
    assert protocols == ["sqs", "https", "lambda"]
    assert publish["Principal"] == {"AWS": f"arn:aws:iam::{platform.account}:root"}
    assert publish["Action"] == "sns:Publish"


@pytest.mark.parametrize("accounts", [[], ["1"], ["*"], ["11112222333x"], ["1" * 12, "x"]])
def test_who_is_no_account_is_refused(accounts: list[str]) -> None:
    rows = DroppedRows()
    topics = OrganisationTopics(ListingSns([]), rows, "arn:aws:sns:x:1:org-")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="twelve digits"):
        topics.create("shop", accounts)
    assert rows.put == []


@pytest.mark.parametrize("organisation", ["", "a b", "x" * 65, "shop:bank", "*"])
def test_an_organisation_that_cannot_be_a_name_is_refused(organisation: str) -> None:
    rows = DroppedRows()
    topics = OrganisationTopics(ListingSns([]), rows, "arn:aws:sns:x:1:org-")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="organisation"):
        topics.create(organisation, ["111122223333"])
    assert rows.put == []


@pytest.mark.parametrize("name", ["acme-org-bank", "acme-events", "other"])
def test_a_webhook_that_names_another_topic_publishes_nothing(
    platform: Platform, name: str
) -> None:
    stolen = platform.sns.create_topic(Name=name)["TopicArn"]
    listening = platform.subscribe(stolen)
    platform.rows.put_webhook(Webhook("sly", SHOP, stolen))
    platform.happen(SHOP)
    assert platform.receive(listening) == []
    (made,) = platform.notifications.page(SHOP, "sly", limit=5).tries
    assert made.answer.problem == "the topic is not this organisation's"


def test_a_topic_that_is_gone_is_a_failure_that_is_tried_again(platform: Platform) -> None:
    topic = platform.topics.create("bank", ["111122223333"])
    platform.sns.delete_topic(TopicArn=topic)
    platform.happen(BANK)
    (made,) = platform.notifications.page(BANK, "topic", limit=5).tries
    assert (made.answer.ok, made.answer.will_retry) == (False, True)
    assert made.answer.problem


def test_subscriptions_of_accounts_no_longer_allowed_are_removed() -> None:
    sns = ListingSns(["111122223333", "444455556666", "999900001111", None])
    rows = DroppedRows()
    family = "arn:aws:sns:us-east-1:999900001111:acme-org-"
    OrganisationTopics(sns, rows, family).create("shop", ["444455556666"])  # type: ignore[arg-type]
    assert sns.unsubscribed == ["arn:aws:sns:x:111122223333:t:1"]
    assert rows.put == [("shop", f"{family}shop")]


class ListingSns:
    """SNS with subscriptions of these accounts; one of None waits for its confirmation."""

    def __init__(self, owners: list[str | None]) -> None:
        self._owners = owners
        self.unsubscribed: list[str] = []

    def create_topic(self, **_: Any) -> None:
        pass

    set_topic_attributes = create_topic

    def get_paginator(self, name: str) -> "ListingSns":
        assert name == "list_subscriptions_by_topic"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        found = [
            {
                "SubscriptionArn": f"arn:aws:sns:x:{o}:t:1" if o else "PendingConfirmation",
                "Owner": o,
            }
            for o in self._owners
        ]
        return [{"Subscriptions": found[:2]}, {"Subscriptions": found[2:]}]

    def unsubscribe(self, *, SubscriptionArn: str) -> None:  # noqa: N803
        self.unsubscribed.append(SubscriptionArn)


class DroppedRows:
    def __init__(self) -> None:
        self.put: list[tuple[str, str]] = []

    def put_organisation_webhook(self, organisation: str, webhook: Webhook) -> None:
        self.put.append((organisation, webhook.url))


def test_what_sns_refuses_is_an_answer_and_no_exception() -> None:
    class Refusing:
        def publish(self, **_: Any) -> None:
            body = {"Error": {"Code": "Throttling"}, "ResponseMetadata": {"HTTPStatusCode": 429}}
            raise ClientError(body, "Publish")  # type: ignore[arg-type]

    answer = SnsTopic(Refusing()).publish("arn", "{}", {"event": "MessageSent"})
    assert (answer.status, answer.problem) == (429, "Throttling")
