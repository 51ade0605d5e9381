"""What no sane client sends, to every call of v1: a clear answer, nothing stored, never a 5xx."""

import base64
import gzip
import json
import zlib
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from mailroom.domain.message import BodyRef, DeliveryKey
from tests.support.api_calls import KEY, SERVER, MemoryApi, http_event

MB = 1024 * 1024
GATEWAY = 6 * MB
CALLS = ["send/message", "send/raw", "messages/message", "messages/deliveries"]
GOOD = {"to": ["ann@x.test"], "from": "Me <me@demo.test>", "subject": "Hi", "plain_body": "x"}
RAW = base64.b64encode(b"From: me@demo.test\r\n\r\nx").decode()
GOOD_RAW = {"rcpt_to": ["ann@x.test"], "mail_from": "me@demo.test", "data": RAW}
GOODS = {"send/message": GOOD, "send/raw": GOOD_RAW}
JSON = {"content-type": "application/json", "x-server-api-key": KEY}
FORM = {"content-type": "application/x-www-form-urlencoded", "x-server-api-key": KEY}

each_call = pytest.mark.parametrize("call", CALLS)


@pytest.fixture
def api() -> MemoryApi:
    return MemoryApi()


def ask(api: MemoryApi, call: str, body: bytes | str | None, **changes: str) -> dict[str, Any]:
    """Call with JSON's headers, changed; return the envelope."""
    headers = JSON | {name.replace("_", "-"): value for name, value in changes.items()}
    status, envelope = api.ask(http_event("POST", f"/api/v1/{call}", body, headers=headers))
    assert status == 200, envelope
    assert set(envelope) == {"status", "time", "flags", "data"}
    return dict(envelope)


def refused(api: MemoryApi, envelope: dict[str, Any], *words: str) -> None:
    """Hold a parameter-error to its promise."""
    assert (envelope["status"], set(envelope["data"])) == ("parameter-error", {"message"})
    told = envelope["data"]["message"]
    assert len(told) < 300
    assert not [word for word in words if word not in told], told
    assert "Traceback" not in told
    assert "sys." not in told
    assert api.is_untouched


# Size


@each_call
def test_a_body_of_exactly_6_mb_is_read_and_one_octet_more_is_not(call: str) -> None:
    api = MemoryApi(limit=14 * MB)
    padded = b"{}" + b" " * (GATEWAY - 2)
    assert "larger" not in json.dumps(ask(api, call, padded))
    refused(api, ask(api, call, padded + b" "), "larger than 6291456 octets")
    refused(api, ask(api, call, (padded + b" ").decode()), "larger than 6291456 octets")


def test_the_message_limit_still_holds_below_6_mb() -> None:
    api = MemoryApi(limit=1 * MB)
    refused(api, ask(api, "send/message", b" " * (3 * MB)), "octets")
    encoded = base64.b64encode(b"From: me@demo.test\r\n\r\n" + b"x" * MB).decode()
    refused(api, api.call("send/raw", GOOD_RAW | {"data": encoded}), "larger than 1048576 octets")


def stored(api: MemoryApi, raw: bytes) -> DeliveryKey:
    """Send something small and put `raw` in its place, as SMTP could have."""
    id_ = api.call("send/message", GOOD)["data"]["messages"]["ann@x.test"]["id"]
    [(name, submission)] = api.ledger.submissions.items()
    api.bodies.put("30/large", raw)
    api.ledger.submissions[name] = replace(submission, body=BodyRef(key="30/large"), size=len(raw))
    return DeliveryKey.from_postal_id(SERVER.id, id_)


