"""The API end to end over in-memory ports: what clients of Postal see, and what is stored."""

import base64
import email
import json
import zlib
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from chalice.app import Chalice

from mailroom.domain.event import AttemptFacts, Event, EventType, ViewFacts
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Credential, DeliveryKey, Submission
from mailroom.domain.postal_words import delivery_entry, message_object, webhook_event
from mailroom.domain.send_limit import LimitAction, Limits
from mailroom.domain.token import message_token
from tests.support.api_calls import (
    KEY,
    LIMIT,
    OTHER_KEY,
    SERVER,
    SUSPENDED_KEY,
    MemoryApi,
    http_event,
)

GOOD = {"to": ["ann@x.test"], "from": "Me <me@demo.test>", "subject": "Hi", "plain_body": "x"}
CALLS = ["send/message", "send/raw", "messages/deliveries"]
FORM = {"content-type": "application/x-www-form-urlencoded", "x-server-api-key": KEY}


def raw_call(raw: bytes, **changes: Any) -> dict[str, Any]:
    encoded = base64.b64encode(raw).decode()
    return {"rcpt_to": ["ann@x.test"], "mail_from": "me@demo.test", "data": encoded} | changes


RAW = b"From: me@demo.test\r\nMessage-ID: <own@demo.test>\r\nSubject: s\r\n\r\nhello"


@pytest.fixture
def api() -> MemoryApi:
    return MemoryApi()


def only_submission(api: MemoryApi) -> tuple[Submission, bytes]:
    [submission] = api.ledger.submissions.values()
    body = submission.body
    raw = zlib.decompress(body.inline) if body.inline else api.bodies.get(body.key or "")
    return submission, raw


@pytest.mark.parametrize(
    ("changes", "call", "code"),
    [
        ({"expires_at": 1_760_000_000.0}, "send/message", "AccessDenied"),
        ({"networks": ("198.51.100.0/24",)}, "send/message", "AccessDenied"),
        ({"networks": ("192.0.2.0/24",), "expires_at": 1e10}, "send/message", None),
        ({"scopes": frozenset({"messages:read"})}, "send/message", "AccessDenied"),
        ({"scopes": frozenset({"messages:read"})}, "messages/deliveries", "MessageNotFound"),
        ({"scopes": frozenset({"messages:send"})}, "messages/deliveries", "MessageNotFound"),
        ({"scopes": frozenset({"domains:read"})}, "messages/deliveries", "AccessDenied"),
    ],
)
def test_a_key_opens_only_when_and_where_and_for_what_it_may(
    api: MemoryApi, changes: dict[str, Any], call: str, code: str | None
) -> None:
    key = replace(Credential("c1", SERVER.id, "api", "main"), **changes)
    api.directory.add_credential(key, KEY)
    envelope = api.call(call, GOOD | {"id": 5})
    assert envelope["data"].get("code") == code


def test_a_server_over_its_limit_is_told_so(api: MemoryApi) -> None:
    full = Limits(day=1, action=LimitAction.REJECT)
    api.directory.add_server(replace(SERVER, limits=full))
    assert api.call("send/message", GOOD)["status"] == "success"
    assert api.call("send/message", GOOD)["data"]["code"] == "SendLimitExceeded"


def test_labels_come_from_headers_and_the_tag_of_the_call(api: MemoryApi) -> None:
    headers = {"X-Mailroom-Metadata-Plan": "gold", "X-Mailroom-Stream": "news"}
    api.call("send/message", GOOD | {"tag": "mine", "headers": headers})
    submission, _ = only_submission(api)
    assert (submission.tag, submission.tags) == ("mine", ("mine",))
    assert (submission.stream, submission.metadata) == ("news", {"plan": "gold"})


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, {"code": "AccessDenied"}),
        ("  ", {"code": "AccessDenied"}),
        ("wrong", {"code": "InvalidServerAPIKey", "token": "wrong"}),
        ("schlüssel", {"code": "InvalidServerAPIKey", "token": "schlüssel"}),
        ("smtp" * 6, {"code": "InvalidServerAPIKey", "token": "smtp" * 6}),
        (SUSPENDED_KEY, {"code": "ServerSuspended"}),
    ],
)
def test_a_key_that_opens_nothing_is_refused(
    api: MemoryApi, call: str, key: str | None, expected: dict[str, str]
) -> None:
    envelope = api.call(call, GOOD, key=key)
    told = envelope["data"].pop("message", "")
    assert (envelope["status"], envelope["data"]) == ("error", expected)
    assert bool(told) == (expected["code"] != "ServerSuspended")
    assert api.is_untouched


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "PATCH"])
def test_every_method_of_postal_sends(api: MemoryApi, method: str) -> None:
    assert api.call("send/message", GOOD, method=method)["status"] == "success"


