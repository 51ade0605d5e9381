"""`messages/message` and the API's public key: Postal's names and types, to the letter."""

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from mail_api.message_view import mime_base64
from mail_api.schema import EXPANSIONS

from mailroom.adapters.rsa_signer import RsaSigner
from mailroom.adapters.s3_bodies import S3Bodies
from mailroom.domain.event import AttemptFacts, Event, EventType, ViewFacts
from mailroom.domain.lifecycle import State
from mailroom.domain.message import BodyRef, DeliveryKey
from mailroom.domain.postal_words import message_status
from mailroom.domain.token import message_token
from mailroom.fakes.memory import MemoryKey
from tests.support.api_calls import OTHER_KEY, SERVER, MemoryApi, http_event

LETTER = {
    "to": ["Ann <ann@x.test>"],
    "from": "Me <me@demo.test>",
    "subject": "Grüße",
    "tag": "welcome",
    "plain_body": "line one\nhttps://x.test/a",
    "html_body": "<p>ü</p>",
    "attachments": [{"name": "a.txt", "content_type": "text/plain", "data": "VG90YWw6IDEyCg=="}],
}


@pytest.fixture
def api() -> MemoryApi:
    return MemoryApi()


def sent(api: MemoryApi, letter: dict[str, Any] = LETTER) -> DeliveryKey:
    id_ = api.call("send/message", letter)["data"]["messages"]["ann@x.test"]["id"]
    return DeliveryKey.from_postal_id(SERVER.id, id_)


def shown(api: MemoryApi, key: DeliveryKey, expansions: Any) -> dict[str, Any]:
    envelope = api.call("messages/message", {"id": key.postal_id, "_expansions": expansions})
    assert envelope["status"] == "success", envelope
    found: dict[str, Any] = envelope["data"]
    return found


def tried(key: DeliveryKey, kind: EventType, at: float = 1_760_000_001.5) -> Event:
    return Event(f"{key}/{at}/{kind}", kind, key, at, attempt=AttemptFacts(1, "x"))


def in_state(api: MemoryApi, key: DeliveryKey, state: State, **changes: Any) -> None:
    api.ledger.put(replace(api.ledger.rows[key], state=state, **changes))


@pytest.mark.parametrize("expansions", [None, False, [], ["unknown"]])
def test_without_expansions_there_are_id_and_token(api: MemoryApi, expansions: Any) -> None:
    key = sent(api)
    assert shown(api, key, expansions) == {
        "id": key.postal_id,
        "token": message_token(key, b"x" * 32),
    }


def test_each_expansion_comes_alone_and_true_means_all(api: MemoryApi) -> None:
    key = sent(api)
    whole = shown(api, key, True)
    assert list(whole) == ["id", "token", *EXPANSIONS]
    for name in EXPANSIONS:
        assert shown(api, key, [name, "unknown"]) == {
            "id": whole["id"],
            "token": whole["token"],
            name: whole[name],
        }


def test_a_fresh_message_is_shown_with_postals_fields(api: MemoryApi) -> None:
    key = sent(api)
    whole = shown(api, key, True)
    [submission] = api.ledger.submissions.values()
    assert whole["status"] == {
        "status": "Pending",
        "last_delivery_attempt": None,
        "held": False,
        "hold_expiry": None,
    }
    assert whole["details"] == {
        "rcpt_to": "ann@x.test",
        "mail_from": "me@demo.test",
        "subject": "Grüße",
        "message_id": submission.message_id,
        "timestamp": api.clock.at,
        "direction": "outgoing",
        "size": str(submission.size),
        "bounce": False,
        "bounce_for_id": 0,
        "tag": "welcome",
        "received_with_ssl": True,
    }
    assert whole["inspection"] == {
        "inspected": False,
        "spam": False,
        "spam_score": 0.0,
        "threat": False,
        "threat_details": None,
    }
    assert isinstance(whole["inspection"]["spam_score"], float)
    assert whole["activity_entries"] == {"loads": [], "clicks": []}