@pytest.mark.parametrize(
    ("expansion", "raw"),
    [
        ("raw_message", b"Subject: s\r\n\r\n" + b"x" * (5 * MB)),
        # Fits, but for the escapes that the function's own answer adds.
        ("raw_message", b"Subject: s\r\n\r\n" + b"x" * 4_520_000),
        ("attachments", b"Content-Type: a/b; name=c\r\n\r\n" + b"x" * (5 * MB)),
        ("plain_body", b"Subject: s\r\n\r\n" + b"\n" * (4 * MB)),
        ("html_body", b"Content-Type: text/html\r\n\r\n" + b"\xff" * (4 * MB)),
        ("headers", b"".join(b"X-%d: %s\r\n" % (n, b"\x01" * 3000) for n in range(500))),
    ],
)
def test_an_answer_over_6_mb_says_what_to_do(api: MemoryApi, expansion: str, raw: bytes) -> None:
    key = stored(api, raw)
    params = {"id": key.postal_id, "_expansions": [expansion]}
    event = http_event("POST", "/api/v1/messages/message", json.dumps(params), headers=JSON)
    answer = api.handler(event, None)
    assert len(json.dumps(answer)) < 2_000
    envelope = json.loads(answer["body"])
    assert (answer["statusCode"], envelope["status"]) == (200, "error")
    assert envelope["data"]["code"] == "ResponseTooLarge"
    assert "fewer expansions" in envelope["data"]["message"]
    assert api.call("messages/message", params | {"_expansions": ["details"]})["data"]["details"]


def test_an_answer_just_below_6_mb_passes_with_its_event(api: MemoryApi) -> None:
    key = stored(api, b"Subject: s\r\n\r\n" + b"x" * (4 * MB))
    params = {"id": key.postal_id, "_expansions": ["raw_message"]}
    event = http_event("POST", "/api/v1/messages/message", json.dumps(params), headers=JSON)
    answer = api.handler(event, None)
    assert json.loads(answer["body"])["status"] == "success"
    assert 5 * MB < len(json.dumps(answer)) <= GATEWAY


# Encodings of the body


@each_call
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "gzip, identity", "x-own"])
def test_compressed_bodies_are_refused_unread(api: MemoryApi, call: str, coding: str) -> None:
    # 64 MB of blanks in 64 KB: reading it would show.
    bomb = gzip.compress(b" " * (64 * MB), 1) if coding == "gzip" else zlib.compress(b"{}")
    refused(api, ask(api, call, bomb, content_encoding=coding), "compressed")


@each_call
def test_gzip_without_saying_so_is_no_json(api: MemoryApi, call: str) -> None:
    refused(api, ask(api, call, gzip.compress(b"{}")), "UTF-8")


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_no_encoding_is_fine(api: MemoryApi, coding: str) -> None:
    envelope = ask(api, "send/message", json.dumps(GOOD), content_encoding=coding)
    assert envelope["status"] == "success"


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "utf-32"])
def test_json_is_utf_8_whatever_is_claimed(api: MemoryApi, charset: str) -> None:
    document = json.dumps(GOOD | {"subject": "grün"}, ensure_ascii=False)
    kind = f"application/json; charset={charset}"
    envelope = ask(api, "send/message", document.encode(charset), content_type=kind)
    refused(api, envelope, "the ")
    envelope = ask(api, "send/message", document.encode("utf-8-sig"), content_type=kind)
    assert envelope["status"] == "success"


# JSON

DIGITS = "1" * 5000
BAD_JSON = {
    "nothing but blanks and a comma": b" , ",
    "cut short": b'{"to": ["ann@x.t',
    "two documents": b"{}{}",
    "trailing comma": b'{"to": [],}',
    "single quotes": b"{'to': []}",
    "comment": b"{/* */}",
    "NaN": b'{"id": NaN}',
    "Infinity": b'{"id": -Infinity}',
    "1e400": b'{"id": 1e400}',
    "5,000 digits": b'{"id": %s}' % DIGITS.encode(),
    "5,000 digits and a fraction": b'{"id": %s.5}' % DIGITS.encode(),
    "control character in a string": b'{"to": "a\nb"}',
    "bad escape": b'{"to": "\\x"}',
    "octets that are no UTF-8": b'{"to": "\xff\xfe"}',
    "surrogates as octets": b'{"to": "\xed\xa0\x80"}',
    "overlong": b'{"to": "\xc0\x80"}',
    "10,000 arrays": b"[" * 10_000,
    "10,000 arrays, closed": b'{"to": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "10,000 objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "an array": b"[1, 2]",
    "a string": b'"to"',
    "a number": b"14",
    "null": b"null",
    "true": b"true",
}


