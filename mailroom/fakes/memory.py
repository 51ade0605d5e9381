"""The ports in memory: for tests, benchmarks and trying things out without a cloud.

Held to the contract tests of the adapters. Nothing here survives the process, and nothing is
shared between threads on purpose.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, ip_address, ip_network

from mailroom.domain.dns.spelling import domain_pk
from mailroom.domain.event import Event
from mailroom.domain.lifecycle import UNCOMMITTED
from mailroom.domain.message import (
    METADATA_DAYS,
    TRANSACTIONAL,
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
from mailroom.errors import HandOverError, NumberTakenError


class FixedClock:
    """The Clock port, standing still until `at` is moved."""

    def __init__(self, at: float = 1_760_000_000.0) -> None:
        self.at = at

    def now(self) -> float:
        """See Clock.now."""
        return self.at


class FixedChance:
    """The Chance port: the same numbers for the same seed, in the same order."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._drawn = 0

    def bits(self, count: int) -> int:
        """See Chance.bits."""
        self._drawn += 1
        drawn = hashlib.shake_256(f"{self._seed}/{self._drawn}".encode()).digest(count // 8 + 1)
        return int.from_bytes(drawn, "big") >> (8 - count % 8)


class MemoryLedger:
    """The Ledger and DueWork ports over dictionaries."""

    def __init__(self) -> None:
        self.submissions: dict[tuple[ServerId, int], Submission] = {}
        self.rows: dict[DeliveryKey, Delivery] = {}
        self.watches: set[tuple[float, ServerId, int]] = set()
        self.outbox: dict[DeliveryKey, Event] = {}  # the last fact, as the table's stream shows it
        self.kept_days: dict[tuple[ServerId, int], int] = {}  # after expiry, as reserved
        self._history: dict[DeliveryKey, dict[tuple[float, str], Event]] = {}

    def watch(self, server: ServerId, number: int, due_at: float) -> None:
        """See Ledger.watch."""
        self.watches.add((_ms(due_at), server, number))

    def reserve(self, deliveries: Sequence[Delivery], *, days: int = METADATA_DAYS) -> None:
        """See Ledger.reserve. Whoever writes delivery 0 owns the number."""
        if deliveries[0].key in self.rows:
            raise NumberTakenError
        self.rows.update({delivery.key: delivery for delivery in deliveries})
        first = deliveries[0].key
        self.kept_days[first.server, first.number] = days

    def commit(self, submission: Submission) -> None:
        """See Ledger.commit."""
        name = (submission.server, submission.number)
        if name in self.submissions:
            raise ValueError("the submission is committed already")
        self.submissions[name] = submission

    def submission(self, server: ServerId, number: int) -> Submission | None:
        """See Ledger.submission."""
        return self.submissions.get((server, number))

    def delivery(self, key: DeliveryKey) -> Delivery | None:
        """See Ledger.delivery."""
        return self.rows.get(key)

    def deliveries(self, server: ServerId, number: int) -> Sequence[Delivery]:
        """See Ledger.deliveries."""
        keys = sorted(k for k in self.rows if (k.server, k.number) == (server, number))
        return [self.rows[key] for key in keys]

    def history(self, key: DeliveryKey) -> Sequence[Event]:
        """See Ledger.history."""
        return [event for _, event in sorted(self._history.get(key, {}).items(), key=_by_name)]

    def record(self, event: Event, *, days: int = METADATA_DAYS) -> bool:
        """See Ledger.record."""
        known = self._history.setdefault(event.key, {})
        name = (_ms(event.at), event.id)
        if name in known:
            return False
        known[name] = event
        return True

    def rewrite(self, key: DeliveryKey, change: Callable[[Event], Event]) -> int:
        """Replace the history of a delivery event by event; return how many are different now."""
        events = self._history.get(key, {})
        after = {name: change(event) for name, event in events.items()}
        self._history[key] = after
        return sum(events[name] != event for name, event in after.items())

    def watched(self, now: float, limit: int) -> Sequence[tuple[ServerId, int, float]]:
        """See DueWork.watched."""
        found = sorted(watch for watch in self.watches if watch[0] <= _ms(now))
        return [(server, number, due_at) for due_at, server, number in found[:limit]]

    def rewatch(self, server: ServerId, number: int, was: float, due_at: float) -> None:
        """See DueWork.rewatch."""
        self.watch(server, number, due_at)
        if _ms(was) != _ms(due_at):
            self.unwatch(server, number, was)

    def unwatch(self, server: ServerId, number: int, was: float) -> None:
        """See DueWork.unwatch."""
        self.watches.discard((_ms(was), server, number))

    def due(self, now: float, limit: int) -> Sequence[DeliveryKey]:
        """See DueWork.due."""
        waiting = [
            (row.due_at, row.key)
            for row in self.rows.values()
            if row.due_at is not None and row.due_at <= _ms(now)
        ]
        return [key for _, key in sorted(waiting)[:limit]]

    def postpone(self, delivery: Delivery, due_at: float) -> bool:
        """See DueWork.postpone."""
        row = self.rows.get(delivery.key)
        if row is None or not _same(row, delivery):
            return False
        self.rows[delivery.key] = replace(row, due_at=_ms(due_at))
        return True

    def settle(self, before: Delivery, after: Delivery, event: Event) -> bool:
        """See DueWork.settle. Like the adapter it writes the state, never the recipient."""
        row = self.rows.get(before.key)
        if row is None or not _same(row, before) or row.claim != before.claim:
            return False
        self.rows[before.key] = replace(
            row,
            state=after.state,
            attempts=after.attempts,
            uncertain=after.uncertain,
            generation=after.generation,
            claim=None,
            claim_until=None,
            due_at=after.due_at,
            manual=after.manual,
            sticky=after.sticky,
            stalls=after.stalls,
            late=after.late,
            expires_at=_ms(after.expires_at),
        )
        self.outbox[before.key] = event
        return True

    def discard(self, key: DeliveryKey) -> None:
        """See DueWork.discard."""
        if key in self.rows and self.rows[key].state in UNCOMMITTED:
            del self.rows[key]

    def put(self, delivery: Delivery) -> None:
        """Write a delivery as it is: what egress does to one, a claim for instance."""
        self.rows[delivery.key] = delivery


@dataclass(frozen=True, slots=True)
class MemoryKey:
    """One of the platform's own keys, shaped like the adapter's."""

    kid: str
    secret: bytes = field(repr=False)
    public: str = ""
    created_at: float = 0.0


class MemoryDirectory:
    """The Directory port, filled through `add_*`; always fresh."""

    def __init__(self) -> None:
        self._servers: dict[ServerId, Server] = {}
        self._credentials: dict[tuple[str, str], Credential] = {}
        self._domains: dict[tuple[str, str], Domain] = {}
        self._webhooks: list[Webhook] = []
        self._organisation_webhooks: list[tuple[str, Webhook]] = []
        self._networks: dict[str, Credential] = {}
        self._cram: dict[str, list[tuple[Credential, str]]] = {}
        self._keys: dict[str, dict[str, MemoryKey]] = {}
        self._streams: dict[tuple[ServerId, str], str] = {}

    def add_server(self, server: Server) -> None:
        """Add or replace a server."""
        self._servers[server.id] = server

    def add_credential(self, credential: Credential, secret: str) -> None:
        """Add a credential that `secret` opens."""
        self._credentials[secret, credential.kind] = credential

    def add_network(self, credential: Credential, network: str) -> None:
        """Add an SMTP-IP credential for an IP address or network."""
        self._networks[str(ip_network(network))] = credential

    def add_cram(self, user: str, credential: Credential, secret: str) -> None:
        """Add a credential that allows CRAM-MD5 to the user name `org/server`."""
        self._cram.setdefault(user, []).append((credential, secret))

    def add_domain(self, domain: Domain) -> None:
        """Add or replace a domain of its owner."""
        self._domains[domain_pk(domain.name), domain.owner] = domain

    def add_webhook(self, webhook: Webhook) -> None:
        """Add a webhook."""
        self._webhooks.append(webhook)

    def add_organisation_webhook(self, organisation: str, webhook: Webhook) -> None:
        """Add a webhook that hears of all servers of an organisation."""
        self._organisation_webhooks.append((organisation, webhook))

    def add_key(self, purpose: str, key: MemoryKey) -> None:
        """Add one of the platform's own keys."""
        self._keys.setdefault(purpose, {})[key.kid] = key

    def credential(self, secret: str, kind: str) -> Credential | None:
        """See Directory.credential."""
        return self._credentials.get((secret, kind))

    def server(self, id_: ServerId) -> Server | None:
        """See Directory.server."""
        return self._servers.get(id_)

    def add_stream(self, server: ServerId, name: str, class_: str) -> None:
        """Give a server a stream of its own."""
        self._streams[server, name] = class_

    def stream_class(self, server: ServerId, stream: str) -> str:
        """See Directory.stream_class."""
        return self._streams.get((server, stream), TRANSACTIONAL)

    def sending_domain(self, server: Server, name: str) -> Domain | None:
        """See Directory.sending_domain."""
        for owner in (f"server#{server.id}", f"organisation#{server.organisation}"):
            domain = self._domains.get((domain_pk(name), owner))
            if domain is not None and domain.verified:
                return domain
        return None

    def address_credential(self, address: str) -> Credential | None:
        """See Directory.address_credential."""
        found = ip_address(address)
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        holding = [network for network in map(ip_network, self._networks) if found in network]
        best = max(holding, key=lambda network: network.prefixlen, default=None)
        return self._networks[str(best)] if best else None

    def cram_secrets(self, user: str) -> Sequence[tuple[Credential, str]]:
        """See Directory.cram_secrets."""
        return self._cram.get(user.lower().replace("_", "/", 1), [])

    def webhooks(self, server: ServerId) -> Sequence[Webhook]:
        """See Directory.webhooks."""
        known = self._servers.get(server)
        shared = [
            replace(hook, server=server)
            for owner, hook in self._organisation_webhooks
            if known is not None and owner == known.organisation
        ]
        own = [hook for hook in self._webhooks if hook.server == server]
        return [hook for hook in [*own, *shared] if hook.enabled]

    def keys(self, purpose: str) -> dict[str, MemoryKey]:
        """Return the platform's keys of one purpose by key id, newest last."""
        known = self._keys.get(purpose, {}).values()
        return {key.kid: key for key in sorted(known, key=lambda key: key.created_at)}

    def current_key(self, purpose: str) -> MemoryKey:
        """Return the newest key of one purpose. Raises LookupError if there is none."""
        keys = list(self.keys(purpose).values())
        if not keys:
            raise LookupError(f"the platform has no {purpose} key")
        return keys[-1]


class MemoryBodies:
    """The Bodies port."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def put(self, key: str, raw: bytes) -> None:
        """See Bodies.put."""
        self.stored[key] = raw

    def get(self, key: str) -> bytes:
        """See Bodies.get."""
        return self.stored[key]


class MemoryLane:
    """The Lane port; `sent` shows what was handed over and how long it waits."""

    def __init__(self) -> None:
        self.sent: list[tuple[WakeUp, float]] = []
        self.broken = False  # as if the queue could not be reached

    def send(self, wake_ups: Iterable[WakeUp], *, delay: float = 0.0) -> None:
        """See Lane.send. Raises HandOverError while `broken`."""
        handed = [(wake_up, min(900.0, max(0.0, delay))) for wake_up in wake_ups]
        if handed and self.broken:
            raise HandOverError("the lane is broken")
        self.sent += handed


class MemoryFacts:
    """The Facts port."""

    def __init__(self) -> None:
        self.published: list[Event] = []
        self.broken = False  # as if the topic could not be reached

    def publish(self, events: Sequence[Event]) -> None:
        """See Facts.publish. Raises HandOverError while `broken`."""
        if self.broken:
            raise HandOverError("the topic is broken")
        self.published += events


def _ms(at: float) -> float:
    return round(at, 3)  # rows keep milliseconds


def _same(row: Delivery, seen: Delivery) -> bool:
    return (row.generation, row.state) == (seen.generation, seen.state)


def _by_name(entry: tuple[tuple[float, str], Event]) -> tuple[float, str]:
    return entry[0]
