"""postal-py from PyPI: pydantic models that insist on every type."""

import base64
from collections.abc import Iterator
from hashlib import sha1, sha256
from typing import Any

import pytest
from postal_py import PostalPyAPI
from postal_py.api.exceptions import (
    PostalPyInvalidServerAPIKeyError,
    PostalPyMessageNotFoundError,
    PostalPyUnauthenticatedFromAddressError,
)
from postal_py.api.schemas import (
    MessageExpansion,
    RequestAttachmentSchema,
    RequestMessageDetailsSchema,
    RequestMessageSchema,
    RequestRawMessageSchema,
)

from tests.support.customer import Customer, wait_for

pytestmark = [pytest.mark.clients, pytest.mark.stack]

# Its model of the headers wants nine of them, whatever the message has.
ALL_BUT_HEADERS = set(MessageExpansion) - {MessageExpansion.all, MessageExpansion.headers}


@pytest.fixture
def client(customer: Customer) -> Iterator[PostalPyAPI]:
    status = customer.status
    api = PostalPyAPI(base_url=status["api_url"], api_key=status["api_key"], timeout=60)
    try:
        yield api
    finally:
        api.close()


def letter(customer: Customer, to: str, **fields: Any) -> RequestMessageSchema:
    known = {
        "to": [to],
        "from": customer.sender,
        "subject": "from postal-py",
        "plain_body": "Hello, grün.",
        "html_body": "<p>Hello, grün.</p>",
        "tag": "python",
        "attachments": [
            RequestAttachmentSchema(name="a.txt", content_type="text/plain", data=b"x")
        ],
    }
    return RequestMessageSchema(**(known | fields))


def delivered(customer: Customer, id_: int) -> None:
    wait_for(lambda: customer.settled(id_), what=f"the delivery of {id_}")


def test_a_message_is_sent_and_read_back(
    client: PostalPyAPI, customer: Customer, recipient: str
) -> None:
    answer = client.send_message(letter(customer, recipient)).data
    entry = answer.messages[recipient]
    assert len(entry.token) == 16
    delivered(customer, entry.id)
    order = RequestMessageDetailsSchema(id=entry.id, expansions=ALL_BUT_HEADERS)
    read = client.get_message_details(order).data
    assert (read.id, read.token) == (entry.id, entry.token)
    assert (read.status.status, read.status.held) == ("Sent", False)
    assert read.details.message_id == answer.message_id
    assert (read.details.rcpt_to, read.details.tag) == (recipient, "python")
    assert read.details.size == len(base64.b64decode(read.raw_message))
    assert (read.plain_body, read.html_body) == ("Hello, grün.", "<p>Hello, grün.</p>")
    [file] = read.attachments
    assert (file.filename, file.size, base64.b64decode(file.data)) == ("a.txt", 1, b"x")
    assert read.activity_entries.loads == []
    [attempt] = client.get_message_deliveries(entry.id).data
    assert (attempt.status, attempt.sent_with_ssl) == ("Sent", True)
    assert attempt.output.startswith("250 ")
    [mail] = wait_for(lambda: customer.mailbox(recipient))
    assert customer.mail(mail["id"])["dkim"] == "pass"


def test_a_large_message_is_read_back_from_the_store(
    client: PostalPyAPI, customer: Customer, recipient: str
) -> None:
    content = b"".join(sha256(b"%d" % n).digest() for n in range(6_000))  # does not compress
    file = RequestAttachmentSchema(name="large.bin", data=content)
    answer = client.send_message(letter(customer, recipient, attachments=[file])).data
    order = RequestMessageDetailsSchema(
        id=answer.messages[recipient].id, expansions={MessageExpansion.attachments}
    )
    [read] = client.get_message_details(order).data.attachments
    assert (read.filename, read.content_type) == ("large.bin", "application/octet-stream")
    assert base64.b64decode(read.data) == content
    assert read.hash == sha1(content).hexdigest()


def test_a_raw_message_is_read_back_with_all_its_headers(
    client: PostalPyAPI, customer: Customer, recipient: str
) -> None:
    raw = (
        "Received: from a by b; Thu, 09 Oct 2025 08:53:20 +0000\r\n"
        "Date: Thu, 09 Oct 2025 08:53:20 +0000\r\n"
        f"From: {customer.sender}\r\nTo: {recipient}\r\nSubject: raw\r\n"
        f"Message-ID: <{recipient}>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain\r\nContent-Transfer-Encoding: 7bit\r\n\r\nHello\r\n"
    ).encode()
    order = RequestRawMessageSchema(
        mail_from=customer.sender, rcpt_to=[recipient], data=base64.b64encode(raw).decode()
    )
    entry = client.send_raw_message(order).data.messages[recipient]
    delivered(customer, entry.id)
    asked = RequestMessageDetailsSchema(id=entry.id, expansions={MessageExpansion.all})
    read = client.get_message_details(asked).data
    assert read.headers.message_id == [f"<{recipient}>"]
    assert base64.b64decode(read.raw_message) == raw


def test_refusals_are_its_own_exceptions(
    client: PostalPyAPI, customer: Customer, recipient: str
) -> None:
    with pytest.raises(PostalPyUnauthenticatedFromAddressError):
        client.send_message(letter(customer, recipient, **{"from": "me@elsewhere.test"}))
    with pytest.raises(PostalPyMessageNotFoundError):
        client.get_message_deliveries(12)
    stranger = PostalPyAPI(customer.status["api_url"], "x" * 24, timeout=60)
    with pytest.raises(PostalPyInvalidServerAPIKeyError):
        stranger.get_message_deliveries(12)
    stranger.close()
    assert customer.mailbox(recipient) == []
