"""Reading Postal's parameters: types, the order of the refusals, recipients, base64, ids."""

import base64
import json
from typing import Any

import pytest
from mail_api.params import loose_text, read_params
from mail_api.postal_envelope import ParameterError, PostalError, failure, success
from mail_api.recipients import distinct, read_mailboxes
from mail_api.schema import MessageCall, parse_id, parse_message, parse_raw

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
GOOD = {"to": ["ann@x.test"], "from": "me@demo.test", "plain_body": "x"}
RAW = {
    "rcpt_to": ["ann@x.test"],
    "mail_from": "me@demo.test",
    "data": base64.b64encode(b"From: me@demo.test\r\n\r\nx").decode(),
}


def message(**changes: Any) -> MessageCall:
    return parse_message(GOOD | changes, lambda domain: domain == "demo.test")


@pytest.mark.parametrize(
    ("content_type", "body", "query"),
    [
        (JSON, b'{"a": 1}', None),
        ("application/json; charset=utf-8", b'\xef\xbb\xbf{"a": 1}', None),
        ("Application/JSON", b' {"a": 1} ', None),
        (FORM, b"params=%7B%22a%22%3A+1%7D", None),
        (FORM, b"x=1&params=%7B%22a%22%3A1%7D&params=%7B%22a%22%3A+1%7D", None),
        ("", b"", '{"a": 1}'),
        (FORM, b"", '{"a": 1}'),
    ],
)
def test_parameters_come_as_json_or_as_a_field_of_json(
    content_type: str, body: bytes, query: str | None
) -> None:
    assert read_params(content_type, body, query) == {"a": 1}


