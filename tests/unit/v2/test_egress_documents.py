"""Shaping and reply rules are published, compared, tried and gone back on over the API."""

from datetime import UTC, datetime
from typing import Any

import pytest

from mailroom.domain.event import AttemptFacts, Event, EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.message import ServerId
from mailroom.domain.replies.unknown import UnknownKey, UnknownReply
from mailroom.domain.sending.view import HostView, PathView
from mailroom.usecases.host_views import write_view
from mailroom.usecases.published import Kind, generation
from mailroom.usecases.unknown_replies import UnknownPorts, note
from tests.support.management import Management
from tests.support.many_messages import made_delivery, made_submission


@pytest.fixture
def platform() -> Management:
    return Management()


SHAPING: dict[str, Any] = {
    "version": "one",
    "defaults": {"connections": 7, "addresses": {"ip_a": {"connections": 3}}},
    "providers": {"gmail": {"message_rate": "10/s"}},
}
SLOW = {
    "id": "acme-slow", "provider": "acme", "code": "421", "text": "slow down", "scope": "path",
    "category": "rate-limited", "source": "their postmaster page",
    "actions": [{"verb": "backoff"}], "samples": [{"code": 421, "text": "slow down, friend",
                                                   "phase": "MAIL"}],
}  # fmt: skip
RULES = {"version": "mine", "rules": [SLOW]}


def asked(platform: Management, method: str, path: str, body: Any = None, query: str = "") -> Any:
    told = platform.ask(method, path, body, query=query)
    assert told.status in (200, 201), told
    return told.json


def publish(platform: Management, kind: str, document: Any, **more: Any) -> Any:
    body = {"document": document, "reason": "Because", **more}
    return asked(platform, "POST", f"/egress/{kind}", body)


def test_what_a_release_brings_along_is_in_use_first(platform: Management) -> None:
    found = asked(platform, "GET", "/egress/rules")
    assert found["version"] is None
    assert len(found["document"]["rules"]) > 30
    assert asked(platform, "POST", "/egress/rules/lint", {"document": found["document"]}) == {
        "problems": []
    }
    starter = asked(platform, "GET", "/egress/shaping")
    assert (starter["version"], "gmail" in starter["document"]["providers"]) == (None, True)
    shown = HostView("host-1", platform.clock.at, shaping="shipped local")
    write_view(shown, platform.control)
    assert asked(platform, "GET", "/egress/shaping") != starter


@pytest.mark.parametrize(
    ("kind", "first", "second", "line"),
    [
        ("shaping", SHAPING, {**SHAPING, "defaults": {"connections": 9}}, "defaults.connections"),
        ("rules", RULES, {**RULES, "rules": [{**SLOW, "category": "other"}]}, "category"),
    ],
)
def test_documents_are_published_compared_and_gone_back_on(
    platform: Management, kind: str, first: Any, second: Any, line: str
) -> None:
    one = publish(platform, kind, first, expected=0)
    assert (one["number"], one["author"], one["reason"]) == (1, "key_root", "Because")
    assert asked(platform, "GET", f"/egress/{kind}") == {"version": one, "document": first}
    different = asked(platform, "POST", f"/egress/{kind}/diff", {"document": second})["lines"]
    assert any(line in each for each in different)
    publish(platform, kind, second, expected=1)
    assert asked(platform, "POST", f"/egress/{kind}/diff", {"old": 1, "new": 2})[
        "lines"
    ] == different  # fmt: skip
    back = asked(platform, "POST", f"/egress/{kind}/rollback", {"to": 1, "reason": "Worse"})
    assert (back["number"], back["back_to"]) == (3, 1)
    assert asked(platform, "GET", f"/egress/{kind}")["document"] == first
    assert asked(platform, "GET", f"/egress/{kind}/versions/2")["document"] == second
    assert generation(Kind(kind), platform.control) == 3
    listed = asked(platform, "GET", f"/egress/{kind}/versions", query="limit=2")
    assert [each["number"] for each in listed["data"]] == [3, 2]
    query = f"limit=2&cursor={listed['next_cursor']}"
    rest = asked(platform, "GET", f"/egress/{kind}/versions", query=query)
    assert ([each["number"] for each in rest["data"]], rest["next_cursor"]) == ([1], None)
    log = asked(platform, "GET", "/audit", query=f"kind={kind}")["data"]
    assert sorted(each["action"] for each in log) == ["publish", "publish", "rollback"]


def test_what_has_a_problem_is_told_and_not_published(platform: Management) -> None:
    broken = {"defaults": {"connections": -1, "planet": 1}}
    problems = asked(platform, "POST", "/egress/shaping/lint", {"document": broken})["problems"]
    assert len(problems) == 2
    told = platform.ask("POST", "/egress/shaping", {"document": broken, "reason": "x"})
    assert (told.status, told.json["error"]["code"]) == (422, "document_not_valid")
    assert [each["message"] for each in told.json["error"]["fields"]] == problems
    shadowed = {**RULES, "rules": [SLOW, {**SLOW, "id": "again"}]}
    problems = asked(platform, "POST", "/egress/rules/lint", {"document": shadowed})["problems"]
    assert any("again" in each for each in problems)
    assert generation(Kind.SHAPING, platform.control) == 0


