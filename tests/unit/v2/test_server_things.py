"""Streams, templates, routes, endpoints, webhooks, pools and the audit log over the API."""

from typing import Any

import pytest

from mailroom.domain.tenancy.record import Change, Place, Record
from mailroom.ports import Answer
from tests.support.management import Management


@pytest.fixture
def platform() -> Management:
    return Management()


@pytest.fixture
def server(platform: Management) -> str:
    return platform.server(platform.organisation())


def domain(platform: Management, server: str, name: str = "acme.test") -> None:
    record = Record(Place(f"domain#{name}", f"server#{server}"), {"verified": True})
    platform.registry.write([Change.put(record)])


def test_every_server_has_the_two_streams(platform: Management, server: str) -> None:
    found = platform.ask("GET", f"/servers/{server}/streams").json["data"]
    assert [(each["id"], each["class"]) for each in found] == [
        ("broadcast", "broadcast"),
        ("transactional", "transactional"),
    ]
    refused = platform.ask("DELETE", f"/servers/{server}/streams/broadcast")
    assert (refused.status, refused.json["error"]["code"]) == (409, "built_in")


def test_a_stream_is_named_by_its_id_once(platform: Management, server: str) -> None:
    path = f"/servers/{server}/streams"
    made = platform.made(path, {"name": "news", "class": "broadcast"})
    assert made["id"] == "news"
    assert platform.ask("POST", path, {"name": "news", "class": "broadcast"}).status == 409
    changed = platform.ask("PATCH", f"{path}/news", {"description": "Monthly"})
    assert changed.json["description"] == "Monthly"
    assert platform.ask("DELETE", f"{path}/news").status == 204


def test_a_template_is_stored_whole_and_its_alias_is_its_own(
    platform: Management, server: str
) -> None:
    path = f"/servers/{server}/templates"
    body = {"name": "Welcome", "alias": "welcome", "html": "<p>{{name}}</p>\n", "subject": "Hi"}
    made = platform.made(path, body)
    assert platform.ask("GET", f"{path}/{made['id']}").json["html"] == "<p>{{name}}</p>\n"
    taken = platform.ask("POST", path, body)
    assert (taken.status, taken.json["error"]["fields"][0]["path"]) == (409, "alias")
    assert platform.ask("POST", path, {"name": "Big", "html": "x" * 200_001}).status == 422


ENDPOINTS: list[dict[str, Any]] = [
    {"type": "http", "url": "https://user:secret@example.org/in"},
    {"type": "smtp", "hostname": "mail.example.org"},
    {"type": "address", "address": "someone@example.org"},
]


@pytest.mark.parametrize("body", ENDPOINTS, ids=lambda body: body["type"])
def test_an_endpoint_of_each_type_has_its_own_fields(
    platform: Management, server: str, body: dict[str, Any]
) -> None:
    path = f"/servers/{server}/endpoints"
    made = platform.made(path, {"name": "In", **body})
    assert "secret" not in str(made)
    others = next(each for each in ENDPOINTS if each["type"] != body["type"])
    name = next(name for name in others if name != "type")
    foreign = platform.ask("PATCH", f"{path}/{made['id']}", {name: others[name]})
    assert (foreign.status, foreign.json["error"]["fields"][0]["path"]) == (422, name)
    missing = platform.ask("POST", path, {"name": "In", "type": body["type"]})
    assert missing.status == 422


def test_routes_of_a_deleted_endpoint_reject(platform: Management, server: str) -> None:
    domain(platform, server)
    endpoint = platform.made(f"/servers/{server}/endpoints", {"name": "In", **ENDPOINTS[0]})["id"]
    body = {"name": "help", "domain": "acme.test", "mode": "endpoint", "endpoint": endpoint}
    route = platform.made(f"/servers/{server}/routes", body)
    assert len(route["token"]) == 8
    assert platform.ask("DELETE", f"/servers/{server}/endpoints/{endpoint}").status == 204
    after = platform.ask("GET", f"/servers/{server}/routes/{route['id']}").json
    assert (after["mode"], after["endpoint"]) == ("reject", None)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "help", "domain": "other.test", "mode": "accept"},
        {"name": "help", "domain": "acme.test", "mode": "endpoint"},
        {"name": "help", "domain": "acme.test", "mode": "accept", "endpoint": "ep_x"},
        {"name": "help", "domain": "acme.test", "mode": "endpoint", "endpoint": "ep_x"},
        {"name": "__returnpath__", "domain": "acme.test", "mode": "accept"},
        {"name": "help", "mode": "accept"},
        {"name": "HELP!", "domain": "acme.test", "mode": "accept"},
    ],
)
def test_a_route_that_leads_nowhere_is_refused(
    platform: Management, server: str, body: dict[str, Any]
) -> None:
    domain(platform, server)
    assert platform.ask("POST", f"/servers/{server}/routes", body).status == 422