def test_other_methods_and_paths_are_not_the_envelopes_business(api: MemoryApi) -> None:
    assert api.ask(http_event("DELETE", "/api/v1/send/message"))[0] == 405
    assert api.ask(http_event("POST", "/api/v1/send/nothing"))[0] == 404


def test_a_form_field_of_json_is_a_call(api: MemoryApi) -> None:
    body = urlencode({"params": json.dumps(GOOD)}).encode()
    for event in (
        http_event("POST", "/api/v1/send/message", body, headers=FORM),
        http_event("POST", "/api/v1/send/message", body.decode(), headers=FORM),
        http_event("GET", "/api/v1/send/message", query=body.decode(), headers=FORM),
    ):
        status, envelope = api.ask(event)
        assert (status, envelope["status"]) == (200, "success")


def test_a_message_is_accepted_for_every_distinct_address(api: MemoryApi) -> None:
    envelope = api.call(
        "send/message",
        GOOD
        | {
            "to": ["Ann <Ann@X.test>", "bob@x.test"],
            "cc": "Ann@x.test",
            "bcc": ["dot@x.test", "bob@x.test"],
            "tag": "welcome",
            "bounce": True,
        },
    )
    messages = envelope["data"]["messages"]
    assert list(messages) == ["Ann@X.test", "bob@x.test", "Ann@x.test", "dot@x.test"]
    assert messages["Ann@X.test"] == messages["Ann@x.test"]
    submission, raw = only_submission(api)
    deliveries = api.ledger.deliveries(SERVER.id, submission.number)
    assert [d.recipient for d in deliveries] == ["Ann@x.test", "bob@x.test", "dot@x.test"]
    for delivery in deliveries:
        entry = messages[delivery.recipient]
        assert entry["id"] == delivery.key.postal_id < 2**53
        assert entry["token"] == message_token(delivery.key, b"x" * 32)
        assert len(entry["token"]) == 16
    assert [w.recipient for w, _ in api.lane.sent] == [d.recipient for d in deliveries]
    assert (submission.tag, submission.bounce, submission.mail_from) == (
        "welcome",
        True,
        "me@demo.test",
    )
    assert submission.message_id == envelope["data"]["message_id"]
    parsed = email.message_from_bytes(raw)
    assert parsed["Message-ID"] == f"<{submission.message_id}>"
    assert submission.message_id is not None
    assert submission.message_id.endswith("@rp.mail.test")
    assert parsed["Received"].startswith("from api ([192.0.2.7]) by mail.test with HTTP; ")
    assert parsed["Bcc"] is None
    assert b"dot@x.test" not in raw


def test_a_private_servers_message_does_not_name_the_client(api: MemoryApi) -> None:
    api.directory.add_server(replace(SERVER, privacy=True))
    api.call("send/message", GOOD)
    _, raw = only_submission(api)
    assert email.message_from_bytes(raw)["Received"].startswith("by mail.test with HTTP; ")


def test_a_broken_queue_does_not_unaccept(api: MemoryApi) -> None:
    api.lane.broken = True
    assert api.call("send/message", GOOD)["status"] == "success"
    assert len(api.ledger.submissions) == 1
    assert len(api.ledger.watches) == 1


def test_without_the_token_key_nothing_is_accepted(api: MemoryApi) -> None:
    api.directory._keys.clear()
    event = http_event(
        "POST",
        "/api/v1/send/message",
        json.dumps(GOOD),
        headers={"x-server-api-key": KEY, "content-type": "application/json"},
    )
    assert api.ask(event)[0] == 500
    assert api.is_untouched


