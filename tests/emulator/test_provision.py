"""The provisioner on the emulator: everything in the file comes to be, and a second time changes
nothing.
"""

import dataclasses
import json
import urllib.request

import pytest
from localstack_client.session import Session

from localstack.builds import runtime
from localstack.cloud.scope import Options
from localstack.provision import Provisioned, provision
from localstack.resources import load_resources
from tests.support.emulator import ROOT, Emulator
from tests.support.inventory import inventory
from tests.support.small_zip import small_zip

pytestmark = pytest.mark.emulator
RESOURCES = load_resources(ROOT)


@dataclasses.dataclass(frozen=True)
class Deployment:
    emulator: Emulator
    session: Session
    options: Options
    made: Provisioned

    def again(self, **changes: object) -> Provisioned:
        options = dataclasses.replace(self.options, **changes)  # type: ignore[arg-type]
        return provision(self.session, RESOURCES, options)


@pytest.fixture(scope="module")
def deployment(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    zipped = small_zip(tmp_path_factory.mktemp("zips") / "small.zip")
    zips = dict.fromkeys(RESOURCES.apps, zipped)
    options = Options(
        "acme", "us-east-1", 60.0, 2, zips, runtime(), {"MAILROOM_DELAY_DIVISOR": "60"}
    )
    session = emulator.session()
    return Deployment(emulator, session, options, provision(session, RESOURCES, options))


def test_every_resource_has_an_address(deployment: Deployment) -> None:
    assert set(deployment.made.addresses) == RESOURCES.places
    assert set(deployment.made.endpoints) == set(RESOURCES.apis)


def test_a_second_run_changes_nothing(deployment: Deployment) -> None:
    before = inventory(deployment.session)
    assert deployment.again() == deployment.made
    assert inventory(deployment.session) == before


def test_a_changed_option_reaches_what_is_there(deployment: Deployment) -> None:
    queue = deployment.made.addresses["queue:lane"]
    sqs = deployment.session.client("sqs")

    def visibility() -> str:
        found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])
        seconds: str = found["Attributes"]["VisibilityTimeout"]
        return seconds

    assert visibility() == "10"
    deployment.again(delay_divisor=30.0)
    assert visibility() == "20"
    deployment.again()
    assert visibility() == "10"


def test_an_api_call_reaches_its_function_as_payload_2(deployment: Deployment) -> None:
    account = deployment.session.client("sts").get_caller_identity()["Account"]
    request = urllib.request.Request(
        f"{deployment.emulator.url}/some/path?a=1&a=2",
        data=b'{"x": 1}',
        headers={
            "Host": deployment.made.endpoints["api"].split("//")[1],
            "Content-Type": "application/json",
            # A call without a credential reaches the APIs of the emulator's first account only.
            "Authorization": f"AWS4-HMAC-SHA256 Credential={account}/20260101/us-east-1/x/y, a=b",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        event = json.load(answer)
    assert event["version"] == "2.0"
    assert event["rawPath"] == "/some/path"
    assert event["rawQueryString"] == "a=1&a=2"
    assert event["body"] == '{"x": 1}'


def test_the_subscriptions_leave_the_envelope_out_where_the_file_says_so(
    deployment: Deployment,
) -> None:
    sns = deployment.session.client("sns")
    raw = {}
    for subscription in sns.list_subscriptions()["Subscriptions"]:
        arn = subscription["SubscriptionArn"]
        attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
        queue = subscription["Endpoint"].rpartition(":acme-")[2]
        raw[queue] = attributes["RawMessageDelivery"] == "true"
    assert raw == {s.queue: s.raw for s in RESOURCES.subscriptions}


def test_a_subscribed_queue_gets_the_bare_message(deployment: Deployment) -> None:
    sns, sqs = deployment.session.client("sns"), deployment.session.client("sqs")
    queue = sqs.create_queue(QueueName="listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    subscription = sns.subscribe(
        TopicArn=deployment.made.addresses["topic:events"],
        Protocol="sqs",
        Endpoint=arn["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
        ReturnSubscriptionArn=True,
    )
    sns.publish(TopicArn=deployment.made.addresses["topic:events"], Message="bare", Subject="s")
    got = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    assert [message["Body"] for message in got] == ["bare"]
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    sqs.delete_queue(QueueUrl=queue)


def test_a_hopeless_message_has_somewhere_to_go(deployment: Deployment) -> None:
    sqs = deployment.session.client("sqs")
    for logical, queue in RESOURCES.queues.items():
        url = deployment.made.addresses[f"queue:{logical}"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
        redrive = json.loads(found["Attributes"]["RedrivePolicy"])
        assert redrive["deadLetterTargetArn"].endswith(f":acme-{logical}-dead")
        assert int(redrive["maxReceiveCount"]) == queue.max_receives
        assert sqs.get_queue_url(QueueName=f"acme-{logical}-dead")["QueueUrl"]
