"""The functions as deployed, wiring included: from a table change to a signed webhook call."""

import http.server
import importlib.util
import json
import threading
from dataclasses import replace
from pathlib import Path

import boto3
import mail_scheduler.wiring
import mail_tracking.wiring
import mail_webhooks.wiring
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localstack.simulator.signatures import SignatureChecker
from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.dynamo_ledger import DynamoDueWork, DynamoLedger
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.names import SHARDS
from mailroom.adapters.tables import DirectoryRow, WatchRow, bound, mail_tables
from mailroom.domain.event import EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.message import (
    EPOCH,
    BodyRef,
    Delivery,
    DeliveryKey,
    ServerId,
    Submission,
    Webhook,
)
from mailroom.domain.outcome import Outcome, Verdict
from mailroom.domain.reply import SmtpReply
from mailroom.domain.retry import RetryPolicy
from mailroom.domain.settlement import Seen, settle
from mailroom.domain.statistic import Dimension, Slot
from mailroom.domain.tracking_token import TrackingKey, click_token
from mailroom.ports.statistics import Grain
from mailroom.settings import load_settings

pytestmark = pytest.mark.emulator
ROOT = Path(__file__).resolve().parent.parent.parent
SERVER = ServerId("abcdefghij")
AHEAD = 1_000_000_000  # in 2055: the emulator deletes rows whose ttl is over
NUMBER = AHEAD << 13
KEY = DeliveryKey(SERVER, NUMBER, 0)
ACCEPTED = EPOCH + float(AHEAD)
TRACKING = TrackingKey("t1", b"t" * 32)


def load_app(function):
    spec = importlib.util.spec_from_file_location(
        f"app_{function}", ROOT / "functions" / function / "app.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Cloud:
    """Tables, queues, topic and key of one account, and the environment that names them."""

    def __init__(self, session):
        self.dynamodb, self.sqs = session.client("dynamodb"), session.client("sqs")
        wanted = json.loads((ROOT / "infra/resources.json").read_text())
        self.environment = {}
        for name, table in wanted["tables"].items():
            self._create(name, table)
        queues = ("lane", "recorder", "fanout", "webhooks", "jobs")
        self.queues = {n: self.sqs.create_queue(QueueName=n)["QueueUrl"] for n in queues}
        sns = session.client("sns")
        topic = sns.create_topic(Name="events")["TopicArn"]
        for name in ("recorder", "fanout"):
            sns.subscribe(
                TopicArn=topic,
                Protocol="sqs",
                Endpoint=self._arn(name),
                Attributes={"RawMessageDelivery": "true"},
            )
        self.environment |= {f"MAILROOM_QUEUE_{n.upper()}": u for n, u in self.queues.items()}
        self.environment["MAILROOM_TOPIC_EVENTS"] = topic
        self.environment["MAILROOM_ENDPOINT_NETWORKS"] = "127.0.0.0/8"
        self.key = session.client("kms").create_key()["KeyMetadata"]["Arn"]
        self.keyring = KmsKeyring(session.client("kms"), self.key)

    def _create(self, name, table):
        def schema(of):
            return [
                {"AttributeName": of["hash_key"], "KeyType": "HASH"},
                {"AttributeName": of["range_key"], "KeyType": "RANGE"},
            ]

        indexes = [
            {
                "IndexName": index,
                "KeySchema": schema(of),
                "Projection": {"ProjectionType": of["projection"]},
            }
            for index, of in table.get("indexes", {}).items()
        ]
        self.dynamodb.create_table(
            TableName=f"walk-{name}",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": n, "AttributeType": t} for n, t in table["attributes"].items()
            ],
            KeySchema=schema(table),
            **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
        )
        self.environment[f"MAILROOM_TABLE_{name.upper()}"] = f"walk-{name}"

    def _arn(self, name):
        answer = self.sqs.get_queue_attributes(
            QueueUrl=self.queues[name], AttributeNames=["QueueArn"]
        )
        return answer["Attributes"]["QueueArn"]

    def batch(self, name):
        """Receive what waits in a queue, as the event Lambda would make of it."""
        answer = self.sqs.receive_message(
            QueueUrl=self.queues[name], MaxNumberOfMessages=10, WaitTimeSeconds=5
        )
        found = answer.get("Messages", [])
        assert found, f"nothing came to {name}"
        return {"Records": [{"messageId": m["MessageId"], "body": m["Body"]} for m in found]}

    def image(self, key):
        """Read the delivery's item as the table's stream would show it."""
        sort = f"d#{key.index:04d}"
        return self.dynamodb.get_item(
            TableName="walk-mail",
            Key={"pk": {"S": f"{key.server}#{key.number:013d}"}, "sk": {"S": sort}},
        )["Item"]


