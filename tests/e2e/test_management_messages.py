"""What the management API tells of a running stack's mail and does to it: holds, suppressions,
limits, lists and searches, bulk actions, statistics.
"""

import secrets
import time
from collections.abc import Iterable
from typing import Any

import pytest

from tests.support.api_tenant import ApiServer, ApiTenant
from tests.support.customer import wait_for

pytestmark = pytest.mark.stack
DAY = 86_400


def box(behaviour: str = "accept") -> str:
    return f"{behaviour}+{secrets.token_hex(6)}@sim.test"


def suppress(server: ApiServer, address: str, **fields: str) -> int:
    body = {"address": address, "reason": "unsubscribe", **fields}
    return server.owner.ask("POST", f"{server.path}/suppressions", body).status


def kinds(detail: dict[str, Any]) -> list[str]:
    return [event["type"] for event in detail["events"]]


def states(server: ApiServer, ids: Iterable[int]) -> list[str]:
    return sorted(server.message(id_)["state"] for id_ in ids)


def test_development_mail_is_released_cancelled_and_told_of(api_tenant: ApiTenant) -> None:
    server = api_tenant.server("Development", mode="development")
    kept, dropped, unwanted = box(), box(), box()
    ids = server.send([kept, dropped, unwanted])
    for id_ in ids.values():
        server.in_state(id_, "held")
        server.hook(id_, "MessageHeld", "Held")
    assert server.found("held")["ids"] == set(ids.values())
    assert not any(server.customer.mailbox(to) for to in ids)

    assert suppress(server, unwanted) == 201  # after its acceptance
    assert [server.act(ids[to], "release").status for to in (kept, unwanted)] == [200, 200]
    assert server.act(ids[dropped], "cancel").json["state"] == "cancelled"
    assert kinds(server.in_state(ids[kept], "sent")) == ["accepted", "held", "released", "sent"]
    ended = server.in_state(ids[unwanted], "suppressed")
    assert kinds(ended) == ["accepted", "held", "released", "suppressed"]
    server.hook(ids[unwanted], "MessageDeliveryFailed", "HardFail")
    assert [len(server.customer.mailbox(to)) for to in ids] == [1, 0, 0]
    assert server.act(ids[kept], "release").status == 409


def test_suppressed_recipients_end_at_acceptance_and_at_the_last_moment(
    api_tenant: ApiTenant,
) -> None:
    server = api_tenant.server("Suppressing")
    early, late, fine, only_news = box(), box(), box(), box()
    assert suppress(server, early.upper()) == 201
    assert suppress(server, early) == 200
    assert suppress(server, only_news, stream="broadcast") == 201
    sent = server.submit([early, fine, only_news])
    said = {each["recipient"]: each["state"] for each in sent["messages"]}
    assert said == {early: "suppressed", fine: "queued", only_news: "queued"}
    ids = {each["recipient"]: each["id"] for each in sent["messages"]}
    assert kinds(server.in_state(ids[early], "suppressed")) == ["accepted", "suppressed"]
    server.hook(ids[early], "MessageDeliveryFailed", "HardFail")

    waiting = server.send([late], send_at=time.time() + DAY)[late]
    assert server.message(waiting)["state"] == "scheduled"
    assert suppress(server, late) == 201
    server.owner("PATCH", f"{server.path}/messages/{waiting}", {"send_at": time.time()})
    ended = kinds(server.in_state(waiting, "suppressed"))
    assert ended == ["accepted", "retried", "suppressed"]  # a time that has come is now
    server.hook(waiting, "MessageDeliveryFailed", "HardFail")
    for to in (fine, only_news):
        server.in_state(ids[to], "sent")
    assert [len(server.customer.mailbox(to)) for to in (early, late, fine, only_news)] == [
        *(0, 0, 1, 1)
    ]
    news = server.submit([only_news], stream="broadcast")["messages"]
    assert news[0]["state"] == "suppressed"

    assert server.owner.ask("DELETE", f"{server.path}/suppressions/{early}").status == 204
    server.in_state(server.send([early])[early], "sent")