def test_a_raw_message_is_accepted_as_it_is(api: MemoryApi) -> None:
    twice = raw_call(RAW, rcpt_to=["ann@x.test", "bob@x.test", "ann@x.test"])
    envelope = api.call("send/raw", twice)
    submission, raw = only_submission(api)
    assert raw == RAW
    assert envelope["data"]["message_id"] == "own@demo.test"
    assert list(envelope["data"]["messages"]) == ["ann@x.test", "bob@x.test"]
    assert (submission.source, submission.recipients) == ("raw", 2)


def test_a_raw_message_without_an_id_stays_without(api: MemoryApi) -> None:
    envelope = api.call("send/raw", raw_call(b"From: me@demo.test\n\nx"))
    assert envelope["data"]["message_id"] is None
    assert list(envelope["data"]["messages"]) == ["ann@x.test"]


def test_a_raw_message_for_nobody_succeeds_and_sends_nothing(api: MemoryApi) -> None:
    envelope = api.call("send/raw", raw_call(RAW, rcpt_to=[]))
    assert (envelope["status"], envelope["data"]) == (
        "success",
        {"message_id": None, "messages": {}},
    )
    assert api.is_untouched


@pytest.mark.parametrize("recipients", [[], ["ann@x.test"]])
@pytest.mark.parametrize(
    "author", ["me@other.test", "me@unverified.test", "me@demo.test, x@other.test", "", "me"]
)
def test_a_raw_message_needs_a_verified_author(
    api: MemoryApi, recipients: list[str], author: str
) -> None:
    raw = f"From: {author}\r\nSubject: s\r\n\r\nx".encode()
    envelope = api.call("send/raw", raw_call(raw, rcpt_to=recipients))
    assert envelope["data"] == {"code": "UnauthenticatedFromAddress"}
    assert api.is_untouched


def nested(depth: int) -> bytes:
    parts = [b"From: me@demo.test\r\nSubject: s\r\n"]
    for level in range(depth):
        mark = b"b%d" % level
        parts.append(b'Content-Type: multipart/mixed; boundary="%s"\r\n\r\n--%s\r\n' % (mark, mark))
    return b"".join([*parts, b"\r\nx\r\n"])