@pytest.fixture
def cloud(emulator, monkeypatch):
    account = emulator.new_account()
    for name, value in {
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it would keep another test's account
    cloud = Cloud(emulator.session(account))
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    yield cloud
    for module in (mail_webhooks.wiring, mail_tracking.wiring, mail_scheduler.wiring):
        for made in vars(module).values():
            if hasattr(made, "cache_clear"):
                made.cache_clear()


@pytest.fixture
def webhook_key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def receiver():
    """A tenant's server that keeps what it is sent."""
    calls = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            calls.append((dict(self.headers), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/in", calls
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def work(cloud, webhook_key, receiver):
    """A committed message with one delivery, and a server with a webhook."""
    settings = load_settings(cloud.environment)
    rows = DirectoryRows(bound(DirectoryRow, "walk-directory"), cloud.keyring)
    private = webhook_key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    rows.put_webhook(Webhook("w1", SERVER, receiver[0]))
    rows.put_key("webhook", "k1", private, created_at=1.0)
    rows.put_key("token", "k1", b"s" * 32, created_at=1.0)
    rows.put_key("tracking", TRACKING.kid, TRACKING.secret, created_at=1.0)
    tables, watches = mail_tables(settings), bound(WatchRow, "walk-due")
    ledger = DynamoLedger(tables, watches)
    expires = ACCEPTED + 172_800
    ledger.watch(SERVER, NUMBER, ACCEPTED + 120)
    ledger.reserve([Delivery(KEY, "b@sim.test", State.QUEUED, ACCEPTED, expires)])
    ledger.commit(
        Submission(
            server=SERVER,
            number=NUMBER,
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
    return ledger, DynamoDueWork(tables, watches, SHARDS)


def test_a_verdict_becomes_history_and_a_signed_webhook_call(
    cloud, work, webhook_key, receiver, tmp_path
):
    ledger, due_work = work
    webhooks = load_app("webhooks")
    before, old = ledger.delivery(KEY), cloud.image(KEY)
    outcome = Outcome(Verdict.SENT, SmtpReply(250, "2.0.0 ok", "."))
    done = settle(before, outcome, Seen(), now=ACCEPTED + 5, policy=RetryPolicy(), jitter=0.0)
    assert due_work.settle(before, done.after, done.event)
    images = {"SequenceNumber": "1", "OldImage": old, "NewImage": cloud.image(KEY)}
    webhooks.publish({"Records": [{"eventName": "MODIFY", "dynamodb": images}]}, None)

    nothing_failed = {"batchItemFailures": []}
    assert webhooks.record(cloud.batch("recorder"), None) == nothing_failed
    assert ledger.history(KEY) == [done.event]
    hour = int((ACCEPTED + 5) // 3600)
    whole = mail_webhooks.wiring.statistics().read(Slot(SERVER), Grain.HOUR, hour, hour)
    assert whole.counts == {hour: {"sent": 1}}

    assert webhooks.fan_out(cloud.batch("fanout"), None) == nothing_failed
    assert webhooks.deliver(cloud.batch("webhooks"), None) == nothing_failed
    ((headers, body),) = receiver[1]
    assert json.loads(body)["event"] == "MessageSent"
    public = tmp_path / "webhook.pem"
    public.write_bytes(
        webhook_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    assert SignatureChecker(public).check(headers, body).verified
    (tried,) = mail_webhooks.wiring.notifications().page(SERVER, "w1", limit=5).tries
    assert (tried.made.attempt, tried.answer.status) == (1, 200)


def test_an_acceptance_is_history_once_and_counted_with_its_provider(cloud, work):
    ledger, _ = work
    webhooks = load_app("webhooks")
    row = cloud.dynamodb.get_item(
        TableName="walk-mail", Key={"pk": {"S": f"{SERVER}#{NUMBER:013d}"}, "sk": {"S": "s"}}
    )["Item"]
    images = {"SequenceNumber": "1", "NewImage": row}
    for _ in range(2):  # a stream may show a record again
        webhooks.publish({"Records": [{"eventName": "INSERT", "dynamodb": images}]}, None)
        assert webhooks.record(cloud.batch("recorder"), None) == {"batchItemFailures": []}
    (event,) = ledger.history(KEY)
    assert (event.type, event.at) == (EventType.ACCEPTED, ACCEPTED)
    hour = int(ACCEPTED // 3600)
    for dimension, value in ((Dimension.PROVIDER, "other"), (Dimension.DOMAIN, "demo.test")):
        slot = Slot(SERVER, dimension, value)
        counts = mail_webhooks.wiring.statistics().read(slot, Grain.HOUR, hour, hour).counts
        assert counts == {hour: {"accepted": 1, "submissions": 1}}
    assert webhooks.fan_out(cloud.batch("fanout"), None) == {"batchItemFailures": []}
    waiting = cloud.sqs.receive_message(QueueUrl=cloud.queues["webhooks"])
    assert "Messages" not in waiting  # Postal has no webhook for it


def test_a_click_comes_out_of_the_topic(cloud, work):
    tracking = load_app("tracking")
    url = "https://example.com/x"
    token = click_token(TRACKING, server=SERVER, number=NUMBER, index=0, url=url)
    request = {
        "rawPath": f"/c/{token}",
        "headers": {"user-agent": "Browser"},
        "requestContext": {"http": {"method": "GET", "sourceIp": "192.0.2.1"}},
    }
    answer = tracking.handler(request, None)
    assert (answer["statusCode"], answer["headers"]["location"]) == (307, url)
    (record,) = cloud.batch("recorder")["Records"]
    assert json.loads(record["body"])["view"]["url"] == url


def test_a_tick_wakes_what_nobody_took(cloud, work):
    _, due_work = work
    scheduler = load_app("scheduler")
    now = ACCEPTED + 130
    counts = scheduler.tick({"now": now}, None)
    assert (counts["watched"], counts["woken"], counts["rewatched"]) == (1, 1, 1)
    (record,) = cloud.batch("lane")["Records"]
    assert json.loads(record["body"])["to"] == "b@sim.test"
    assert due_work.watched(now, 10) == []
    (row,) = due_work.watched(now + 4000, 10)
    assert row[:2] == (SERVER, NUMBER)


def test_a_tick_wakes_a_deferral_once(cloud, work):
    ledger, due_work = work
    before = ledger.delivery(KEY)
    outcome = Outcome(Verdict.DEFERRED, SmtpReply(451, "4.3.0 later", "RCPT"))
    done = settle(before, outcome, Seen(), now=ACCEPTED + 5, policy=RetryPolicy(), jitter=0.0)
    assert due_work.settle(before, done.after, done.event)
    due_at = ledger.delivery(KEY).due_at
    scheduler = load_app("scheduler")
    assert scheduler.tick({"now": due_at}, None)["woken"] == 1
    assert len(cloud.batch("lane")["Records"]) == 1
    assert scheduler.tick({"now": due_at + 60}, None).get("woken", 0) == 0
    assert ledger.delivery(KEY) == replace(done.after, due_at=due_at + 600)