def test_a_limit_holds_delays_or_rejects(api_tenant: ApiTenant) -> None:
    servers = {
        action: api_tenant.server(action.title(), limits={"hour": 2, "action": action})
        for action in ("hold", "delay", "reject")
    }
    ids = {action: servers[action].send([box() for _ in range(3)]) for action in ("hold", "delay")}
    rejecting = servers["reject"]
    taken = rejecting.send([box(), box()])
    refused = rejecting.sender.ask("POST", "/messages", rejecting.letter([box()]))
    assert (refused.status, refused.json["error"]["code"]) == (429, "send_limit_exceeded")
    assert (
        0 < int(refused.headers["retry-after"]) <= 3660
    )  # seconds, of an hour that rolls by minutes
    for id_ in taken.values():
        rejecting.in_state(id_, "sent")

    held = ids["hold"].values()
    wait_for(
        lambda: states(servers["hold"], held) == ["held", "sent", "sent"], what="one to be held"
    )
    (over,) = servers["hold"].found("held")["ids"]
    servers["hold"].hook(over, "MessageHeld", "Held")

    delayed = ids["delay"].values()
    wait_for(lambda: states(servers["delay"], delayed)[1:] == ["sent", "sent"], what="two")

    def one_waits() -> dict[str, Any] | None:
        found = servers["delay"].found("queue")["data"]
        return found[0] if found and found[0]["due_at"] else None

    waits = wait_for(one_waits, what="one that waits for the limit")
    assert waits["attempts"] == 0
    assert waits["due_at"] > waits["accepted_at"] + 30

    def used() -> bool:
        limits = rejecting.owner.get(f"{rejecting.path}/usage")["limits"]
        return [(each["period"], each["limit"], each["used"]) for each in limits] == [
            ("hour", 2, 2)
        ]

    wait_for(used, what="the usage to say so")


def test_mail_is_found_by_what_is_known_of_it(api_tenant: ApiTenant) -> None:
    server = api_tenant.server("Searching")
    ann, bad = box(), box("hard-bounce")
    first = server.submit([ann], subject="Invoice 4711 is due", tags=["invoice", "q3"])
    second = server.send([bad], subject="Hello again", tags=["invoice"])[bad]
    third = server.send([ann], subject="News", stream="broadcast")[ann]
    one = first["messages"][0]["id"]
    for id_, state in ((one, "sent"), (second, "bounced"), (third, "sent")):
        server.in_state(id_, state)
    accepted = server.message(second)["accepted_at"]
    for query, expected in (
        ({}, {one, second, third}),
        ({"recipient": ann.upper()}, {one, third}),
        ({"message_id": f"<{first['message_id']}>"}, {one}),
        ({"tag": "invoice"}, {one, second}),
        ({"tag": "q3"}, {one}),
        ({"from_time": accepted}, {second, third}),
        ({"to_time": accepted}, {one}),
        ({"recipient": ann, "from_time": accepted}, {third}),
        ({"status": "bounced"}, {second}),
        ({"status": "sent,held"}, {one, third}),
        ({"subject": "invoice due"}, {one}),
        ({"sender": "shop"}, {one, second, third}),
        ({"text": "again"}, {second}),
        ({"stream": "broadcast"}, {third}),
        ({"tag": "invoice", "status": "sent"}, {one}),
        ({"recipient": box()}, set()),
    ):
        page = server.found(**query)
        assert (page["ids"], page["is_complete"]) == (expected, True), query
    pages = server.found(limit=2)
    assert [each["id"] for each in pages["data"]] == [third, second]
    assert server.found(limit=2, cursor=pages["next_cursor"])["ids"] == {one}


def test_a_message_is_shown_whole(api_tenant: ApiTenant) -> None:
    server = api_tenant.server("Showing")
    to = box("greylist")
    id_ = server.send([to], html="<b>Hi</b>", headers={"X-Order": "Grüße"}, metadata={"a": "b"})[to]
    detail = server.in_state(id_, "sent")
    assert kinds(detail) == ["accepted", "deferred", "sent"]
    assert (detail["attempts"], detail["metadata"], detail["recipient"]) == (2, {"a": "b"}, to)
    path = f"{server.path}/messages/{id_}"
    events = server.owner.get(f"{path}/events")["data"]
    assert [each["type"] for each in events] == kinds(detail)
    deferred, sent = (each["attempt"] for each in events[1:])
    assert (deferred["code"], deferred["phase"], deferred["final"]) == (451, "RCPT", False)
    assert (sent["code"], sent["tls"]) == (250, True)
    header = server.owner.get(f"{path}/headers")["data"]
    assert {"name": "x-order", "value": "Grüße"} in header
    assert {each["name"] for each in header} >= {"from", "to", "subject", "message-id", "date"}
    bodies = server.owner.get(f"{path}/bodies")
    assert (bodies["text"].strip(), bodies["html"].strip()) == ("Hi", "<b>Hi</b>")
    raw = server.owner.ask("GET", f"{path}/raw")
    assert raw.headers["content-type"] == "message/rfc822"
    assert f"Message-ID: <{detail['message_id']}>".encode() in raw.raw
    assert server.owner.ask("GET", f"{server.path}/messages/1").status == 404
    assert server.sender.ask("GET", path).status == 403  # its key may only send


