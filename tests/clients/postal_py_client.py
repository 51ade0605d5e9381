"""postal-py from PyPI, in an environment of its own: its HTTP library takes urllib3's place.

Run as a program: the platform's status as JSON comes in as the argument, checks are asserts.
"""

import base64
import json
import sys
import time
from collections.abc import Callable
from hashlib import sha1, sha256
from typing import Any, TypeVar

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

T = TypeVar("T")
WITHIN = 60.0  # seconds
# Its model of the headers wants nine of them, whatever the message has.
ALL_BUT_HEADERS = set(MessageExpansion) - {MessageExpansion.all, MessageExpansion.headers}


def wait_for(condition: Callable[[], T]) -> T:
    """Return the first true answer of `condition`."""
    deadline = time.monotonic() + WITHIN
    while not (answer := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.25)  # between two looks at a condition
    return answer


class Walk:
    """One customer with one recipient."""

    def __init__(self, status: dict[str, Any], recipient: str) -> None:
        self.status = status
        self.recipient = recipient
        self.sender = f"hello@{status['from_domain']}"
        self.client = PostalPyAPI(base_url=status["api_url"], api_key=status["api_key"], timeout=60)

    def letter(self, **fields: Any) -> RequestMessageSchema:
        """A message with text, HTML, tag and attachment."""
        known = {
            "to": [self.recipient],
            "from": self.sender,
            "subject": "from postal-py",
            "plain_body": "Hello, grün.",
            "html_body": "<p>Hello, grün.</p>",
            "tag": "python",
            "attachments": [
                RequestAttachmentSchema(name="a.txt", content_type="text/plain", data=b"x")
            ],
        }
        return RequestMessageSchema(**(known | fields))

    def attempts(self, id_: int) -> Any:
        """The deliveries of a message once it has one."""
        return wait_for(lambda: self.client.get_message_deliveries(id_).data)

    def check_read_back(self) -> None:
        """A message is sent and read back."""
        answer = self.client.send_message(self.letter()).data
        entry = answer.messages[self.recipient]
        assert len(entry.token) == 16
        [attempt] = self.attempts(entry.id)
        assert (attempt.status, attempt.sent_with_ssl) == ("Sent", True)
        assert attempt.output.startswith("250 ")
        order = RequestMessageDetailsSchema(id=entry.id, expansions=ALL_BUT_HEADERS)
        read = self.client.get_message_details(order).data
        assert (read.id, read.token) == (entry.id, entry.token)
        assert (read.status.status, read.status.held) == ("Sent", False)
        assert read.details.message_id == answer.message_id
        assert (read.details.rcpt_to, read.details.tag) == (self.recipient, "python")
        assert read.details.size == len(base64.b64decode(read.raw_message))
        assert (read.plain_body, read.html_body) == ("Hello, grün.", "<p>Hello, grün.</p>")
        [file] = read.attachments
        assert (file.filename, file.size, base64.b64decode(file.data)) == ("a.txt", 1, b"x")
        assert read.activity_entries.loads == []

    def check_large(self) -> None:
        """A large message is read back from the store."""
        content = b"".join(sha256(b"%d" % n).digest() for n in range(6_000))  # incompressible
        file = RequestAttachmentSchema(name="large.bin", data=content)
        answer = self.client.send_message(self.letter(attachments=[file])).data
        order = RequestMessageDetailsSchema(
            id=answer.messages[self.recipient].id, expansions={MessageExpansion.attachments}
        )
        [read] = self.client.get_message_details(order).data.attachments
        assert (read.filename, read.content_type) == ("large.bin", "application/octet-stream")
        assert base64.b64decode(read.data) == content
        assert read.hash == sha1(content).hexdigest()

    def check_raw(self) -> None:
        """A raw message is read back with all its headers."""
        raw = (
            "Received: from a by b; Thu, 09 Oct 2025 08:53:20 +0000\r\n"
            "Date: Thu, 09 Oct 2025 08:53:20 +0000\r\n"
            f"From: {self.sender}\r\nTo: {self.recipient}\r\nSubject: raw\r\n"
            f"Message-ID: <{self.recipient}>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain\r\nContent-Transfer-Encoding: 7bit\r\n\r\nHello\r\n"
        ).encode()
        order = RequestRawMessageSchema(
            mail_from=self.sender,
            rcpt_to=[self.recipient],
            data=base64.b64encode(raw).decode(),
        )
        entry = self.client.send_raw_message(order).data.messages[self.recipient]
        self.attempts(entry.id)
        asked = RequestMessageDetailsSchema(id=entry.id, expansions={MessageExpansion.all})
        read = self.client.get_message_details(asked).data
        assert read.headers.message_id == [f"<{self.recipient}>"]
        assert base64.b64decode(read.raw_message) == raw

    def check_refusals(self) -> None:
        """Refusals are the library's own exceptions."""
        refused(
            PostalPyUnauthenticatedFromAddressError,
            lambda: self.client.send_message(self.letter(**{"from": "me@elsewhere.test"})),
        )
        refused(PostalPyMessageNotFoundError, lambda: self.client.get_message_deliveries(12))
        stranger = PostalPyAPI(self.status["api_url"], "x" * 24, timeout=60)
        refused(PostalPyInvalidServerAPIKeyError, lambda: stranger.get_message_deliveries(12))
        stranger.close()


def refused(kind: type[Exception], call: Callable[[], object]) -> None:
    """Assert that `call` raises `kind`."""
    try:
        call()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


def main() -> None:
    """Do the check that is asked for."""
    order = json.loads(sys.argv[1])
    walk = Walk(order["status"], order["recipient"])
    try:
        getattr(walk, f"check_{order['check']}")()
    finally:
        walk.client.close()


if __name__ == "__main__":
    main()