def test_an_address_has_one_route_and_every_server_a_return_path(platform: Management) -> None:
    org = platform.organisation()
    one, two = platform.server(org, "One"), platform.server(org, "Two")
    for each in (one, two):
        domain(platform, each)
        endpoint = platform.made(f"/servers/{each}/endpoints", {"name": "In", **ENDPOINTS[0]})
        body = {"name": "__returnpath__", "endpoint": endpoint["id"]}
        platform.made(f"/servers/{each}/routes", body)
    body = {"name": "help", "domain": "acme.test", "mode": "accept"}
    platform.made(f"/servers/{one}/routes", body)
    assert platform.ask("POST", f"/servers/{two}/routes", body).status == 409


def test_a_webhook_is_made_tested_and_its_calls_are_shown_and_replayed(
    platform: Management, server: str
) -> None:
    path = f"/servers/{server}/webhooks"
    body = {
        "name": "Main",
        "url": "https://u:p@example.org/hook?token=x",
        "events": ["MessageSent"],
    }
    made = platform.made(path, body)
    assert made["url"] == "https://example.org/hook?token=[redacted]"
    row = platform.registry.read(Place(f"server#{server}", f"webhook#{made['id']}"))
    assert row is not None
    assert row.body["url"] == body["url"]
    tested = platform.ask("POST", f"{path}/{made['id']}/test")
    assert tested.status == 202
    queued = platform.calls.queued[-1][0]
    platform.calls.remember(queued, at=platform.memory.clock.at, answer=Answer(500, "no"))
    calls = platform.ask("GET", f"{path}/{made['id']}/calls").json["data"]
    assert [(each["uuid"], each["response"]["status"]) for each in calls] == [
        (tested.json["uuid"], 500)
    ]
    again = platform.ask("POST", f"{path}/{made['id']}/replay", {"uuid": tested.json["uuid"]})
    assert (again.status, again.json["replayed"]) == (202, 1)
    now = platform.memory.clock.at
    span = {"from_time": now - 60, "to_time": now + 60, "only_failed": True}
    assert platform.ask("POST", f"{path}/{made['id']}/replay", span).json["replayed"] == 1
    assert platform.ask("POST", f"{path}/{made['id']}/replay", {}).status == 422


def test_a_webhook_of_the_organisation_is_seen_by_its_servers_calls(
    platform: Management,
) -> None:
    org = platform.organisation()
    server = platform.server(org)
    body = {"name": "All", "url": "https://example.org/hook"}
    made = platform.made(f"/organisations/{org}/webhooks", body)
    told = platform.ask("POST", f"/servers/{server}/webhooks/{made['id']}/test")
    assert told.status == 202


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://example.org/"},
        {"url": "https://example.org:25/"},
        {"url": "https://example.org/", "events": ["Nothing"]},
        {"url": "https://example.org/", "views": "nobody"},
    ],
)
def test_a_webhook_nothing_may_call_is_refused(
    platform: Management, server: str, body: dict[str, Any]
) -> None:
    told = platform.ask("POST", f"/servers/{server}/webhooks", {"name": "x", **body})
    assert told.status == 422


def test_pools_are_shared_or_dedicated(platform: Management) -> None:
    ours, theirs = platform.organisation("Ours"), platform.organisation("Theirs")
    shared = platform.made("/pools", {"name": "Shared"})["id"]
    own = platform.made("/pools", {"name": "Theirs", "organisations": [theirs]})["id"]
    key = platform.organisation_key(ours)
    usable = platform.ask("GET", f"/organisations/{ours}/pools", key=key).json["data"]
    assert [each["id"] for each in usable] == [shared]
    rule = {"pool": own, "from": ["news@ours.test"]}
    assert platform.ask("POST", f"/organisations/{ours}/pool-rules", rule, key=key).status == 422
    rule["pool"] = shared
    made = platform.made(f"/organisations/{ours}/pool-rules", rule, key=key)
    assert made["from"] == ["news@ours.test"]
    path = f"/organisations/{ours}/pool-rules/{made['id']}"
    assert platform.ask("PATCH", path, {"from": []}, key=key).status == 422
    assert platform.ask("PATCH", path, {"to": ["gmail.com"]}, key=key).json["to"] == ["gmail.com"]
    assert platform.ask("GET", "/pools", key=key).status == 403