def test_two_who_publish_at_once_are_told(platform: Management) -> None:
    publish(platform, "shaping", SHAPING)
    body = {"document": {}, "reason": "x", "expected": 0}
    assert platform.ask("POST", "/egress/shaping", body).status == 412
    body = {"document": SHAPING, "reason": "x"}
    assert platform.ask("POST", "/egress/shaping", body).status == 409


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/egress/shaping/versions/1", None, 404),
        ("GET", "/egress/shaping/versions/x", None, 404),
        ("POST", "/egress/shaping/rollback", {"to": 1, "reason": "x"}, 404),
        ("POST", "/egress/shaping/diff", {"document": {}, "new": 1}, 422),
        ("POST", "/egress/shaping/diff", {"old": 4}, 404),
        ("GET", "/egress/shaping/versions?cursor=bm9wZQ", None, 422),
        ("GET", "/egress/settings/ip_z/gmail", None, 404),
        ("POST", "/egress/rules/test", {"reply": "slow down"}, 422),
        ("POST", "/egress/rules/test", {"reply": "421 x", "document": {"rules": 1}}, 422),
        ("POST", "/egress/rules/dry-run", {"server": "nobody"}, 404),
        ("GET", "/egress/rules/unknown?day=2025-02-30", None, 422),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_refused(
    platform: Management, method: str, path: str, body: Any, status: int
) -> None:
    path, _, query = path.partition("?")
    assert platform.ask(method, path, body, query=query).status == status


def test_settings_of_a_path_tell_their_layer(platform: Management) -> None:
    pool = platform.made("/pools", {"name": "Shared"})["id"]
    body = {"ipv4": "192.0.2.1", "hostname": "mx.mail.test"}
    address = platform.made(f"/pools/{pool}/addresses", body)["id"]
    publish(platform, "shaping", SHAPING)
    found = asked(platform, "GET", f"/egress/settings/{address}/gmail")
    assert (found["pool"], found["provider"], found["version"]) == (pool, "gmail", 1)
    rows = {row["name"]: (row["value"], row["origin"]) for row in found["settings"]}
    assert rows["connections"] == (7, "defaults")
    assert rows["message_rate"] == ("10/1s", "providers.gmail")
    assert rows["idle"][1] == "built-in"
    assert "backoff.connections" in rows
    shown = PathView("ip_a", "mx.b.test", provider="other", pool=pool)
    write_view(HostView("host-1", platform.clock.at, paths=(shown,)), platform.control)
    found = asked(platform, "GET", "/egress/settings/ip_a/mx.b.test")
    rows = {row["name"]: row["value"] for row in found["settings"]}
    assert rows["connections"] == 3
    path = asked(platform, "GET", "/egress/paths/ip_a/mx.b.test")
    assert path["settings"]["connections"] == 3


def test_a_reply_is_judged_by_the_rules_in_use_or_by_others(platform: Management) -> None:
    body = {"reply": "421 please slow down", "provider": "acme", "phase": "MAIL"}
    assert asked(platform, "POST", "/egress/rules/test", body)["rule"] != "acme-slow"
    found = asked(platform, "POST", "/egress/rules/test", {**body, "document": RULES})
    assert (found["rule"], found["scope"], found["category"]) == (
        "acme-slow", "path", "rate-limited"
    )  # fmt: skip
    assert found["actions"][0]["verb"] == "backoff"
    publish(platform, "rules", RULES)
    assert asked(platform, "POST", "/egress/rules/test", body)["rule"] == "acme-slow"
    lines = {**body, "reply": "421-4.7.0 please\n421 4.7.0 slow down"}
    assert asked(platform, "POST", "/egress/rules/test", lines)["rule"] == "acme-slow"


def test_rules_are_tried_on_recorded_replies(platform: Management) -> None:
    server = platform.server(platform.organisation())
    ledger, at = platform.memory.ledger, platform.clock.at
    made = made_submission(7_000_000, at, server=ServerId(server))
    row = made_delivery(made, 0, "ann@gmail.com", state=State.SENT)
    ledger.reserve([row])
    ledger.commit(made)
    for number, reply in enumerate(("421 slow down", "250 taken")):
        facts = AttemptFacts(number, "x", reply, int(reply[:3]), "MAIL")
        ledger.record(Event(str(number), EventType.DEFERRED, row.key, at + number, facts))
    document = {**RULES, "rules": [{**SLOW, "provider": ["acme", "gmail"]}]}
    given = {"reply": "421 slow down", "provider": "acme", "times": 5}
    body = {"document": document, "replies": [given], "server": server}
    found = asked(platform, "POST", "/egress/rules/dry-run", body)
    assert (found["replies"], found["messages"], found["is_complete"]) == (7, 1, True)
    assert {"rule": "acme-slow", "times": 6} in found["fired"]
    assert found["changed"] >= 5
    (example, *_) = found["examples"]
    assert example["after"]["rule"] == "acme-slow"
    assert example["before"]["rule"] != "acme-slow"


def test_replies_that_no_rule_knew_are_listed(platform: Management) -> None:
    day = datetime.fromtimestamp(platform.clock.at, UTC).date()
    replies = [
        UnknownReply(UnknownKey("gmail", "MAIL", 421, "computer says no"), 3),
        UnknownReply(UnknownKey("other", "RCPT", 550, "never"), 9),
    ]
    assert note(UnknownPorts(platform.control), day, replies, now=platform.clock.at) == ()
    found = asked(platform, "GET", "/egress/rules/unknown")["data"]
    assert found[0] == {
        "count": 9, "provider": "other", "phase": "RCPT", "code": 550, "text": "never"
    }  # fmt: skip
    assert len(found) == 2
    assert asked(platform, "GET", "/egress/rules/unknown", query="day=2020-01-01")["data"] == []
