"""Receiving hosts with ways of their own: each message ends as its host implies."""

import json
import secrets
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest

from localstack.zones import mx_hosts
from tests.support.customer import Customer, wait_for

pytestmark = pytest.mark.stack
CROWD = 12  # messages for the host that takes five a connection
ONCE = (
    "deadfirst",
    "half-dead",
    "ipv6",
    "nullmx",
    "no-such-domain",
    "no-starttls",
    "starttls-refused",
    "starttls-garbage",
    "starttls-closed",
    "starttls-required",
    "block",
)
BLOCKED_FIRST = "blocked-first"
Ids = Mapping[str, int]


@pytest.fixture(scope="module")
def ids(customer: Customer) -> Ids:
    """All messages of the module, sent at once; the key is the recipient."""
    run = secrets.token_hex(6)
    _set_exchanges(customer, ["10 mx.block.sim.test.", "20 mx2.sim.test."])
    to = [f"{run}@{domain}.sim.test" for domain in (*ONCE, BLOCKED_FIRST)]
    return customer.send([*to, f"greylist+{run}@sim.test"])


def _set_exchanges(customer: Customer, exchanges: list[str]) -> None:
    ready = json.loads((customer.stack.state / "ready" / "dns.json").read_text())
    request = urllib.request.Request(
        f"http://127.0.0.1:{ready['api_port']}/zone/records/{BLOCKED_FIRST}.sim.test",
        data=json.dumps({"records": [["MX", value, 1] for value in exchanges]}).encode(),
        headers={"Content-Type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status in (200, 201, 204)


def the_one(ids: Ids, domain: str) -> tuple[str, int]:
    return next((to, id_) for to, id_ in ids.items() if to.endswith(f"@{domain}.sim.test"))


def settled(customer: Customer, id_: int) -> dict[str, Any]:
    return wait_for(lambda: customer.settled(id_), what=f"{id_} to be settled")


def arrived(customer: Customer, to: str) -> dict[str, Any]:
    (found,) = customer.mailbox(to)
    return customer.mail(found["id"])


@pytest.mark.parametrize("domain", ["deadfirst", "half-dead", BLOCKED_FIRST])
def test_the_next_host_is_tried_when_the_better_one_does_not_take_mail(
    customer: Customer, ids: Ids, domain: str
) -> None:
    to, id_ = the_one(ids, domain)
    record = settled(customer, id_)
    assert (record["state"], record["attempts"]) == ("sent", 1)
    assert arrived(customer, to)["mx_host"] == mx_hosts()["mx2.sim.test"]


def test_a_host_with_only_an_ipv6_address_is_reached(customer: Customer, ids: Ids) -> None:
    to, id_ = the_one(ids, "ipv6")
    assert settled(customer, id_)["state"] == "sent"
    assert ":" in arrived(customer, to)["peer"]


@pytest.mark.parametrize("domain", ["nullmx", "no-such-domain"])
def test_a_domain_without_mail_bounces_at_once(customer: Customer, ids: Ids, domain: str) -> None:
    record = settled(customer, the_one(ids, domain)[1])
    assert (record["state"], record["attempts"]) == ("bounced", 1)
    assert record["events"][-1]["bounce"] == "hard"


@pytest.mark.parametrize(
    "domain", ["no-starttls", "starttls-refused", "starttls-garbage", "starttls-closed"]
)
def test_where_tls_does_not_work_mail_goes_in_clear(
    customer: Customer, ids: Ids, domain: str
) -> None:
    to, id_ = the_one(ids, domain)
    record = settled(customer, id_)
    assert (record["state"], record["events"][-1]["tls"]) == ("sent", False)
    assert not arrived(customer, to)["tls"]


def test_a_host_that_requires_tls_gets_it(customer: Customer, ids: Ids) -> None:
    to, id_ = the_one(ids, "starttls-required")
    record = settled(customer, id_)
    assert (record["state"], record["events"][-1]["tls"]) == ("sent", True)
    assert arrived(customer, to)["tls"]


def test_a_host_that_takes_five_a_connection_gets_all_at_the_first_attempt(
    customer: Customer,
) -> None:
    run = secrets.token_hex(6)
    crowd = [f"{run}-{n}@limit5.sim.test" for n in range(CROWD)]
    ids = {}
    for to in crowd:  # one after the other, so that they share a connection while they may
        ids |= customer.send([to])
        wait_for(lambda to=to: customer.mailbox(to), every=0.05, what=f"the mail to {to}")
    records = [settled(customer, id_) for id_ in ids.values()]
    assert [(r["state"], r["attempts"]) for r in records] == [("sent", 1)] * CROWD
    assert len(customer.mailbox(run)) == CROWD


def test_a_greylisting_host_gets_it_the_second_time(customer: Customer, ids: Ids) -> None:
    to, id_ = next((to, id_) for to, id_ in ids.items() if to.startswith("greylist+"))
    record = settled(customer, id_)
    assert [event["type"] for event in record["events"]] == ["accepted", "deferred", "sent"]
    arrived(customer, to)


def test_a_554_greeting_defers(customer: Customer, ids: Ids) -> None:
    to, id_ = the_one(ids, "block")

    def refused() -> dict[str, Any] | None:
        events = customer.record(id_)["events"]
        return next((event for event in events if event["type"] == "deferred"), None)

    event = wait_for(refused, what="the deferral")
    assert event["reply"].startswith("554 5.7.1")
    assert customer.record(id_)["state"] in ("deferred", "attempting")
    assert customer.mailbox(to) == []
