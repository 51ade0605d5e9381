"""`infra/resources.json`: read strictly, and named, allowed and addressed as one module says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localstack.naming import (
    LOOKER,
    MOVER,
    TRACER,
    Names,
    environment,
    host_policy,
    policy,
    queue_policy,
    variable,
    visibility,
)
from localstack.resources import Access, ResourcesError, load_resources, parse_resources

ROOT = Path(__file__).resolve().parent.parent.parent
RESOURCES = load_resources(ROOT)
NAMES = Names("acme", "123456789012", "eu-west-1", {"secrets": "arn:key"})


def edited(**sections: Any) -> str:
    return json.dumps({**json.loads((ROOT / "infra" / "resources.json").read_text()), **sections})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "version 1"),
        (edited(version=2), "version 1"),
        (edited(lambdas={}), "unknown section 'lambdas'"),
        (edited(queues={}), "no queue"),
        (edited(topics={}), "no topic"),
        (edited(queues={"lane": {"visibility": 1}}), "queues.lane"),
        (edited(schedules={"x": {"function": "nobody", "expression": "rate(1 day)"}}), "nobody"),
        (edited(mappings={"m": {"function": "api", "batch_size": 1}}), "a queue or a stream"),
        (
            edited(mappings={"m": {"function": "api", "batch_size": 1, "stream": "due"}}),
            "has no stream",
        ),
        (edited(hosts={"sender": {"access": {"disk:c": ["Format"]}}}), "no such kind"),
        (edited(hosts={"api": {"access": {}}}), "hosts.api: a function has the same name"),
        (edited(hosts={"large": {"like": "nobody"}}), "hosts.large: 'nobody'"),
    ],
)
def test_a_mistake_is_a_sentence_that_names_the_place(text: str, words: str) -> None:
    with pytest.raises(ResourcesError, match=re.escape(words)):
        parse_resources(text)


def test_a_process_gets_the_addresses_it_has_access_to_and_no_others() -> None:
    accesses = (Access("queue", "lane-two", ("SendMessage",)),)
    addresses = {"queue:lane-two": "https://queue", "table:mail": "acme-mail"}
    assert environment(accesses, addresses, {"MAILROOM_X": "1"}) == {
        "MAILROOM_QUEUE_LANE_TWO": "https://queue",
        "MAILROOM_X": "1",
    }


def test_every_variable_name_can_be_one() -> None:
    assert all(re.fullmatch(r"MAILROOM_[A-Z_]+", variable(place)) for place in RESOURCES.places)


def statements(function: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = policy(RESOURCES, function, NAMES)["Statement"]
    return found


def test_a_policy_says_what_the_access_entry_says() -> None:
    allowed = {(a, s["Resource"]) for s in statements("scheduler") for a in s["Action"]}
    mail = "arn:aws:dynamodb:eu-west-1:123456789012:table/acme-mail"
    assert ("dynamodb:DeleteItem", mail) in allowed
    assert ("dynamodb:Query", f"{mail}/index/due") in allowed
    assert ("dynamodb:UpdateItem", f"{mail}/index/due") not in allowed


def test_objects_are_allowed_below_the_bucket_and_keys_by_their_arn() -> None:
    allowed = {(a, s["Resource"]) for s in statements("api") for a in s["Action"]}
    assert ("s3:PutObject", "arn:aws:s3:::acme-bodies/*") in allowed
    assert ("kms:Decrypt", "arn:key") in allowed


@pytest.mark.parametrize(
    ("function", "action"), [("publisher", "GetRecords"), ("recorder", "ReceiveMessage")]
)
def test_a_consumer_may_read_its_source(function: str, action: str) -> None:
    assert any(entry.endswith(f":{action}") for s in statements(function) for entry in s["Action"])


def test_the_host_that_serves_the_api_may_do_what_the_function_may_and_no_more() -> None:
    assert RESOURCES.hosts["hostapi"] == RESOURCES.functions["api"].access


def every_policy() -> Iterator[list[dict[str, Any]]]:
    for function in RESOURCES.functions:
        yield statements(function)
    for host in RESOURCES.hosts:
        yield host_policy(RESOURCES, host, NAMES)["Statement"]


def test_no_policy_has_a_wildcard_action_or_resource_but_where_aws_knows_none() -> None:
    for allowed in every_policy():
        for statement in allowed:
            everywhere = tuple(statement["Action"]) in (TRACER, LOOKER)
            assert (statement["Resource"] == "*") == everywhere
            assert not any("*" in action for action in statement["Action"])


def test_every_process_may_send_its_traces() -> None:
    for allowed in every_policy():
        assert [tuple(s["Action"]) for s in allowed].count(TRACER) == 1


def test_a_host_process_may_do_what_its_access_entry_says() -> None:
    allowed = {
        (action, statement["Resource"])
        for statement in host_policy(RESOURCES, "sender", NAMES)["Statement"]
        for action in statement["Action"]
    }
    assert ("sqs:ReceiveMessage", "arn:aws:sqs:eu-west-1:123456789012:acme-lane") in allowed
    assert ("s3:GetObject", "arn:aws:s3:::acme-bodies/*") in allowed


def test_only_the_sender_moves_elastic_ips_and_only_those_with_the_deployments_tag() -> None:
    moving = [s for s in every_policy() if any(MOVER in each["Action"] for each in s)]
    assert len(moving) == 1
    allowed = [
        each
        for each in host_policy(RESOURCES, "sender", NAMES)["Statement"]
        if MOVER in each["Action"]
    ]
    assert [each["Resource"] for each in allowed] == [
        "arn:aws:ec2:eu-west-1:123456789012:elastic-ip/*",
        "arn:aws:ec2:eu-west-1:123456789012:network-interface/*",
    ]
    for each in allowed:
        assert each["Condition"] == {"StringEquals": {"aws:ResourceTag/mailroom": "acme"}}


def test_a_topic_may_send_to_the_queues_that_listen_to_it_and_to_no_other() -> None:
    granted = queue_policy(RESOURCES, "recorder", NAMES)
    assert granted is not None
    assert granted["Statement"][0]["Condition"]["ArnEquals"]["aws:SourceArn"].endswith(
        ":acme-events"
    )
    assert queue_policy(RESOURCES, "lane", NAMES) is None


def test_a_shortened_visibility_never_gets_too_short_for_a_slow_machine() -> None:
    assert visibility(RESOURCES, "lane", 1) == RESOURCES.queues["lane"].visibility_seconds
    assert visibility(RESOURCES, "lane", 10_000) == 10
    assert visibility(RESOURCES, "webhooks", 60) == RESOURCES.queues["webhooks"].visibility_seconds


def test_every_handler_is_in_the_app_module() -> None:
    assert all(f.handler.startswith("app.") for f in RESOURCES.functions.values())


@pytest.mark.parametrize("app", RESOURCES.apps)
def test_a_function_is_packaged_with_the_versions_that_were_tested(app: str) -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock_text(), re.MULTILINE))
    pinned = (ROOT / "functions" / app / "requirements.txt").read_text().split()
    assert pinned
    for line in pinned:
        name, version = line.split("==")
        assert locked[name] == version


def lock_text() -> str:
    return (ROOT / "requirements" / "run.lock").read_text()