@each_call
@pytest.mark.parametrize("name", BAD_JSON)
def test_what_is_no_json_object_is_refused(api: MemoryApi, call: str, name: str) -> None:
    refused(api, ask(api, call, BAD_JSON[name]))
    form = urlencode({"params": BAD_JSON[name]}).encode()
    envelope = api.ask(http_event("POST", f"/api/v1/{call}", form, headers=FORM))[1]
    if name != "nothing but blanks and a comma":
        refused(api, envelope)


def test_of_a_name_given_twice_the_last_value_counts(api: MemoryApi) -> None:
    document = json.dumps(GOOD)[:-1] + ', "to": ["bob@x.test"], "subject": "b"}'
    assert list(ask(api, "send/message", document)["data"]["messages"]) == ["bob@x.test"]
    [submission] = api.ledger.submissions.values()
    assert submission.subject == "b"


def test_numbers_of_300_characters_are_text_and_longer_ones_an_error(api: MemoryApi) -> None:
    number = "1" * 300
    document = json.dumps(GOOD)[:-1] + ', "subject": %s}'
    refused(api, ask(api, "send/message", document % (number + "1")), "300")
    assert ask(api, "send/message", document % number)["status"] == "success"
    assert next(iter(api.ledger.submissions.values())).subject == number[:200]


# Strings

