"""Orders and dialogues over the management API."""

from typing import Any

import pytest

from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, ServerId
from mailroom.domain.sending.trace import TraceLine
from mailroom.usecases.orders import generation
from mailroom.usecases.traces import finish_trace, take_trace
from tests.support.management import Management
from tests.support.many_messages import made_delivery, made_submission


def stored(platform: Management, state: State, *, server: str = "srvaaaaaaa") -> Delivery:
    ledger = platform.memory.ledger
    number = 9_000_000 + len(ledger.submissions)
    made = made_submission(number, platform.clock.at - 50, server=ServerId(server), tag="news")
    row = made_delivery(made, 0, "ann@gmail.com", state=state, due_at=platform.clock.at + 999)
    ledger.reserve([row])
    ledger.commit(made)
    ledger.put(row)
    return row


@pytest.mark.parametrize(
    ("verb", "state"), [("retry-now", State.DEFERRED), ("release", State.HELD)]
)
def test_what_waits_where_no_host_has_it_goes_at_once(
    platform: Management, verb: str, state: State
) -> None:
    row = stored(platform, state)
    asked = body(verb, selector={"delivery": str(row.key)})
    assert platform.made("/egress/orders", asked)["job"] is None
    after = platform.memory.ledger.delivery(row.key)
    assert after is not None
    assert after.due_at is not None
    assert after.due_at < platform.clock.at + 999
    platform.made("/egress/orders", asked)  # it is under way: nothing to be done


@pytest.mark.parametrize("verb", ["retry-now", "release"])
def test_a_tenants_waiting_mail_is_moved_by_a_job(platform: Management, verb: str) -> None:
    server = platform.server(platform.organisation())
    selector = {"tenant": server, "campaign": "news", "older_than": 60}
    job = platform.made("/egress/orders", body(verb, selector=selector))["job"]
    found = platform.ask("GET", f"/jobs/{job}").json
    assert (found["kind"], found["owner"]) == ("messages.bulk", f"server#{server}")
    assert platform.made("/egress/orders", body(verb))["job"] is None  # no such server


def test_an_order_whose_job_cannot_start_is_taken_back(platform: Management) -> None:
    server = platform.server(platform.organisation())
    asked = body("retry-now", selector={"tenant": server})
    while (told := platform.ask("POST", "/egress/orders", asked)).status == 201:
        platform.clock.at += 1
    assert told.status == 409
    kept = platform.ask("GET", "/egress/orders", query="limit=100").json["data"]
    assert len(kept) == 20


def test_release_of_a_site_lifts_orders_and_starts_nothing(platform: Management) -> None:
    asked = body("release", selector={"site": "gmail"})
    assert platform.made("/egress/orders", asked)["job"] is None


@pytest.fixture
def platform() -> Management:
    return Management()


def body(verb: str = "pause", **more: Any) -> dict[str, Any]:
    return {"verb": verb, "reason": "Because", "selector": {"tenant": "srvaaaaaaa"}, **more}


def test_an_order_is_given_listed_read_and_cancelled(platform: Management) -> None:
    made = platform.made(
        "/egress/orders",
        body("throttle", arguments={"rate": "100/min"}, seconds=60,
             selector={"provider": "gmail", "campaign": "spring", "older_than": 5}),
    )  # fmt: skip
    assert made == {
        "id": made["id"], "verb": "throttle", "reason": "Because", "author": "key_root",
        "selector": {"provider": "gmail", "campaign": "spring", "older_than": 5.0},
        "arguments": {"rate": "100/60s"}, "job": None,
        "created_at": platform.clock.at, "expires_at": platform.clock.at + 60,
    }  # fmt: skip
    assert platform.ask("GET", "/egress/orders").json["data"] == [made]
    assert platform.ask("GET", f"/egress/orders/{made['id']}").json == made
    assert generation(platform.control) == 1
    assert platform.ask("DELETE", f"/egress/orders/{made['id']}").status == 204
    assert platform.ask("GET", f"/egress/orders/{made['id']}").status == 404
    assert platform.ask("DELETE", f"/egress/orders/{made['id']}").status == 404
    assert platform.ask("GET", "/egress/orders").json["data"] == []
    assert generation(platform.control) == 2
    found = platform.ask("GET", "/audit", query="kind=order").json["data"]
    assert sorted(each["action"] for each in found) == ["create", "delete"]


