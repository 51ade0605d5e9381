"""Operators see hosts, paths and queues over the management API."""

from typing import Any

import pytest

from mailroom.domain.sending.view import ErrorView, HostView, PathView, TransitionView
from mailroom.domain.tenancy.record import Place, Record
from mailroom.usecases.host_views import write_view
from tests.support.management import Management

GMAIL = PathView(
    "ip_a", "gmail", provider="gmail", pool="pool_a", state="backoff", cause="gmail-rate",
    reply="421 4.7.28 unusual rate", until=1_760_000_600.0, window=1.0, connections=1, rate=0.1,
    ready=40, binding="message-rate", queue_age=33.0, sent=5, deferred=7,
    errors=(ErrorView(1_759_999_990.0, 421, "4.7.28 unusual rate", "MAIL", "gmail-rate"),),
    transitions=(TransitionView(1_759_999_990.0, "normal", "backoff", "gmail-rate"),),
)  # fmt: skip
OTHER = PathView("ip_a", "mx.example.org", pool="pool_a", ready=2, sent=50, connections=3)
YAHOO = PathView("ip_b", "yahoo", provider="yahoo", pool="pool_b", ready=9, bounced=1)


def host(platform: Management, process: str, *paths: PathView, **more: Any) -> None:
    write_view(HostView(process, platform.clock.at, paths=paths, **more), platform.control)


@pytest.fixture
def platform() -> Management:
    made = Management()
    host(
        made, "host-1", GMAIL, OTHER, lanes={"bulk": 40, "transactional": 2}, leases=("ip_a",),
        waiting={"gmail": 40, "mx.example.org": 2}, tenants={"srvaaaaaaa": 42}, in_flight=3,
        parked={"pool_a#gmail": 700}, counters={"sent": 9_000.0}, version="1.2", rules="r7",
    )  # fmt: skip
    host(made, "host-2", YAHOO, lanes={"bulk": 9}, waiting={"yahoo": 9, "gmail": 1}, draining=True)
    return made


def data(platform: Management, path: str, query: str = "") -> Any:
    told = platform.ask("GET", path, query=query)
    assert told.status == 200, told
    return told.json["data"]


def test_the_status_adds_all_hosts_up(platform: Management) -> None:
    told = platform.ask("GET", "/egress/status").json
    assert told == {
        "hosts": 2, "draining": 1, "waiting": 51, "in_flight": 3, "parked": 700,
        "lanes": {"bulk": 49, "transactional": 2}, "paths": {"backoff": 1, "normal": 2},
        "sent": 55, "deferred": 7, "bounced": 1, "orders": 0, "oldest_at": platform.clock.at,
    }  # fmt: skip
    platform.clock.at += 61
    assert platform.ask("GET", "/egress/status").json["hosts"] == 0


def test_hosts_are_listed_with_what_they_hold(platform: Management) -> None:
    first, second = data(platform, "/egress/hosts")
    assert (first["process"], first["addresses"], first["waiting"]) == ("host-1", ["ip_a"], 42)
    assert (first["counters"], first["version"], first["rules"]) == ({"sent": 9_000}, "1.2", "r7")
    assert (second["draining"], second["paths"]) == (True, 1)


@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("site", [("gmail", 41, 2), ("yahoo", 9, 1), ("mx.example.org", 2, 1)]),
        ("lane", [("bulk", 49, 2), ("transactional", 2, 1)]),
        ("tenant", [("srvaaaaaaa", 42, 1)]),
        ("parked", [("pool_a#gmail", 700, 1)]),
    ],
)
def test_what_waits_is_counted_over_hosts(
    platform: Management, by: str, rows: list[tuple[str, int, int]]
) -> None:
    found = data(platform, "/egress/queues", f"by={by}")
    assert [(row["name"], row["waiting"], row["hosts"]) for row in found] == rows


def test_paths_in_trouble_come_first_and_can_be_chosen(platform: Management) -> None:
    assert [row["site"] for row in data(platform, "/egress/paths")] == [
        "gmail", "yahoo", "mx.example.org"
    ]  # fmt: skip
    chosen = {
        "state=backoff": ["gmail"], "address=ip_a": ["gmail", "mx.example.org"],
        "process=host-2": ["yahoo"], "provider=yahoo&state=backoff": [], "pool=pool_b": ["yahoo"],
        "site=gmail": ["gmail"],
    }  # fmt: skip
    for query, sites in chosen.items():
        assert [row["site"] for row in data(platform, "/egress/paths", query)] == sites


def test_lists_have_pages(platform: Management) -> None:
    told = platform.ask("GET", "/egress/paths", query="limit=2").json
    assert len(told["data"]) == 2
    rest = platform.ask("GET", "/egress/paths", query=f"limit=2&cursor={told['next_cursor']}").json
    assert ([row["site"] for row in rest["data"]], rest["next_cursor"]) == (
        ["mx.example.org"],
        None,
    )
    told = platform.ask("GET", "/egress/paths", query="cursor=bm9wZQ")
    assert (told.status, told.json["error"]["code"]) == (422, "bad_cursor")


def test_a_path_says_why_it_waits(platform: Management) -> None:
    order = platform.made(
        "/egress/orders", {"verb": "pause", "reason": "Gmail asks", "selector": {"site": "gmail"}}
    )
    platform.made("/egress/orders", {"verb": "pause", "reason": "x", "selector": {"site": "yahoo"}})
    told = platform.ask("GET", "/egress/paths/ip_a/gmail").json
    assert (told["state"], told["cause"], told["binding"]) == (
        "backoff", "gmail-rate", "message-rate"
    )  # fmt: skip
    assert (told["reply"], told["until"]) == ("421 4.7.28 unusual rate", 1_760_000_600)
    assert told["errors"][0]["rule"] == "gmail-rate"
    assert told["transitions"][0]["after"] == "backoff"
    assert [each["id"] for each in told["orders"]] == [order["id"]]
    assert told["shown_at"] == platform.clock.at


def test_a_path_no_host_shows_is_told_from_the_table(platform: Management) -> None:
    assert platform.ask("GET", "/egress/paths/ip_z/gmail").status == 404
    platform.control.put(Record(Place("path#ip_z", "gmail"), {"state": "suspended"}))
    told = platform.ask("GET", "/egress/paths/ip_z/gmail").json
    assert (told["stored"], told["shown_at"]) == ({"state": "suspended"}, None)


def test_sites_are_added_up_over_addresses(platform: Management) -> None:
    host(platform, "host-3", PathView("ip_c", "gmail", provider="gmail", connections=2, sent=1))
    first, *_ = data(platform, "/egress/sites")
    assert first == {
        "site": "gmail", "provider": "gmail", "paths": 2, "in_trouble": 1, "waiting": 41,
        "connections": 3, "sent": 6, "deferred": 7, "bounced": 0,
    }  # fmt: skip
    assert [row["site"] for row in data(platform, "/egress/sites", "provider=yahoo")] == ["yahoo"]