def test_the_body_is_shown_as_it_was_submitted(api: MemoryApi) -> None:
    whole = shown(api, sent(api), True)
    assert whole["plain_body"] == LETTER["plain_body"]
    assert whole["html_body"] == LETTER["html_body"]
    content = b"Total: 12\n"
    assert whole["attachments"] == [
        {
            "filename": "a.txt",
            "content_type": "text/plain",
            "data": "VG90YWw6IDEyCg==\n",
            "size": len(content),
            "hash": hashlib.sha1(content).hexdigest(),
        }
    ]
    assert whole["headers"]["subject"] == ["Grüße"]
    assert whole["headers"]["from"] == ["Me <me@demo.test>"]
    assert {len(values) for values in whole["headers"].values()} == {1}
    raw = base64.b64decode(whole["raw_message"])
    assert raw.startswith(b"Received: from api ")
    assert len(raw) == int(whole["details"]["size"])


def test_repeated_headers_are_one_list(api: MemoryApi) -> None:
    raw = b"From: me@demo.test\r\nX-A: 1\r\nx-a: =?utf-8?q?=C3=BC?=\r\n\r\nx"
    call = {
        "rcpt_to": ["ann@x.test"],
        "mail_from": "me@demo.test",
        "data": base64.b64encode(raw).decode(),
    }
    id_ = api.call("send/raw", call)["data"]["messages"]["ann@x.test"]["id"]
    whole = shown(api, DeliveryKey.from_postal_id(SERVER.id, id_), True)
    assert whole["headers"] == {"from": ["me@demo.test"], "x-a": ["1", "ü"]}
    assert whole["raw_message"] == mime_base64(raw)
    assert (whole["plain_body"], whole["html_body"], whole["attachments"]) == ("x", None, [])
    assert whole["details"]["message_id"] is None


@pytest.mark.parametrize("size", [0, 1, 44, 45, 46, 90, 91])
def test_base64_has_rubys_lines(size: int) -> None:
    octets = bytes(range(size))
    text = mime_base64(octets)
    assert base64.b64decode(text) == octets
    assert text == "" if not size else text.endswith("\n")
    lines = text.splitlines()
    assert all(len(line) == 60 for line in lines[:-1])
    assert not lines or 0 < len(lines[-1]) <= 60


@pytest.mark.parametrize(
    ("state", "told", "word"),
    [
        (State.QUEUED, [], "Pending"),
        (State.ATTEMPTING, [], "Pending"),
        (State.ATTEMPTING, [EventType.DEFERRED], "SoftFail"),
        (State.ATTEMPTING, [EventType.UNCERTAIN], "SoftFail"),
        (State.DEFERRED, [EventType.DEFERRED], "SoftFail"),
        (State.SENT, [EventType.SENT], "Sent"),
        (State.BOUNCED, [EventType.BOUNCED], "HardFail"),
        (State.BOUNCED, [EventType.SENT, EventType.BOUNCED], "Bounced"),
        (State.EXPIRED, [EventType.EXPIRED], "HardFail"),
        (State.UNCERTAIN, [EventType.UNCERTAIN], "HardFail"),
        (State.HELD, [EventType.HELD], "Held"),
        (State.CANCELLED, [EventType.HELD, EventType.CANCELLED], "HoldCancelled"),
    ],
)
def test_every_state_has_postals_word(
    api: MemoryApi, state: State, told: list[EventType], word: str
) -> None:
    key = sent(api)
    in_state(api, key, state, due_at=1_760_600_000.0)
    for at, kind in enumerate(told):
        api.ledger.record(tried(key, kind, 1_760_000_001.5 + at))
    status = shown(api, key, ["status"])["status"]
    held = state is State.HELD
    assert status == {
        "status": word,
        "last_delivery_attempt": 1_760_000_000.5 + len(told) if told else None,
        "held": held,
        "hold_expiry": 1_760_600_000.0 if held else None,
    }


def test_no_state_is_without_a_word() -> None:
    assert all(message_status(state, ()) for state in State)


def test_holds_are_entries_of_the_deliveries_and_releases_are_not(api: MemoryApi) -> None:
    key = sent(api)
    kinds = [EventType.HELD, EventType.RELEASED, EventType.HELD, EventType.CANCELLED]
    for at, kind in enumerate(kinds):
        api.ledger.record(tried(key, kind, 1_760_000_001.0 + at))
    entries = api.call("messages/deliveries", {"id": key.postal_id})["data"]
    assert [entry["status"] for entry in entries] == ["Held", "Held", "HoldCancelled"]


