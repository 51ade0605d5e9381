"""What the use cases need from the world, in their own words.

Each docstring is the contract: the fakes and the adapters answer to the same tests.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mailroom.domain.breaker import Gate
from mailroom.domain.event import Event
from mailroom.domain.message import (
    METADATA_DAYS,
    Credential,
    Delivery,
    DeliveryKey,
    Domain,
    Server,
    ServerId,
    Submission,
    WakeUp,
    Webhook,
)
from mailroom.domain.send_limit import Limits, Reservation, Slice, Times, Usage
from mailroom.domain.server_fact import Fact
from mailroom.domain.statistic import FirstView


class Clock(Protocol):
    """The time, asked only at the edges."""

    def now(self) -> float:
        """Return Unix seconds."""


class Chance(Protocol):
    """Randomness fit for identifiers."""

    def bits(self, count: int) -> int:
        """Return a number of `count` random bits."""


class Directory(Protocol):
    """Who may send what. Answers may be up to 60 seconds old."""

    def credential(self, secret: str, kind: str) -> Credential | None:
        """Return what `secret` opens, if it is a credential of that kind ("api", "smtp")."""

    def server(self, id_: ServerId) -> Server | None:
        """Return the server, or None."""

    def sending_domain(self, server: Server, name: str) -> Domain | None:
        """Return the verified domain `name` of the server or, failing that, its organisation."""

    def stream_class(self, server: ServerId, stream: str) -> str:
        """Return the class of a server's own stream: "transactional", also if it has none such,
        or "broadcast"."""

    def address_credential(self, address: str) -> Credential | None:
        """Return the SMTP-IP credential whose network holds the IP `address` most exactly.

        IPv4 addresses written as IPv6 (`::ffff:`) are looked up as IPv4.
        """

    def cram_secrets(self, user: str) -> Sequence[tuple[Credential, str]]:
        """Return the CRAM-MD5 credentials of `org/server` or `org_server` with their secrets."""

    def webhooks(self, server: ServerId) -> Sequence[Webhook]:
        """Return the server's enabled webhooks."""


class Ledger(Protocol):
    """The durable record of submissions and deliveries."""

    def watch(self, server: ServerId, number: int, due_at: float) -> None:
        """Ask that somebody looks at the submission at `due_at` (Unix seconds)."""

    def reserve(self, deliveries: Sequence[Delivery], *, days: int = METADATA_DAYS) -> None:
        """Write the deliveries of one submission; they stay invisible until its commit.

        The rows are kept for `days` after their expiry. Raises NumberTakenError, having changed
        nothing, if the number is in use.
        """

    def commit(self, submission: Submission) -> None:
        """Accept: one conditional put. When it returns, the mail is ours to deliver."""

    def submission(self, server: ServerId, number: int) -> Submission | None:
        """Return the submission if it is committed."""

    def delivery(self, key: DeliveryKey) -> Delivery | None:
        """Return the delivery, committed or not."""

    def deliveries(self, server: ServerId, number: int) -> Sequence[Delivery]:
        """Return all deliveries of a submission in index order."""

    def history(self, key: DeliveryKey) -> Sequence[Event]:
        """Return the recorded events of a delivery, oldest first."""

    def record(self, event: Event, *, days: int = METADATA_DAYS) -> bool:
        """Add `event` to the history for `days`; False, changing nothing, if it is there."""


class SendLimits(Protocol):
    """How many messages servers may still send, shared by all senders."""

    def reserve(
        self,
        server: ServerId,
        limits: Limits,
        at: Times,
        leftover: Slice | None = None,
        wanted: int | None = None,
    ) -> Reservation:
        """Reserve a slice of what `limits` leave (`send_limit.py`), or exactly `wanted` or none.

        What is left of the slice before goes back in the same step. When this raises, whether
        anything was reserved or given back is not known: the caller forgets both.
        """

    def usage(self, server: ServerId) -> Usage:
        """Return what is reserved for a server, in windows that may be over."""


class FirstViews(Protocol):
    """Remembers the first open and the first click of each delivery."""

    def first_view(self, event: Event) -> FirstView:
        """Enter an open or click and say what it is the first of.

        The same event gives the same answer each time, so it may be asked again after a failure.
        """


