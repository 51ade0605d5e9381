"""Calls made again through the API, their history, and an organisation's own topic."""

import json
import secrets
from typing import Any

import boto3
import pytest

from mailroom.adapters.sns_topics import OrganisationTopics
from tests.support.customer import Answer, Customer, wait_for
from tests.support.tenants import Tenant, Tenants

pytestmark = pytest.mark.stack


def box(behaviour: str = "accept") -> str:
    return f"{behaviour}+{secrets.token_hex(6)}@sim.test"


class Hook:
    """A tenant's webhook: its calls as the receiver saw them, and what the API says of them."""

    def __init__(self, tenant: Tenant, customer: Customer) -> None:
        self.mine = tenant.on(customer)
        self.name = tenant.server.id
        self._url = f"{self.mine.status['api_url']}/api/v2/webhooks/hook-{tenant.server.id}"

    def calls(self) -> list[dict[str, Any]]:
        """What the receiver took, oldest first."""
        return [hook for hook in reversed(self.mine.webhooks()) if hook["name"] == self.name]

    def uuids(self) -> list[str]:
        return [call["uuid"] for call in self.calls()]

    def history(self, query: str = "") -> dict[str, Any]:
        answer = self._ask(f"{self._url}/deliveries{query}")
        assert answer.status == 200, answer
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def replay(self, wanted: dict[str, Any]) -> Answer:
        return self._ask(f"{self._url}/replay", json.dumps(wanted).encode())

    def _ask(self, url: str, body: bytes | None = None) -> Answer:
        headers = {"X-Server-API-Key": self.mine.status["api_key"]}
        return self.mine.http(url, data=body, headers=headers)


@pytest.fixture
def hook(customer: Customer, tenants: Tenants) -> Hook:
    """A webhook whose three calls were made and stand in its history."""
    made = Hook(tenants(), customer)
    made.mine.send([box() for _ in range(3)])
    wait_for(lambda: len(set(made.uuids())) == 3, what="three calls")
    wait_for(lambda: len(made.history()["deliveries"]) >= 3, what="three tries in the history")
    return made


def test_one_call_is_made_again_octet_by_octet(hook: Hook) -> None:
    first = hook.calls()[0]
    answer = hook.replay({"uuid": first["uuid"]})
    assert (answer.status, json.loads(answer.body)) == (202, {"replayed": 1, "next_from": None})
    wait_for(lambda: hook.uuids().count(first["uuid"]) >= 2, what="the call again")
    again = hook.calls()[-1]
    assert (again["uuid"], again["body"]) == (first["uuid"], first["body"])
    assert again["verified"]

    def shown() -> bool:
        return any(each["replay"] for each in hook.history()["deliveries"])

    wait_for(shown, what="the replay in the history")


def test_the_calls_of_a_time_are_made_again(hook: Hook) -> None:
    times = [each["at"] for each in hook.history()["deliveries"]]
    span = {"from": min(times), "to": max(times)}
    failed = hook.replay({**span, "only_failed": True})
    assert json.loads(failed.body)["replayed"] == 0
    answer = hook.replay(span)
    assert (answer.status, json.loads(answer.body)["replayed"]) == (202, 3)
    wait_for(lambda: all(hook.uuids().count(uuid) >= 2 for uuid in hook.uuids()), what="all again")
    assert len(set(hook.uuids())) == 3


def test_the_history_is_read_page_by_page(hook: Hook) -> None:
    first = hook.history("?limit=2")
    assert len(first["deliveries"]) == 2
    second = hook.history(f"?limit=2&cursor={first['next_cursor']}")
    tries = first["deliveries"] + second["deliveries"]
    assert {each["uuid"] for each in tries} == set(hook.uuids())
    assert [each["at"] for each in tries] == sorted((e["at"] for e in tries), reverse=True)
    assert {each["response"]["status"] for each in tries} == {200}
    assert {json.loads(each["request"]["body"])["event"] for each in tries} == {"MessageSent"}


def test_another_tenants_calls_are_not_there(
    hook: Hook, customer: Customer, tenants: Tenants
) -> None:
    hook.mine.status["api_key"] = tenants().api_key
    assert hook.replay({"uuid": hook.uuids()[0]}).status == 404


def test_an_organisations_topic_gets_its_events(customer: Customer, tenants: Tenants) -> None:
    tenant = tenants()
    provisioned = json.loads((customer.stack.state / "provisioned.json").read_text())
    family = provisioned["addresses"]["topic:org"]
    session = boto3.Session(region_name="us-east-1")
    sns, sqs = session.client("sns"), session.client("sqs")
    topic = OrganisationTopics(sns, tenant.rows, family).create(
        tenant.organisation, ["111122223333"]
    )
    queue = sqs.create_queue(QueueName=f"events-{tenant.server.id}")["QueueUrl"]
    described = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=described["Attributes"]["QueueArn"])
    mine = tenant.on(customer)
    to = box("hard-bounce")
    id_ = mine.send([to])[to]

    def published() -> dict[str, Any] | None:
        taken = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", [])
        return json.loads(json.loads(taken[0]["Body"])["Message"]) if taken else None

    call = wait_for(published, what="the event in the subscriber's queue")
    assert call["event"] == "MessageDeliveryFailed"
    assert call["payload"]["message"]["id"] == id_
    hooks = wait_for(lambda: mine.webhooks_of(id_), what="the webhook beside it")
    assert hooks[0]["payload"] == call["payload"]