def test_opens_and_clicks_are_activity(api: MemoryApi) -> None:
    key = sent(api)
    for kind, url, at in (
        (EventType.OPENED, "", 1_760_000_000.0),
        (EventType.CLICKED, "https://x.test/a", 1_760_000_000.9996),
    ):
        view = ViewFacts("192.0.2.1", "UA", url)
        api.ledger.record(Event(f"{key}/{at}", kind, key, at, view=view))
    seen = {"ip_address": "192.0.2.1", "user_agent": "UA"}
    whole = shown(api, key, ["activity_entries", "status"])
    assert whole["activity_entries"] == {
        "loads": [seen | {"timestamp": "2025-10-09T08:53:20.000Z"}],
        "clicks": [seen | {"timestamp": "2025-10-09T08:53:20.999Z", "url": "https://x.test/a"}],
    }
    assert whole["status"]["last_delivery_attempt"] is None


def test_a_body_past_its_retention_is_null_and_the_rest_is_there(api: MemoryApi) -> None:
    key = sent(api)
    [(name, submission)] = api.ledger.submissions.items()
    api.ledger.submissions[name] = replace(submission, body=BodyRef(key="30/gone"))
    whole = shown(api, key, True)
    gone = ["plain_body", "html_body", "attachments", "headers", "raw_message"]
    assert {field: whole[field] for field in gone} == dict.fromkeys(gone)
    assert whole["details"]["subject"] == "Grüße"


def test_a_body_that_is_still_there_after_its_retention_is_shown_to_nobody(api: MemoryApi) -> None:
    key = sent(api)
    [submission] = api.ledger.submissions.values()
    assert submission.raw_until is not None
    api.clock.at = submission.raw_until - 1
    assert shown(api, key, ["raw_message"])["raw_message"]
    api.clock.at = submission.raw_until
    assert shown(api, key, ["raw_message"])["raw_message"] is None


@pytest.mark.parametrize("code", ["NoSuchKey", "AccessDenied"])
def test_what_s3_calls_a_missing_body_is_a_missing_body(code: str) -> None:
    class Store:
        def get_object(self, **_: str) -> None:
            raise ClientError({"Error": {"Code": code}}, "GetObject")

    with pytest.raises(KeyError):
        S3Bodies(Store(), "bodies").get("30/gone")


def test_a_body_in_the_store_is_read(api: MemoryApi) -> None:
    body = "".join(f"{n:x}\n" for n in range(20_000))
    key = sent(api, LETTER | {"plain_body": body})
    assert api.bodies.stored
    assert shown(api, key, ["plain_body"])["plain_body"] == body


def test_messages_of_others_and_vanished_ones_are_not_found(api: MemoryApi) -> None:
    key = sent(api)
    params = {"id": key.postal_id, "_expansions": True}
    assert api.call("messages/message", params, key=OTHER_KEY)["data"]["code"] == "MessageNotFound"
    del api.ledger.rows[key]
    for call in ("messages/message", "messages/deliveries"):
        assert api.call(call, params)["data"]["code"] == "MessageNotFound"


@pytest.mark.parametrize("expansions", ["status", {"status": True}, 1, 0.5, [1], ["status", None]])
def test_other_types_of_expansions_are_refused(api: MemoryApi, expansions: Any) -> None:
    key = sent(api)
    envelope = api.call("messages/message", {"id": key.postal_id, "_expansions": expansions})
    assert envelope["status"] == "parameter-error"
    assert "_expansions" in envelope["data"]["message"]


def test_the_published_key_proves_a_webhooks_signature(api: MemoryApi) -> None:
    private = rsa.generate_private_key(65537, 2048)
    der = private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    api.directory.add_key("webhook", MemoryKey("w", der, pem.decode()))
    answer = api.handler(http_event("GET", "/.well-known/jwks.json"), None)
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (200, "application/json")
    [key] = json.loads(answer["body"])["keys"]
    headers = RsaSigner(der).headers(b"body")
    assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")
    assert key["kid"] == headers["X-Postal-Signature-KID"]
    n, e = (int.from_bytes(base64.urlsafe_b64decode(key[name] + "==")) for name in "ne")
    rsa.RSAPublicNumbers(e, n).public_key().verify(
        base64.b64decode(headers["X-Postal-Signature-256"]),
        b"body",
        padding.PKCS1v15(),
        hashes.SHA256(),
    )


def test_without_a_key_the_set_is_empty(api: MemoryApi) -> None:
    assert api.ask(http_event("GET", "/.well-known/jwks.json")) == (200, {"keys": []})
