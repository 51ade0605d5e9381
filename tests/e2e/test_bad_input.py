"""What nobody should send, sent to the real doors: the documented error, and nothing stored."""

import base64
import smtplib
import socket
import uuid
from typing import Any

import pytest

from tests.support.customer import Customer

pytestmark = pytest.mark.stack

RECIPIENT = "accept+never-{run}@sim.test"


def _message(customer: Customer, run: str, **fields: Any) -> dict[str, Any]:
    to = RECIPIENT.format(run=run)
    return {"from": customer.sender, "to": [to], "subject": "bad", "plain_body": "x"} | fields


def _raw(customer: Customer, raw: bytes, recipients: list[str]) -> dict[str, Any]:
    data = base64.b64encode(raw).decode()
    return {"mail_from": customer.sender, "rcpt_to": recipients, "data": data}


BAD_FIELDS = {
    "no recipient": ({"to": []}, "error", "NoRecipients"),
    "no content": ({"plain_body": ""}, "error", "NoContent"),
    "51 recipients": ({"to": [f"a{n}@sim.test" for n in range(51)]}, "error", "TooManyToAddresses"),
    "unverified sender": ({"from": "me@elsewhere.test"}, "error", "UnauthenticatedFromAddress"),
    "malformed address": ({"to": ["not an address"]}, "parameter-error", None),
    "header injection": ({"subject": "x\r\nBcc: other@sim.test"}, "parameter-error", None),
    "header name": ({"headers": {"X\r\nBcc": "other@sim.test"}}, "parameter-error", None),
    "bad base64": (
        {"attachments": [{"name": "a", "content_type": "a/b", "data": "!!!"}]},
        "parameter-error",
        None,
    ),
    "wrong type": ({"to": 7}, "parameter-error", None),
}


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_send_message_refuses(customer: Customer, name: str) -> None:
    run = uuid.uuid4().hex
    fields, status, code = BAD_FIELDS[name]
    answer = customer.api("/api/v1/send/message", _message(customer, run, **fields))
    assert answer["status"] == status, answer
    assert answer["data"].get("code") == code
    assert "Traceback" not in str(answer)
    assert not customer.mailbox(RECIPIENT.format(run=run))


def _nested(depth: int, author: str) -> bytes:
    head = f"From: {author}\r\nSubject: deep\r\n".encode()
    for n in range(depth):
        head += f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n'.encode()
    return head + b"Content-Type: text/plain\r\n\r\nx\r\n"


@pytest.mark.parametrize("name", ["151 recipients", "10,000 header lines", "nested 200 deep"])
def test_send_raw_refuses(customer: Customer, name: str) -> None:
    author = f"From: {customer.sender}\r\n".encode()
    recipients = ["accept@sim.test"]
    raw = author + b"Subject: x\r\n\r\nx\r\n"
    if name == "151 recipients":
        recipients = [f"a{n}@sim.test" for n in range(151)]
    elif name == "10,000 header lines":
        raw = author + b"X-Line: x\r\n" * 10_000 + b"\r\nx\r\n"
    else:
        raw = _nested(200, customer.sender)
    answer = customer.api("/api/v1/send/raw", _raw(customer, raw, recipients))
    assert answer["status"] == "parameter-error", answer
    assert answer["data"]["message"]


@pytest.mark.parametrize("body", [b"{not json", b'{"to": "\xff\xfe"}', b"[1, 2]", b"[" * 50_000])
def test_a_body_that_is_no_json_object_is_refused(customer: Customer, body: bytes) -> None:
    answer = customer.http(
        customer.status["api_url"] + "/api/v1/send/message",
        data=body,
        headers={
            "Content-Type": "application/json",
            "X-Server-API-Key": customer.status["api_key"],
        },
    )
    assert answer.status == 200
    assert b"parameter-error" in answer.body
    assert b"Traceback" not in answer.body


@pytest.mark.parametrize(
    ("key", "code"), [("", "AccessDenied"), ("wrong" * 5, "InvalidServerAPIKey")]
)
def test_a_missing_or_wrong_key_is_refused(customer: Customer, key: str, code: str) -> None:
    answer = customer.stack.call("/api/v1/send/message", {"to": ["a@sim.test"]}, key=key)
    assert (answer["status"], answer["data"]["code"]) == ("error", code)


def test_smtp_keeps_order_and_needs_tls_before_login(customer: Customer) -> None:
    login = customer.status["smtp"]
    with smtplib.SMTP(login["host"], login["submission_port"], timeout=30) as session:
        session.ehlo()
        assert not session.has_extn("auth")
        assert session.docmd("AUTH", "PLAIN AHgAeQ==")[0] == 530
        assert session.docmd("MAIL", f"FROM:<{customer.sender}>")[0] == 530
        assert session.docmd("DATA")[0] in (503, 530)
        assert session.docmd("FROBNICATE")[0] == 502  # Postal's code


def test_what_is_pipelined_behind_starttls_is_discarded(customer: Customer) -> None:
    login = customer.status["smtp"]
    with socket.create_connection((login["host"], login["submission_port"]), timeout=30) as wire:
        lines = wire.makefile("rb")
        lines.readline()
        wire.sendall(b"EHLO me.test\r\n")
        while lines.readline()[3:4] == b"-":
            pass
        wire.sendall(b"STARTTLS\r\nRSET\r\nQUIT\r\n")
        assert lines.readline().startswith(b"220")
        wire.settimeout(2)
        wire.sendall(b"garbage that is no TLS\r\n")
        assert b"221" not in lines.read(64)