@pytest.mark.parametrize(
    ("content_type", "body"), [("text/plain", b'{"a": 1}'), ("", b"x"), (JSON, b""), (FORM, b"a=1")]
)
def test_anything_else_means_no_parameters(content_type: str, body: bytes) -> None:
    assert read_params(content_type, body, None) == {}


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        (JSON, b"{", "not valid JSON"),
        (JSON, b'{"a": NaN}', "NaN is not JSON"),
        (JSON, b"[1]", "not a JSON object"),
        (JSON, b'"text"', "not a JSON object"),
        (JSON, b"null", "not a JSON object"),
        (JSON, b'{"a": "\xff"}', "not UTF-8"),
        (JSON, '{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (JSON, b"[" * 100_000, "nested too deep"),
        (JSON, b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deep"),
        (JSON, b'{"a": ' + b"1" * 5000 + b"}", "not valid JSON"),
        (FORM, b"params=%7B", "not valid JSON"),
        (FORM, b"params=%ff", "not UTF-8"),
        (FORM, b"\xff", "not UTF-8"),
        (FORM, b"a=1&" * 200, "too many fields"),
    ],
)
def test_damaged_parameters_are_refused(content_type: str, body: bytes, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        read_params(content_type, body, None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"to": [], "cc": None, "bcc": " "}, "NoRecipients"),
        ({"to": [""], "plain_body": None}, "NoRecipients"),
        ({"to": ["a@x.test"] * 51}, "TooManyToAddresses"),
        ({"to": ",".join(["a@x.test"] * 51), "plain_body": ""}, "TooManyToAddresses"),
        ({"cc": ["a@x.test"] * 51}, "TooManyCCAddresses"),
        ({"bcc": ["a@x.test"] * 51}, "TooManyBCCAddresses"),
        ({"to": ["a@x.test"] * 51, "bcc": ["a@x.test"] * 51}, "TooManyToAddresses"),
        ({"plain_body": " \n", "html_body": "", "from": ""}, "NoContent"),
        ({"plain_body": None}, "NoContent"),
        ({"from": " ", "attachments": [{}]}, "FromAddressMissing"),
        ({"from": None}, "FromAddressMissing"),
        ({"from": "me@other.test", "attachments": [{}]}, "UnauthenticatedFromAddress"),
        ({"attachments": [{"name": " ", "data": ""}]}, "AttachmentMissingName"),
        ({"attachments": [{"data": "eA=="}]}, "AttachmentMissingName"),
        ({"attachments": [{"name": "a"}]}, "AttachmentMissingData"),
        ({"attachments": [{"name": "a", "data": ""}]}, "AttachmentMissingData"),
    ],
)
def test_the_first_error_in_postals_order_is_answered(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(PostalError) as caught:
        message(**changes)
    assert caught.value.code == code
    assert caught.value.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"to": 5}, "to must be a list"),
        ({"to": {"a": 1}}, "to must be a list"),
        ({"cc": ["a@x.test", 5]}, "cc must hold strings"),
        ({"bcc": ["no address"]}, "bcc has a malformed address"),
        ({"to": ["a@x.test, b@x.test"]}, "to is not one mail address"),
        ({"to": ["a@x.test\r\nBcc: b@x.test"]}, "control characters"),
        ({"to": ["ü@x.test"]}, "must be ASCII"),
        ({"to": ["a@straße.test"]}, "xn--"),
        ({"to": "a" * 70_000}, "longer than"),
        ({"to": ["\ud800@x.test"]}, "not valid Unicode"),
        ({"from": 5}, "from must be a string"),
        ({"from": "me@demo.test, me@demo.test"}, "from is not one"),
        ({"from": "me"}, "malformed address"),
        ({"sender": "x"}, "sender has a malformed address"),
        ({"reply_to": "<a@x.test"}, "reply_to has a malformed address"),
        ({"plain_body": ["x"]}, "plain_body must be a string"),
        ({"html_body": "\udfff"}, "html_body is not valid Unicode"),
        ({"subject": ["x"]}, "subject must be a string"),
        ({"subject": "x" * 600_000}, "subject is longer"),
        ({"tag": {}}, "tag must be a string"),
        ({"tag": "x" * 256}, "tag must be at most 255"),
        ({"tag": "a\nb"}, "printable"),
        ({"headers": ["X-A"]}, "headers must be an object"),
        ({"headers": {"X-A": ["x"]}}, "must be a string"),
        ({"headers": {"X-A": "x" * 600_000}}, "headers are longer"),
        ({"headers": {"\ud800": "x"}}, "not valid Unicode"),
        ({"attachments": {"name": "a"}}, "attachments must be a list"),
        ({"attachments": [{"name": 1}]}, "name must be a string"),
        ({"attachments": [{"name": "a", "data": {}}]}, "data must be a string"),
        ({"attachments": [{"name": "a", "data": "eA="}]}, "not valid base64"),
        ({"attachments": [{"name": "a", "data": "eA==é"}]}, "not valid base64"),
        ({"attachments": [{"name": "a", "data": "e_A="}]}, "not valid base64"),
        ({"attachments": [{"name": "a", "data": "eA==", "content_type": 1}]}, "content_type"),
        ({"attachments": [{"name": "a", "data": "eA=="}] * 251}, "more than 250"),
    ],
)
def test_what_postal_would_let_through_is_refused_in_words(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ParameterError, match=words):
        message(**changes)


def test_too_many_addresses_are_counted_without_reading_them_all() -> None:
    with pytest.raises(PostalError, match="more than 50"):
        message(to=["a@x.test"] * 51 + ["malformed"])


def test_a_full_call_becomes_a_letter() -> None:
    call = message(
        to='"Last, First" <ann@x.test>, bob@x.test',
        cc=["Cy <cy@x.test>"],
        bcc=["dot@x.test"],
        sender="Sec <sec@demo.test>",
        reply_to="a@x.test, b@x.test",
        subject=42,
        tag=7,
        html_body="<p>",
        bounce="false",
        headers={"X-A": 1.5, "X-B": None, "X-C": True},
        attachments=["dropped", {"name": "a", "data": "eA\r\n = =\t"}, 5],
        unknown={"is": "ignored"},
    )
    letter = call.letter
    assert [(r.name, str(r.address)) for r in call.recipients] == [
        ("Last, First", "ann@x.test"),
        ("", "bob@x.test"),
        ("Cy", "cy@x.test"),
        ("", "dot@x.test"),
    ]
    assert [str(address) for _, address in letter.to] == ["ann@x.test", "bob@x.test"]
    assert [str(address) for _, address in letter.reply_to] == ["a@x.test", "b@x.test"]
    assert letter.sender is not None
    assert (letter.subject, call.tag, call.bounce) == ("42", "7", True)  # Ruby's truth
    assert letter.headers == (("X-A", "1.5"), ("X-C", "true"))
    [attachment] = letter.attachments
    assert attachment.content == b"x"
    assert attachment.media_type == "application/octet-stream"