HOSTILE = {
    "CRLF": "a\r\nBcc: eve@x.test",
    "LF": "a\nBcc: eve@x.test",
    "CR": "a\rBcc: eve@x.test",
    "folded": "a\r\n Bcc: eve@x.test",
    "NUL": "a\0b",
    "DEL": "a\x7fb",
    "lone surrogate": "a\ud800b",
    "two surrogates the wrong way round": "\udc00\ud800",
}
TEXTS = ["subject", "tag", "from", "sender", "reply_to", "to", "cc", "bcc"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("field", TEXTS)
def test_no_header_field_can_be_broken_out_of(api: MemoryApi, field: str, name: str) -> None:
    text = HOSTILE[name]
    address = f"{text} <me@demo.test>"
    value = text if field in ("subject", "tag") else address
    refused(api, api.call("send/message", GOOD | {field: value}))


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("place", ["header name", "header value", "file name", "content type"])
def test_nor_can_names_and_types(api: MemoryApi, place: str, name: str) -> None:
    text = HOSTILE[name]
    attachment = {"name": "a", "content_type": "a/b", "data": "eA=="}
    changes: dict[str, Any] = {
        "header name": {"headers": {f"X-{text}": "x"}},
        "header value": {"headers": {"X-Own": text}},
        "file name": {"attachments": [attachment | {"name": text}]},
        "content type": {"attachments": [attachment | {"content_type": f"a/b; charset={text}"}]},
    }[place]
    refused(api, api.call("send/message", GOOD | changes))


@pytest.mark.parametrize("field", ["plain_body", "html_body"])
def test_bodies_may_hold_any_text_but_surrogates(api: MemoryApi, field: str) -> None:
    refused(api, api.call("send/message", GOOD | {field: HOSTILE["lone surrogate"]}), field)
    text = "NUL \0, DEL \x7f, astral \U0001f600, line \u2028 end, \ufeff"
    envelope = api.call("send/message", GOOD | {field: text})
    id_ = envelope["data"]["messages"]["ann@x.test"]["id"]
    whole = api.call("messages/message", {"id": id_, "_expansions": [field]})["data"]
    assert whole[field] == text


@pytest.mark.parametrize("field", ["rcpt_to", "mail_from"])
@pytest.mark.parametrize("name", HOSTILE)
def test_nor_can_an_envelope(api: MemoryApi, field: str, name: str) -> None:
    address = f"{HOSTILE[name]}@demo.test"
    value = [address] if field == "rcpt_to" else address
    refused(api, api.call("send/raw", GOOD_RAW | {field: value}))


@pytest.mark.parametrize("text", ["!", "eA", "eA=", "e", "eA==eA==", "eA==\0", "eA-_", "=" * 100])
@pytest.mark.parametrize("place", ["attachment", "raw"])
def test_garbage_is_no_base64(api: MemoryApi, place: str, text: str) -> None:
    if place == "raw":
        envelope = api.call("send/raw", GOOD_RAW | {"data": text})
    else:
        attachments = [{"name": "a", "data": text}]
        envelope = api.call("send/message", GOOD | {"attachments": attachments})
    refused(api, envelope, "base64")


# Counts


def test_a_thousand_recipients_are_too_many(api: MemoryApi) -> None:
    many = [f"a{n}@x.test" for n in range(1_000)]
    for field, code in (("to", "To"), ("cc", "CC"), ("bcc", "BCC")):
        for value in (many, ", ".join(many)):
            envelope = api.call("send/message", GOOD | {field: value})
            assert envelope["data"]["code"] == f"TooMany{code}Addresses"
    for count in (151, 1_000):
        call = GOOD_RAW | {"rcpt_to": [f"a{n}@x.test" for n in range(count)]}
        refused(api, api.call("send/raw", call), "150")
    assert api.is_untouched
    fifty = [f"{{}}{n}@x.test" for n in range(50)]
    full = {field: [a.format(field) for a in fifty] for field in ("to", "cc", "bcc")}
    assert len(api.call("send/message", GOOD | full)["data"]["messages"]) == 150


@pytest.mark.parametrize(
    "changes",
    [
        {"to": 7},
        {"to": {"a": 1}},
        {"to": [["ann@x.test"]]},
        {"to": [None]},
        {"to": True},
        {"from": ["me@demo.test"]},
        {"from": 1},
        {"subject": ["x"]},
        {"subject": {}},
        {"tag": []},
        {"tag": "x" * 256},
        {"plain_body": 1},
        {"html_body": ["x"]},
        {"attachments": {}},
        {"attachments": "x"},
        {"attachments": [{"name": 1, "data": "eA=="}]},
        {"attachments": [{"name": "a", "data": 1}]},
        {"attachments": [{"name": "a", "data": "eA=="}] * 251},
        {"attachments": [{"name": "a" * 256, "data": "eA=="}]},
        {"headers": []},
        {"headers": "X: y"},
        {"headers": {"X-A": ["x"]}},
        {"headers": {"": "x"}},
        {"headers": {"X-A": "x" * 600_000}},
        {"reply_to": 1},
        {"sender": "a@demo.test, b@demo.test"},
        {"subject": "x" * 600_000},
        {"to": ["x" * 70_000]},
        {"to": ["a@" + "b" * 300 + ".test"]},
        {"to": ["@x.test"]},
        {"to": ["ann@"]},
        {"to": ['"ann@x.test']},
        {"to": "((((" * 10_000 + "ann@x.test"},
    ],
    ids=lambda value: str(value)[:50],
)
def test_wrong_types_and_sizes_are_refused(api: MemoryApi, changes: dict[str, Any]) -> None:
    refused(api, api.call("send/message", GOOD | changes))


# HTTP


@pytest.mark.parametrize("call", [*CALLS, "openapi.json", "nothing"])
@pytest.mark.parametrize(
    "method", ["HEAD", "OPTIONS", "DELETE", "TRACE", "CONNECT", "BREW", "get", ""]
)
def test_other_methods_are_405_and_unknown_paths_404(
    api: MemoryApi, method: str, call: str
) -> None:
    event = http_event(method, f"/api/v1/{call}", json.dumps(GOOD), headers=JSON)
    status, body = api.ask(event)
    assert status == (404 if call == "nothing" else 405)
    assert set(body) == {"Code", "Message"}
    assert api.is_untouched


@pytest.mark.parametrize(
    "path",
    ["/api/v1", "/api/v1/send", "/api/v1/send/message/x", "/api/v1/send%2fmessage",
     "/api/v1//send/message", "/../etc/passwd", "/api/v1/send/message\0", "/" + "a" * 9000, ""],
)  # fmt: skip
def test_odd_paths_are_404(api: MemoryApi, path: str) -> None:
    assert api.ask(http_event("POST", path, json.dumps(GOOD), headers=JSON))[0] == 404
    assert api.is_untouched


@pytest.mark.parametrize("name", ["X-Server-API-Key", "x-server-api-key", "X-SERVER-API-KEY"])
def test_the_case_of_header_names_does_not_matter(api: MemoryApi, name: str) -> None:
    event = http_event("POST", "/api/v1/send/message", json.dumps(GOOD))
    event["headers"] = {name: KEY, "CONTENT-TYPE": "Application/JSON ; charset=utf-8"}
    assert api.ask(event)[1]["status"] == "success"


@each_call
@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", "AccessDenied"),
        (" \t", "AccessDenied"),
        ("wrong", "InvalidServerAPIKey"),
        (KEY.upper(), "InvalidServerAPIKey"),
        (KEY + " x", "InvalidServerAPIKey"),
        (f"{KEY},{KEY}", "InvalidServerAPIKey"),
        ("\0", "InvalidServerAPIKey"),
        ("' OR 1=1 --", "InvalidServerAPIKey"),
        ("ключ", "InvalidServerAPIKey"),
        ("x" * 8_000, "InvalidServerAPIKey"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_wrong_key_opens_nothing(api: MemoryApi, call: str, key: str, code: str) -> None:
    envelope = ask(api, call, json.dumps(GOODS.get(call, {"id": 1})), x_server_api_key=key)
    assert (envelope["status"], envelope["data"]["code"]) == ("error", code)
    assert api.is_untouched


@pytest.mark.parametrize("query", [f"X-Server-API-Key={KEY}", f"key={KEY}", f"api_key={KEY}"])
def test_a_key_in_the_address_is_none(api: MemoryApi, query: str) -> None:
    headers = {"content-type": "application/json"}
    event = http_event(
        "POST", "/api/v1/send/message", json.dumps(GOOD), headers=headers, query=query
    )
    assert api.ask(event)[1]["data"]["code"] == "AccessDenied"


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/xml", "multipart/form-data; boundary=x", "application/jsonp",
     "application/vnd.api+json", "json", ";", "application / json", "\0"],
)  # fmt: skip
def test_other_content_types_mean_no_parameters(api: MemoryApi, kind: str) -> None:
    envelope = ask(api, "send/message", json.dumps(GOOD), content_type=kind)
    assert (envelope["status"], envelope["data"]["code"]) == ("error", "NoRecipients")
    assert api.is_untouched


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "PATCH"])
@each_call
def test_form_and_query_carry_params_with_every_method(
    api: MemoryApi, call: str, method: str
) -> None:
    fields = urlencode({"params": json.dumps(GOODS.get(call, {"id": 1})), "other": "x"})
    for body, query in ((fields.encode(), ""), (None, fields)):
        event = http_event(method, f"/api/v1/{call}", body, headers=FORM, query=query)
        status, envelope = api.ask(event)
        expected = "success" if call in GOODS else "MessageNotFound"
        assert (status, envelope["data"].get("code", envelope["status"])) == (200, expected)
        api.clock.at += 1.0  # the fake draws the same numbers in the same second


@pytest.mark.parametrize(
    "body", [b"params=%ff", b"&".join([b"a=b"] * 5_000), b"params=%7b%00%7d", b"params=%"]
)
def test_odd_forms_are_refused(api: MemoryApi, body: bytes) -> None:
    event = http_event("POST", "/api/v1/send/message", body, headers=FORM)
    refused(api, api.ask(event)[1])


def test_a_query_of_thousands_of_fields_is_400(api: MemoryApi) -> None:
    event = http_event("GET", "/api/v1/send/message", headers=JSON, query="&".join(["a=b"] * 5_000))
    assert api.ask(event)[0] == 400


@each_call
def test_no_body_at_all_means_no_parameters(api: MemoryApi, call: str) -> None:
    for body in (None, b"", "", b"  \r\n"):
        envelope = ask(api, call, body)
        assert envelope["status"] in ("error", "parameter-error")
    assert api.is_untouched
