"""What the use cases need from the world, in their own words.

Each docstring is the contract: the fakes and the adapters answer to the same tests.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mailroom.domain.event import Event
from mailroom.domain.message import (
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

    def reserve(self, deliveries: Sequence[Delivery]) -> None:
        """Write the deliveries of one submission; they stay invisible until its commit.

        Raises NumberTakenError, having changed nothing, if the number is in use.
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

    def record(self, event: Event) -> bool:
        """Add `event` to the history; False, changing nothing, if it is already there."""


class DueWork(Protocol):
    """What the scheduler finds to do, and how it writes down that it did."""

    def watched(self, now: float, limit: int) -> Sequence[tuple[ServerId, int, float]]:
        """Return the earliest `limit` submissions (server, number, due_at) due at `now`."""

    def rewatch(self, server: ServerId, number: int, was: float, due_at: float) -> None:
        """Move a watched submission to a later time."""

    def unwatch(self, server: ServerId, number: int, was: float) -> None:
        """Stop watching a submission."""

    def due(self, now: float, limit: int) -> Sequence[DeliveryKey]:
        """Return the earliest `limit` deferred deliveries whose time has come."""

    def postpone(self, delivery: Delivery, due_at: float) -> bool:
        """Move `due_at` of an unclaimed delivery; False if it has changed meanwhile."""

    def settle(self, before: Delivery, after: Delivery, event: Event) -> bool:
        """Replace `before` by `after` with its event; False if it has changed meanwhile."""

    def discard(self, key: DeliveryKey) -> None:
        """Delete a delivery that was never committed."""


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
    """The topic every event is published to."""

    def publish(self, events: Sequence[Event]) -> None:
        """Publish all of `events`; raises if any could not be."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One webhook call to make: `body` is the exact JSON text that is signed and sent.

    `attempt` counts tries made so far; `first_at` (Unix seconds) is when the event was queued.
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


class Notifications(Protocol):
    """The webhook queue and its history."""

    def enqueue(self, notifications: Sequence[Notification], *, delay: float = 0.0) -> None:
        """Queue each call after `delay` seconds (at most 900); raises if any was refused."""

    def remember(self, notification: Notification, *, at: float, answer: "Answer") -> None:
        """Keep one try and what came of it for the history."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP endpoint answered; `status` 0 and `problem` set when nothing came."""

    status: int
    body: str = ""
    problem: str = ""
    will_retry: bool = False

    @property
    def ok(self) -> bool:
        """Say whether the endpoint took it: any 2xx."""
        return 200 <= self.status < 300


class Endpoint(Protocol):
    """The tenant's HTTP server."""

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """POST and return the answer; never raises for what the peer does."""


class Counters(Protocol):
    """Approximate live statistics; an hourly roll-up recounts."""

    def add(self, server: ServerId, hour: int, counts: dict[str, int]) -> None:
        """Add to the counters of one server and hour (Unix hours)."""


Json = dict[str, Any]
