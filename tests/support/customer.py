"""A customer of a running stack: sends by both doors, reads mailboxes, records and webhooks."""

import json
import smtplib
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any, TypeVar

from tests.support.stack import Stack

FINAL = {"sent", "bounced", "expired", "uncertain"}
T = TypeVar("T")


def wait_for(
    condition: Callable[[], T], *, within: float = 60.0, every: float = 0.25, what: str = ""
) -> T:
    """Return the first true answer of `condition`; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {within} s: {what or condition}")
        time.sleep(every)  # between two looks at a condition, not instead of one


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Shows a redirect instead of following it."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Customer:
    """The demo tenant of a stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.status = stack.status
        self.sender = f"hello@{self.status['from_domain']}"
        self.domain = self.status["recipient_domain"]

    def api(self, path: str, body: object) -> dict[str, Any]:
        """POST to Postal's API with the demo key."""
        answer = self.http(
            self.status["api_url"] + path,
            data=json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "X-Server-API-Key": self.status["api_key"],
            },
        )
        assert answer.status == 200, answer
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def send(self, to: Sequence[str], **fields: Any) -> dict[str, int]:
        """Send through send/message; return the ids by recipient."""
        message = {"from": self.sender, "to": list(to), "subject": "test", "plain_body": "Hi"}
        answer = self.api("/api/v1/send/message", message | fields)
        assert answer["status"] == "success", answer
        return {rcpt: entry["id"] for rcpt, entry in answer["data"]["messages"].items()}

    @contextmanager
    def smtp(self) -> Iterator[smtplib.SMTP]:
        """A logged-in submission session."""
        login = self.status["smtp"]
        with smtplib.SMTP(login["host"], login["submission_port"], timeout=60) as session:
            session.starttls(context=ssl.create_default_context(cafile=login["ca_file"]))
            session.login(login["username"], login["password"])
            yield session

    def message(self, to: str, subject: str = "test") -> bytes:
        """A small message as bytes."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, to, subject
        message.set_content("Hello there.\n")
        return message.as_bytes().replace(b"\n", b"\r\n")

    def record(self, id_: int) -> dict[str, Any]:
        """The message's record from the native API."""
        answer = self.http(
            f"{self.status['api_url']}/api/v2/messages/{id_}",
            headers={"X-Server-API-Key": self.status["api_key"]},
        )
        assert answer.status == 200, answer
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def settled(self, id_: int) -> dict[str, Any] | None:
        """The record once its state is final and its history tells so."""
        record = self.record(id_)
        told = {event["type"] for event in record["events"]}
        return record if record["state"] in FINAL and record["state"] in told else None

    def mailbox(self, to: str) -> list[dict[str, Any]]:
        """Messages to `to`: an address, or the beginning of one."""
        query = urllib.parse.urlencode({"to": to, "limit": 1000})
        answer = self.http(f"{self.status['simulator_url']}/api/messages?{query}")
        found: list[dict[str, Any]] = json.loads(answer.body)["messages"]
        return found

    def mail(self, id_: object) -> dict[str, Any]:
        """One message of the simulator, whole."""
        answer = self.http(f"{self.status['simulator_url']}/api/messages/{id_}")
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def webhooks(self, limit: int = 5000) -> list[dict[str, Any]]:
        """Webhooks the simulator's receiver took, newest first."""
        answer = self.http(f"{self.status['simulator_url']}/api/webhooks?limit={limit}")
        found: list[dict[str, Any]] = json.loads(answer.body)["webhooks"]
        return found

    def webhooks_of(self, id_: int) -> list[dict[str, Any]]:
        """Webhooks about one message."""
        return [
            hook for hook in self.webhooks() if hook["payload"].get("message", {}).get("id") == id_
        ]

    def http(
        self,
        url: str,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        method: str | None = None,
    ) -> Answer:
        """Ask; redirects and refusals are answers."""
        request = urllib.request.Request(url, data=data, headers=headers or {}, method=method)
        opener = urllib.request.build_opener(NoRedirect)
        try:
            with opener.open(request, timeout=60) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, dict(refusal.headers), refusal.read())