class DueWork(Protocol):
    """What the scheduler finds to do, and how it writes down that it did."""

    def watched(self, now: float, limit: int) -> Sequence[tuple[ServerId, int, float]]:
        """Return the earliest `limit` submissions (server, number, due_at) due at `now`."""

    def rewatch(self, server: ServerId, number: int, was: float, due_at: float) -> None:
        """Move a watched submission to a later time."""

    def unwatch(self, server: ServerId, number: int, was: float) -> None:
        """Stop watching a submission."""

    def due(self, now: float, limit: int) -> Sequence[DeliveryKey]:
        """Return the earliest `limit` deliveries that wait for a time that has come."""

    def postpone(self, delivery: Delivery, due_at: float) -> bool:
        """Move `due_at` of an unclaimed delivery; False if it has changed meanwhile."""

    def settle(self, before: Delivery, after: Delivery, event: Event) -> bool:
        """Replace `before` by `after` with its event; False if it has changed meanwhile."""

    def discard(self, key: DeliveryKey) -> None:
        """Delete a delivery that was never committed: one that is queued or scheduled."""


class Bodies(Protocol):
    """Raw messages, stored once each."""

    def put(self, key: str, raw: bytes) -> None:
        """Store `raw` under `key`. Durable when it returns."""

    def get(self, key: str) -> bytes:
        """Return the raw message. Raises KeyError if it is gone."""


class Lane(Protocol):
    """The hand-over belt to egress. Losing it loses no mail."""

    def send(self, wake_ups: Iterable[WakeUp], *, delay: float = 0.0) -> None:
        """Wake egress for each delivery after `delay` seconds (at most 900)."""


class Facts(Protocol):
    """The topic every fact is published to."""

    def publish(self, facts: Sequence[Fact]) -> None:
        """Publish all of `facts`; raises if any could not be."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One webhook call to make: `body` is the exact JSON text that is signed and sent.

    `attempt` counts tries made so far; `first_at` (Unix seconds) is when the event was queued.
    `waits` counts how often in a row it was sent back untried, because its endpoint was closed or
    busy; `replay` says that a person asked for it again.
    """

    uuid: str
    server: ServerId
    webhook: str
    url: str
    event: str
    body: str
    attempt: int
    first_at: float
    not_before: float = 0.0
    sign: bool = True
    waits: int = 0
    replay: bool = False


class Notifications(Protocol):
    """The webhook queue and its history."""

    def enqueue(self, notifications: Sequence[Notification], *, delay: float = 0.0) -> None:
        """Queue each call after `delay` seconds (at most 900); raises if any was refused."""

    def remember(self, notification: Notification, *, at: float, answer: "Answer") -> None:
        """Keep one try and what came of it for the history."""


class NotificationHistory(Protocol):
    """What was called and what came of it, for as long as it is kept."""

    def page(self, server: ServerId, webhook: str, *, limit: int, cursor: str = "") -> "TryPage":
        """Return up to `limit` tries, newest first, that follow `cursor` (of the page before).

        Raises ValueError for a cursor that no page gave.
        """

    def find(self, server: ServerId, webhook: str, uuid: str) -> "Try | None":
        """Return the newest try of one call, among the newest 20,000 of the webhook."""

    def since(self, server: ServerId, webhook: str, at: float, *, limit: int) -> "Sequence[Try]":
        """Return the earliest `limit` tries made at or after `at` (Unix seconds)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answered; `status` 0 and `problem` set when nothing came.

    `retry_after` is the text of that header. `seconds` is how long the call took.
    """

    status: int
    body: str = ""
    problem: str = ""
    will_retry: bool = False
    retry_after: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Say whether the endpoint took it: any 2xx."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Try:
    """One call that was made at `at` (Unix seconds). Secrets in its URL are gone.

    `is_whole` is False when the history kept only the beginning of its body.
    """

    made: Notification
    at: float
    answer: Answer
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class TryPage:
    """Part of a history; `cursor` is where the next part begins, "" after the last."""

    tries: Sequence[Try]
    cursor: str = ""


class Endpoint(Protocol):
    """The tenant's HTTP server."""

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """POST and return the answer; never raises for what the peer does."""


class Topic(Protocol):
    """Topics that organisations have of their own."""

    def publish(self, arn: str, text: str, attributes: dict[str, str]) -> Answer:
        """Publish and say how that went; never raises for what the topic does."""


class Gates(Protocol):
    """What is known about endpoints in trouble, shared by all processes."""

    def read(self, name: str) -> tuple[Gate, int]:
        """Return the gate of an endpoint and its version: an open one and 0 if it has none."""

    def swap(self, name: str, gate: Gate, version: int) -> bool:
        """Replace the gate if it still has `version`; False, changing nothing, if not."""


Json = dict[str, Any]