def test_a_filter_is_counted_and_then_released_by_a_job(api_tenant: ApiTenant) -> None:
    server = api_tenant.server("Bulk", mode="development")
    chosen = server.send([box() for _ in range(5)], tags=["july"])
    others = server.send([box(), box()], tags=["august"])
    everything = [*chosen.values(), *others.values()]
    wait_for(lambda: states(server, everything) == ["held"] * 7, what="all to be held")
    wait_for(lambda: len(server.found("held", tag="july")["ids"]) == 5, what="their index")
    asked = {"action": "release", "filter": {"tag": "july"}}
    bulk = f"{server.path}/messages/bulk"
    counted = server.owner("POST", bulk, {**asked, "dry_run": True})
    assert (counted["matching"], counted["job"], counted["is_complete"]) == (5, None, True)
    assert server.found("held", tag="july")["ids"] == set(chosen.values())

    job = server.owner("POST", bulk, asked)["job"]
    done = server.ended(job)
    assert (done["state"], done["progress"]["done"], done["progress"]["failed"]) == ("done", 5, 0)
    for to, id_ in chosen.items():
        server.in_state(id_, "sent")
        assert len(server.customer.mailbox(to)) == 1
    assert server.found("held")["ids"] == set(others.values())
    assert job in {each["id"] for each in server.owner.get(f"{server.path}/jobs")["data"]}


def test_statistics_and_usage_count_what_happened(api_tenant: ApiTenant) -> None:
    server = api_tenant.server("Counting", limits={"day": 100, "hour": 50})
    fine, bad, gone = [box(), box()], box("hard-bounce"), box()
    suppress(server, gone)
    ids = server.send([*fine, bad], tags=["report"]) | server.send([gone])
    for to, state in ((fine[0], "sent"), (fine[1], "sent"), (bad, "bounced"), (gone, "suppressed")):
        server.in_state(ids[to], state)
    path = f"{server.path}/statistics"
    expected = {
        "": {
            "accepted": 4,
            "submissions": 2,
            "delivered": 2,
            "bounced": 1,
            "bounced_hard": 1,
            "suppressed": 1,
        },
        "tag=report": {"accepted": 3, "submissions": 1, "delivered": 2, "bounced": 1},
        "provider=other": {"accepted": 4, "delivered": 2},
        f"domain={api_tenant.domain}": {"accepted": 4, "delivered": 2},
        "stream=transactional": {"accepted": 4, "delivered": 2},
        "tag=other": {"accepted": 0, "delivered": 0},
    }

    def total(query: str, by: str = "day") -> dict[str, int]:
        series = server.owner.get(f"{path}?by={by}&{query}")
        summed = sum(point["counts"]["accepted"] for point in series["points"])
        assert series["total"]["accepted"] == summed
        counts: dict[str, int] = series["total"]
        return counts

    for query, counts in expected.items():
        wait_for(lambda: total(query).items() >= counts.items(), what=f"{query} to be {counts}")  # noqa: B023 - asked at once
    for by in ("hour", "month"):
        assert total("", by).items() >= expected[""].items()
    values = server.owner.get(f"{path}/values", dimension="tag")["values"]
    assert values == ["report"]
    usage = server.owner.get(f"{server.path}/usage")
    assert usage["accepted"]["month"] == 4
    assert (usage["rates"]["delivered"], usage["rates"]["volume"]) == (2, 3)
    assert {(each["period"], each["limit"]) for each in usage["limits"]} == {
        ("hour", 50),
        ("day", 100),
    }
    assert {each["used"] for each in usage["limits"]} == {3}
    whole = server.owner.get(f"/organisations/{api_tenant.organisation}/statistics")["total"]
    assert whole["accepted"] >= 4