@pytest.mark.parametrize(
    ("call", "params", "words"),
    [
        ("send/message", GOOD | {"to": ["no address"]}, "malformed"),
        ("send/message", GOOD | {"subject": "a\r\nBcc: x@y.test"}, "line breaks"),
        ("send/message", GOOD | {"headers": {"X-A": "a\nb"}}, "line breaks"),
        ("send/message", GOOD | {"headers": {"X A": "a"}}, "not a header name"),
        ("send/message", GOOD | {"headers": {"X-A": "a\0"}}, "control characters"),
        ("send/message", GOOD | {"headers": {f"X-{n}": "a" for n in range(10_000)}}, "header"),
        ("send/message", GOOD | {"plain_body": "x" * (LIMIT + 1)}, "larger than 262144 octets"),
        ("send/message", b"{", "JSON"),
        ("send/message", b'{"to": "\xff"}', "UTF-8"),
        ("send/message", b"[" * 50_000, "deep"),
        ("send/message", b"x" * (LIMIT * 3 // 2 + 1024 * 1024 + 1), "1441792 octets"),
        ("send/raw", raw_call(b"no header at all"), "no header fields"),
        ("send/raw", raw_call(b"From: me@demo.test\r\nX: \0\r\n\r\n"), "NUL"),
        ("send/raw", raw_call(b"From: me@demo.test\r\n" + b"X: y\r\n" * 10_000), "header"),
        ("send/raw", raw_call(nested(200)), "nested"),
        ("send/raw", raw_call(RAW, rcpt_to=[f"a{n}@x.test" for n in range(151)]), "150"),
        ("send/raw", raw_call(RAW + b"x" * LIMIT), "larger than 262144 octets"),
        ("send/raw", raw_call(RAW, data="?"), "base64"),
        ("messages/deliveries", {}, "id is required"),
        ("messages/deliveries", {"id": {"a": 1}}, "integer"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_input_gets_a_clear_parameter_error_and_stores_nothing(
    api: MemoryApi, call: str, params: Any, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    envelope = api.call(call, params)
    assert envelope["status"] == "parameter-error"
    assert set(envelope["data"]) == {"message"}
    assert words in envelope["data"]["message"]
    assert len(envelope["data"]["message"]) < 300
    assert api.is_untouched
    assert "trace" not in capfd.readouterr().err


def test_a_custom_from_cannot_get_around_the_check(api: MemoryApi) -> None:
    api.call("send/message", GOOD | {"headers": {"From": "ceo@bank.test", "fRoM": "x@bank.test"}})
    submission, raw = only_submission(api)
    assert b"bank.test" not in raw
    assert submission.from_address == "me@demo.test"


def attempt(key: DeliveryKey, number: int, kind: EventType, **changes: Any) -> Event:
    facts = AttemptFacts(
        attempt=number,
        details="what happened",
        reply="250 2.0.0 ok",
        tls=True,
        seconds=0.25,
        log_id=f"log{number}",
    )
    return Event(
        f"{key}/{number}/{kind}", kind, key, 1_760_000_000.5 + number, replace(facts, **changes)
    )


def viewed(key: DeliveryKey, kind: EventType, url: str = "") -> Event:
    return Event(
        f"{key}/v/{kind}", kind, key, 1_760_000_100.0, view=ViewFacts("192.0.2.1", "UA", url)
    )


def sent_key(api: MemoryApi) -> DeliveryKey:
    id_ = api.call("send/message", GOOD)["data"]["messages"]["ann@x.test"]["id"]
    return DeliveryKey.from_postal_id(SERVER.id, id_)


@pytest.mark.parametrize("as_text", [False, True])
def test_deliveries_are_the_attempts_oldest_first(api: MemoryApi, as_text: bool) -> None:
    key = sent_key(api)
    id_ = str(key.postal_id) if as_text else key.postal_id
    assert api.call("messages/deliveries", {"id": id_})["data"] == []
    api.ledger.record(attempt(key, 2, EventType.SENT))
    api.ledger.record(viewed(key, EventType.OPENED))
    api.ledger.record(attempt(key, 1, EventType.DEFERRED, tls=False))
    first, second = api.call("messages/deliveries", {"id": id_})["data"]
    assert isinstance(first.pop("id"), int)
    assert first == {
        "status": "SoftFail",
        "details": "what happened",
        "output": "250 2.0.0 ok",
        "sent_with_ssl": False,
        "log_id": "log1",
        "time": 0.25,
        "timestamp": 1_760_000_001.5,
    }
    assert second["status"] == "Sent"


def test_an_unknown_message_is_not_found(api: MemoryApi) -> None:
    key = sent_key(api)
    unknown = [0, -1, 2**60, "abc", key.postal_id + 1, key.postal_id + 1024]
    for id_ in unknown:
        envelope = api.call("messages/deliveries", {"id": id_})
        assert envelope["status"] == "error"
        assert envelope["data"]["code"] == "MessageNotFound"
        assert envelope["data"]["id"] == id_
        assert envelope["data"]["message"]


def test_a_message_of_another_server_is_not_found(api: MemoryApi) -> None:
    key = sent_key(api)
    envelope = api.call("messages/deliveries", {"id": key.postal_id}, key=OTHER_KEY)
    assert envelope["data"]["code"] == "MessageNotFound"
    event = http_event(
        "GET", f"/api/v2/messages/{key.postal_id}", headers={"x-server-api-key": OTHER_KEY}
    )
    assert api.ask(event)[0] == 404


def test_an_uncommitted_message_is_not_found(api: MemoryApi) -> None:
    key = sent_key(api)
    api.ledger.submissions.clear()
    envelope = api.call("messages/deliveries", {"id": key.postal_id})
    assert envelope["data"]["code"] == "MessageNotFound"


def test_the_record_tells_a_messages_life(api: MemoryApi) -> None:
    key = sent_key(api)
    delivery = api.ledger.rows[key]
    api.ledger.put(replace(delivery, state=State.SENT, attempts=2))
    for event in (
        attempt(key, 1, EventType.DEFERRED),
        attempt(key, 2, EventType.SENT, final=True),
        viewed(key, EventType.CLICKED, "https://x.test/a"),
        viewed(key, EventType.OPENED),
    ):
        api.ledger.record(event)
    event = http_event(
        "GET", f"/api/v2/messages/{key.postal_id}", headers={"x-server-api-key": KEY}
    )
    status, record = api.ask(event)
    assert status == 200
    assert [entry["type"] for entry in record["events"]] == [
        "accepted",
        "deferred",
        "sent",
        "clicked",
        "opened",
    ]
    assert record["events"][3]["url"] == "https://x.test/a"
    assert record["events"][2]["final"] is True
    assert {name: record[name] for name in ("id", "state", "recipient", "from", "subject")} == {
        "id": key.postal_id,
        "state": "sent",
        "recipient": "ann@x.test",
        "from": "me@demo.test",
        "subject": "Hi",
    }
    assert record["attempts"] == 2
    assert record["accepted_at"] == api.clock.at


@pytest.mark.parametrize(
    ("id_", "headers", "status", "code"),
    [
        ("1", {}, 401, "AccessDenied"),
        ("1", {"x-server-api-key": "x"}, 401, "InvalidServerAPIKey"),
        ("1", {"x-server-api-key": SUSPENDED_KEY}, 403, "ServerSuspended"),
        ("1", {"x-server-api-key": KEY}, 404, "MessageNotFound"),
        ("x", {"x-server-api-key": KEY}, 404, "MessageNotFound"),
        ("9" * 5000, {"x-server-api-key": KEY}, 404, "MessageNotFound"),
    ],
)
def test_the_native_api_speaks_http(
    api: MemoryApi, id_: str, headers: dict[str, str], status: int, code: str
) -> None:
    given, body = api.ask(http_event("GET", f"/api/v2/messages/{id_}", headers=headers))
    assert (given, body["error"]["code"]) == (status, code)


def test_health_touches_nothing() -> None:
    from mail_api.routes import create_app

    from mailroom.adapters.chalice_http import http_api

    def explode() -> Any:
        raise AssertionError("health must not build anything")

    app: Chalice = create_app(explode)
    answer = http_api(app)(http_event("GET", "/health"), None)
    assert (answer["statusCode"], answer["body"]) == (200, '{"status":"ok"}')


@pytest.mark.parametrize(
    ("kind", "final", "event", "status"),
    [
        (EventType.SENT, True, "MessageSent", "Sent"),
        (EventType.DEFERRED, False, "MessageDelayed", "SoftFail"),
        (EventType.UNCERTAIN, False, "MessageDelayed", "SoftFail"),
        (EventType.UNCERTAIN, True, "MessageDeliveryFailed", "HardFail"),
        (EventType.BOUNCED, True, "MessageDeliveryFailed", "HardFail"),
        (EventType.EXPIRED, True, "MessageDeliveryFailed", "HardFail"),
        (EventType.CLICKED, False, "MessageLinkClicked", None),
        (EventType.OPENED, False, "MessageLoaded", None),
    ],
)
def test_facts_have_postals_names(
    kind: EventType, final: bool, event: str, status: str | None
) -> None:
    key = DeliveryKey(SERVER.id, 5, 0)
    assert webhook_event(kind, final=final) == event
    if status is None:
        with pytest.raises(ValueError):
            delivery_entry(viewed(key, kind))
    else:
        entry = delivery_entry(attempt(key, 1, kind, final=final))
        assert entry["status"] == status
        assert 0 < entry["id"] < 2**53
        assert entry["id"] < delivery_entry(attempt(key, 2, kind, final=final))["id"]


def test_the_message_object_has_postals_keys(api: MemoryApi) -> None:
    key = sent_key(api)
    submission, _ = only_submission(api)
    assert message_object(submission, api.ledger.rows[key], "T" * 16) == {
        "id": key.postal_id,
        "token": "T" * 16,
        "direction": "outgoing",
        "message_id": submission.message_id,
        "to": "ann@x.test",
        "from": "me@demo.test",
        "subject": "Hi",
        "timestamp": api.clock.at,
        "spam_status": "NotChecked",
        "tag": None,
    }