@pytest.mark.parametrize("value", [None, False])
def test_only_null_and_false_are_no_bounce(value: object) -> None:
    assert not message(bounce=value).bounce


def test_the_callers_spelling_of_an_address_is_kept() -> None:
    text = "A <Ann@X.Test>, ann@x.test., Ann@x.TEST, b@BÜCHER.test"
    found = read_mailboxes(text, "to")
    assert [r.given for r in found] == ["Ann@X.Test", "ann@x.test", "Ann@x.TEST", "b@BÜCHER.test"]
    groups = distinct(found)
    assert [str(a) for a in groups] == ["Ann@x.test", "ann@x.test", "b@xn--bcher-kva.test"]
    assert [len(group) for group in groups.values()] == [2, 1, 1]


def test_a_raw_call_is_decoded_with_its_line_ends_made_whole() -> None:
    encoded = base64.encodebytes(b"From: me@demo.test\nX: 1\r\n\rbody").decode()
    call = parse_raw(RAW | {"data": encoded, "mail_from": "Me <me@Demo.test>", "bounce": 0})
    assert call.raw == b"From: me@demo.test\r\nX: 1\r\n\r\nbody"
    assert (call.mail_from, call.bounce) == ("me@demo.test", True)


def test_a_raw_call_may_have_the_null_sender_or_nobody_to_send_to() -> None:
    call = parse_raw(RAW | {"mail_from": "<>", "rcpt_to": []})
    assert (call.mail_from, call.recipients) == ("", ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rcpt_to": None}, "rcpt_to is required"),
        ({"rcpt_to": "ann@x.test"}, "must be a list"),
        ({"rcpt_to": [None]}, "rcpt_to must hold strings"),
        ({"rcpt_to": ["@"]}, "malformed"),
        ({"rcpt_to": [f"a{n}@x.test" for n in range(151)]}, "more than 150"),
        ({"mail_from": " "}, "mail_from is required"),
        ({"mail_from": "x"}, "mail_from has a malformed address"),
        ({"data": None}, "data is required"),
        ({"data": ""}, "data is required"),
        ({"data": "From: x"}, "not valid base64"),
        ({"data": 5}, "data must be a string"),
    ],
)
def test_a_damaged_raw_call_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        parse_raw(RAW | changes)


@pytest.mark.parametrize("value", [5, "5", "00005"])
def test_an_id_is_an_integer_or_its_digits(value: object) -> None:
    assert parse_id({"id": value}) == 5


@pytest.mark.parametrize("value", [None, "", True, 1.0, {"id": 1}, [1]])
def test_no_id_is_a_parameter_error(value: object) -> None:
    with pytest.raises(ParameterError):
        parse_id({"id": value})


@pytest.mark.parametrize("value", ["x", "-1", "1 OR 1=1", "٣", "9" * 21])
def test_an_id_that_is_no_number_names_no_message(value: str) -> None:
    with pytest.raises(PostalError) as caught:
        parse_id({"id": value})
    assert (caught.value.code, caught.value.extra) == ("MessageNotFound", {"id": value})


@pytest.mark.parametrize(("value", "shown"), [(1, "1"), (1.5, "1.5"), (False, "false"), ("", "")])
def test_numbers_become_text_where_postal_converts_them(value: object, shown: str) -> None:
    assert loose_text(value, "tag") == shown


def test_the_envelopes_are_postals() -> None:
    assert success([1], 1) == {"status": "success", "time": 1.0, "flags": {}, "data": [1]}
    assert failure(ParameterError("why"), 0.12345) == {
        "status": "parameter-error",
        "time": 0.123,
        "flags": {},
        "data": {"message": "why"},
    }
    assert failure(PostalError("Code", "why", id=1), 0)["data"] == {
        "code": "Code",
        "message": "why",
        "id": 1,
    }
    assert failure(PostalError("ServerSuspended"), 0)["data"] == {"code": "ServerSuspended"}
    assert json.dumps(success({}, 0))