def test_a_server_sends_from_a_pool_its_organisation_may_use(platform: Management) -> None:
    ours, theirs = platform.organisation("Ours"), platform.organisation("Theirs")
    foreign = platform.made("/pools", {"name": "Theirs", "organisations": [theirs]})["id"]
    shared = platform.made("/pools", {"name": "Shared"})["id"]
    path = f"/organisations/{ours}/servers"
    assert platform.ask("POST", path, {"name": "a", "pool": foreign}).status == 422
    server = platform.made(path, {"name": "b", "pool": shared})["id"]
    assert platform.ask("PATCH", f"/servers/{server}", {"pool": foreign}).status == 422
    assert platform.ask("PATCH", f"/organisations/{ours}", {"default_pool": "x"}).status == 422
    assert platform.ask("PATCH", f"/servers/{server}", {"pool": None}).json["pool"] is None


def test_retention_of_metadata_outlives_that_of_messages(platform: Management, server: str) -> None:
    path = f"/servers/{server}"
    assert platform.ask("PATCH", path, {"retention_raw_days": 61}).status == 422
    assert platform.ask("PATCH", path, {"retention_raw_days": 60}).status == 200


def test_pools_and_addresses_say_what_hosts_need(platform: Management) -> None:
    pool = platform.made("/pools", {"name": "Six", "prefer_ipv6": True, "default": True})
    assert (pool["prefer_ipv6"], pool["default"]) == (True, True)
    body = {"ipv4": "192.0.2.7", "hostname": "mx7.mail.test", "private": "10.0.0.7", "host": "h-1"}
    path = f"/pools/{pool['id']}/addresses"
    made = platform.made(path, body)
    assert (made["private"], made["host"], made["plan"]) == ("10.0.0.7", "h-1", None)
    changed = platform.ask("PATCH", f"{path}/{made['id']}", {"host": None, "plan": "slow"}).json
    assert (changed["private"], changed["host"], changed["plan"]) == ("10.0.0.7", None, "slow")
    for bad in ({"private": "host"}, {"plan": "no plan"}, {"host": ""}):
        assert platform.ask("PATCH", f"{path}/{made['id']}", bad).status == 422


def test_an_address_is_in_one_pool_and_a_pool_with_addresses_stays(platform: Management) -> None:
    one, two = (platform.made("/pools", {"name": name})["id"] for name in ("One", "Two"))
    body = {"ipv4": "192.0.2.1", "hostname": "mx1.mail.test"}
    made = platform.made(f"/pools/{one}/addresses", body)
    taken = platform.ask("POST", f"/pools/{two}/addresses", body)
    assert (taken.status, taken.json["error"]["fields"][0]["path"]) == (409, "ipv4")
    assert platform.ask("DELETE", f"/pools/{one}").status == 409
    assert platform.ask("DELETE", f"/pools/{one}/addresses/{made['id']}").status == 204
    assert platform.ask("DELETE", f"/pools/{one}").status == 204
    for bad in ({"ipv4": "192.0.2.256"}, {"ipv4": "::1"}, {"hostname": "x"}, {"weight": 101}):
        assert platform.ask("POST", f"/pools/{two}/addresses", {**body, **bad}).status == 422


def test_the_audit_log_is_read_backwards_across_months(platform: Management) -> None:
    org = platform.organisation()
    for n in range(3):
        platform.memory.clock.at += 40 * 86_400
        platform.ask("PATCH", f"/organisations/{org}", {"name": f"Name {n}"})
    found, cursor = [], ""
    while True:
        page = platform.ask(
            "GET", f"/organisations/{org}/audit", query=f"limit=2&cursor={cursor}"
        ).json
        found += [each["after"].get("name") for each in page["data"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert found == ["Name 2", "Name 1", "Name 0", "Acme"]
    none = platform.ask("GET", f"/organisations/{org}/audit", query="actor=somebody")
    assert none.json["data"] == []
    assert platform.ask("GET", "/audit", query="cursor=eA").status == 422
