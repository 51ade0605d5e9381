"""Source addresses, warm-up, and why a delivery waits, over the management API."""

from dataclasses import replace
from typing import Any

import pytest

from mailroom.domain.event import AttemptFacts, Event, EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, ServerId
from mailroom.domain.sending.lease import Lease, dump_lease
from mailroom.domain.sending.view import HostView, PathView
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.warmup.plan import plan_named
from mailroom.domain.warmup.progress import begin, dump_progress, utc_day
from mailroom.usecases.host_views import write_view
from mailroom.usecases.warmup import progress_place
from tests.support.management import Management
from tests.support.many_messages import made_delivery, made_submission


@pytest.fixture
def platform() -> Management:
    return Management()


def address(platform: Management, pool: str, ipv4: str) -> str:
    body = {"ipv4": ipv4, "hostname": "mx.mail.test", "state": "warming"}
    return str(platform.made(f"/pools/{pool}/addresses", body)["id"])


def data(platform: Management, path: str, query: str = "") -> Any:
    told = platform.ask("GET", path, query=query)
    assert told.status == 200, told
    return told.json["data"]


def test_addresses_tell_who_holds_them_and_what_they_do(platform: Management) -> None:
    now = platform.clock.at
    pool = platform.made("/pools", {"name": "Shared"})["id"]
    other = platform.made("/pools", {"name": "Other"})["id"]
    first, second = address(platform, pool, "192.0.2.1"), address(platform, pool, "192.0.2.2")
    third = address(platform, other, "192.0.2.3")
    for id_, until in ((first, now + 30), (second, now - 1)):
        lease = dump_lease(Lease(id_, "host-1", 3, until))
        platform.control.put(Record(Place("lease", id_), lease))
    paths = (
        PathView(first, "gmail", state="backoff", ready=4), PathView(first, "yahoo", ready=1),
    )  # fmt: skip
    write_view(HostView("host-1", now, paths=paths), platform.control)
    rows = {row["id"]: row for row in data(platform, "/egress/ips")}
    assert rows.keys() == {first, second, third}
    assert rows[first] == {
        "id": first, "pool": pool, "ipv4": "192.0.2.1", "ipv6": None, "hostname": "mx.mail.test",
        "state": "warming", "weight": 100, "owner": "host-1", "leased_until": now + 30,
        "paths": 2, "in_trouble": 1, "waiting": 5, "warm_up": [],
    }  # fmt: skip
    assert (rows[second]["owner"], rows[third]["owner"]) == ("", "")
    assert [row["id"] for row in data(platform, "/egress/ips", f"pool={other}")] == [third]


def test_warm_up_is_told_by_group(platform: Management) -> None:
    pool = platform.made("/pools", {"name": "Shared"})["id"]
    id_ = address(platform, pool, "192.0.2.1")
    assert data(platform, "/egress/ips/warm") == []
    plan = plan_named("gentle")
    progress = begin(plan.name, plan.of("gmail"), utc_day(platform.clock.at))
    platform.control.put(Record(progress_place(id_, "gmail"), dump_progress(progress)))
    (row,) = data(platform, "/egress/ips/warm")
    assert (row["address"], row["group"], row["plan"], row["day"]) == (id_, "gmail", "gentle", 1)
    assert (row["used"], row["facts"]["attempted"], row["progress"]) == (0, 0, "warming")
    assert data(platform, "/egress/ips/warm", f"address={id_}") == [row]
    assert platform.ask("GET", "/egress/ips/warm", query="address=ip_z").status == 404
    (row,) = data(platform, "/egress/ips")
    assert row["warm_up"][0].startswith("gmail: day 1 of ")


def stored(platform: Management, **changes: Any) -> Delivery:
    ledger, server = platform.memory.ledger, ServerId("srvaaaaaaa")
    made = made_submission(9_000_000, platform.clock.at, server=server, tag="news")
    row = replace(made_delivery(made, 0, "ann@gmail.com", state=State.QUEUED), **changes)
    ledger.reserve([row])
    ledger.commit(made)
    ledger.put(row)
    return row


def explained(platform: Management, row: Delivery) -> Any:
    told = platform.ask("GET", f"/egress/why/{row.key}")
    assert told.status == 200, told
    return told.json


def test_a_delivery_that_waits_tells_which_path_holds_it_up(platform: Management) -> None:
    row, now = stored(platform), platform.clock.at
    assert "nothing that hosts show" in explained(platform, row)["explanation"]
    slow = PathView(
        "ip_a", "gmail", provider="gmail", state="backoff", cause="gmail-rate", until=now + 60
    )
    write_view(HostView("h", now, paths=(slow, PathView("ip_a", "other.org"))), platform.control)
    told = explained(platform, row)
    assert (told["delivery"], told["provider"], told["state"]) == (str(row.key), "gmail", "queued")
    assert [each["site"] for each in told["paths"]] == ["gmail"]
    assert "ip_a>gmail is in backoff until" in told["explanation"]
    assert "gmail-rate" in told["explanation"]


def test_a_path_at_its_limit_is_named_with_the_limit(platform: Management) -> None:
    row = stored(platform)
    full = PathView("ip_a", "gmail", provider="gmail", binding="connections")
    write_view(HostView("h", platform.clock.at, paths=(full,)), platform.control)
    assert "at its limit: connections" in explained(platform, row)["explanation"]


def test_an_order_that_touches_it_is_named(platform: Management) -> None:
    row = stored(platform)
    asked = {"verb": "pause", "reason": "Complaints", "selector": {"campaign": "news"}}
    order = platform.made("/egress/orders", asked)
    platform.made("/egress/orders", {**asked, "selector": {"campaign": "other"}})
    told = explained(platform, row)
    assert [each["id"] for each in told["orders"]] == [order["id"]]
    assert "order says pause" in told["explanation"]
    assert "Complaints" in told["explanation"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": State.DEFERRED, "due_at": 1_760_000_300.0}, "tried again at 2025-10-09"),
        ({"state": State.SENT}, "done with: sent"),
        ({"state": State.HELD}, "held until a person"),
        ({"state": State.ATTEMPTING}, "sending it now"),
        ({"state": State.SCHEDULED, "due_at": 1_760_000_300.0}, "to be sent at 2025-10-09"),
    ],
)
def test_each_state_has_its_words(
    platform: Management, changes: dict[str, Any], words: str
) -> None:
    row = stored(platform, **changes)
    facts = AttemptFacts(1, "They said no.", "421 later", 421, "MAIL", "mx.gmail.test [192.0.2.9]")
    event = Event(f"{row.key}/1/deferred", EventType.DEFERRED, row.key, 1_760_000_000.0, facts)
    platform.memory.ledger.record(event)
    told = explained(platform, row)
    assert words in told["explanation"]
    assert (told["last"]["reply"], told["last"]["mx"]) == ("421 later", "mx.gmail.test [192.0.2.9]")


@pytest.mark.parametrize("name", ["nothing", "srvaaaaaaa.1.0", "srvaaaaaaa.01.0", "a.b.c", "..."])
def test_a_delivery_that_is_none_is_not_found(platform: Management, name: str) -> None:
    assert platform.ask("GET", f"/egress/why/{name}").status == 404