@pytest.mark.parametrize(
    ("asked", "code", "why"),
    [
        (body("bounce", selector={}), "order_not_possible", "confirm"),
        (body("reroute"), "order_not_possible", "needs a pool"),
        (body("suspend"), "order_not_possible", "about paths"),
        (body("throttle", arguments={"rate": "fast"}), "validation_failed", ""),
        (body("throttle", arguments={"rate": "0/s"}), "validation_failed", ""),
        (body("teleport"), "validation_failed", ""),
        (body(seconds=31 * 86_400), "validation_failed", ""),
        (body(reason=""), "validation_failed", ""),
        (body(selector={"planet": "mars"}), "validation_failed", ""),
        (body(selector={"tenant": "a\u200bb"}), "order_not_possible", "no name"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(
    platform: Management, asked: dict[str, Any], code: str, why: str
) -> None:
    told = platform.ask("POST", "/egress/orders", asked)
    assert (told.status, told.json["error"]["code"]) == (422, code)
    assert why in told.json["error"]["message"]
    assert generation(platform.control) == 0


def test_all_mail_of_the_platform_is_bounced_only_when_confirmed(platform: Management) -> None:
    platform.made("/egress/orders", body("bounce", selector={}, confirm=True))


def test_a_dialogue_is_asked_for_run_by_a_host_and_read(platform: Management) -> None:
    asked = {"domain": "example.org", "depth": "recipient", "recipient": "ann@example.org"}
    told = platform.ask("POST", "/egress/traces", asked)
    assert (told.status, told.json["state"], told.json["lines"]) == (202, "waiting", [])
    path = told.headers["location"].removeprefix("/api/v2")
    now = platform.clock.at
    assert take_trace(platform.control, "host-2", now=now, mine=lambda _: False) is None
    taken = take_trace(platform.control, "host-1", now=now, mine=lambda _: True)
    assert taken is not None
    assert take_trace(platform.control, "host-2", now=now, mine=lambda _: True) is None
    assert platform.ask("GET", path).json["state"] == "running"
    finish_trace(taken, [TraceLine(0.1, "<", "220 hello")], platform.control, now=now + 1)
    told = platform.ask("GET", path)
    assert (told.json["state"], told.json["process"]) == ("done", "host-1")
    assert told.json["lines"] == [{"at": 0.1, "who": "<", "text": "220 hello"}]
    platform.clock.at += 3_601
    assert platform.ask("GET", path).status == 404


@pytest.mark.parametrize(
    ("after", "is_taken", "why"), [(61, False, "no host took it"), (361, True, "fell silent")]
)
def test_a_dialogue_that_nobody_ends_has_failed(
    platform: Management, after: float, is_taken: bool, why: str
) -> None:
    told = platform.ask("POST", "/egress/traces", {"domain": "example.org"})
    if is_taken:
        take_trace(platform.control, "host-1", now=platform.clock.at, mine=lambda _: True)
    platform.clock.at += after
    found = platform.ask("GET", f"/egress/traces/{told.json['id']}").json
    assert (found["state"], why in found["error"]) == ("failed", True)
    assert take_trace(platform.control, "h", now=platform.clock.at, mine=lambda _: True) is None


@pytest.mark.parametrize(
    "asked",
    [
        {"domain": "example.org", "depth": "send"},
        {"domain": "exa mple.org"},
        {"domain": "example.org", "depth": "send", "recipient": "a@b>\u2028"},
        {"domain": ""},
    ],
)
def test_what_no_host_could_run_is_refused(platform: Management, asked: dict[str, Any]) -> None:
    assert platform.ask("POST", "/egress/traces", asked).status == 422


def test_only_so_many_dialogues_wait(platform: Management) -> None:
    for _ in range(20):
        assert platform.ask("POST", "/egress/traces", {"domain": "example.org"}).status == 202
        platform.clock.at += 1
    assert platform.ask("POST", "/egress/traces", {"domain": "example.org"}).status == 409
