"""The Directory port on DynamoDB, and the platform's own keys and block list.

Everything is cached for 60 seconds: an API call costs no directory read when warm, and a
change is seen within a minute.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow
from mailroom.domain.dns.spelling import domain_pk, load_domain
from mailroom.domain.message import (
    TRANSACTIONAL,
    Credential,
    Domain,
    Server,
    ServerId,
    Webhook,
)
from mailroom.domain.tenancy.spelling import (
    credential_pk,
    load_credential,
    load_server,
    load_webhook,
    login_pk,
    networks_of,
)
from mailroom.ports import Clock

FRESH_SECONDS = 60.0
_MAX_CACHED = 20_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PlatformKey:
    """One of the platform's own keys; `public` is a PEM for a signing key."""

    kid: str
    secret: bytes
    public: str = ""
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class BlockList:
    """Servers and link hosts whose tracking is switched off."""

    servers: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()


class DynamoDirectory:
    """Reads the directory table. Rows are written by `directory_rows` (seed, management)."""

    def __init__(self, rows: type[DirectoryRow], clock: Clock, keyring: KmsKeyring) -> None:
        self._rows = rows
        self._clock = clock
        self._keyring = keyring
        self._cache: dict[tuple[str, ...], tuple[float, Any]] = {}

    def credential(self, secret: str, kind: str) -> Credential | None:
        """See Directory.credential. Found by the hash, so nothing is compared in Python."""
        pk = credential_pk(secret)
        stored = self._cached((pk,), lambda: self._get(pk, "-"))
        if stored is None or stored["kind"] != kind:
            return None
        return load_credential(stored)

    def server(self, id_: ServerId) -> Server | None:
        """See Directory.server."""
        stored = self._cached((f"server#{id_}",), lambda: self._get(f"server#{id_}", "-"))
        if stored is None:
            return None
        owner = f"organisation#{stored['organisation']}"
        organisation = self._cached((owner,), lambda: self._get(owner, "-")) or {}
        brake = self._cached((f"brake#{id_}",), lambda: self._get(f"server#{id_}", "brake")) or {}
        # A suspended organisation suspends its servers, as in Postal, and its days are theirs.
        above = {
            "suspended": stored["suspended"] or organisation.get("suspended"),
            "time_zone": organisation.get("time_zone") or stored.get("time_zone", ""),
        }
        server = load_server(id_, {**stored, **above})
        return replace(server, braked=brake.get("reason"))

    def address_credential(self, address: str) -> Credential | None:
        """See Directory.address_credential. One read of every network there could be."""
        return self._cached(("network", address), lambda: self._read_network(address))

    def cram_secrets(self, user: str) -> Sequence[tuple[Credential, str]]:
        """See Directory.cram_secrets."""
        pk = login_pk(user)
        stored = self._cached((pk,), lambda: self._get(pk, "-"))
        if stored is None:
            return []
        server = ServerId(stored["server"])
        return self._cached(("cram", server), lambda: self._read_cram(server))

    def sending_domain(self, server: Server, name: str) -> Domain | None:
        """See Directory.sending_domain."""
        for owner in (f"server#{server.id}", f"organisation#{server.organisation}"):
            domain = self.domain(name, owner)
            if domain is not None and domain.verified:
                return domain
        return None

    def stream_class(self, server: ServerId, stream: str) -> str:
        """See Directory.stream_class."""
        place = f"server#{server}", f"stream#{stream}"
        stored = self._cached(place, lambda: self._get(*place)) or {}
        return str(stored.get("class", TRANSACTIONAL))

    def domain(self, name: str, owner: str) -> Domain | None:
        """Return the domain `name` of one owner, verified or not."""
        pk = domain_pk(name)
        return self._cached((pk, owner), lambda: self._read_domain(pk, owner))

    def webhooks(self, server: ServerId) -> Sequence[Webhook]:
        """See Directory.webhooks. Those of the organisation hear of each of its servers."""
        return self._cached(("webhooks", server), lambda: self._webhooks(server))

    def keys(self, purpose: str) -> Mapping[str, PlatformKey]:
        """Return the platform's keys of one purpose by key id, newest last."""
        return self._cached(("keys", purpose), lambda: self._read_keys(purpose))

    def current_key(self, purpose: str) -> PlatformKey:
        """Return the newest key of one purpose. Raises LookupError if there is none."""
        keys = list(self.keys(purpose).values())
        if not keys:
            raise LookupError(f"the platform has no {purpose} key")
        return keys[-1]

    def block_list(self) -> BlockList:
        """Return whose tracking is switched off, at most 60 seconds old."""
        return self._cached(("blocklist",), self._read_block_list)

    def private_servers(self) -> frozenset[str]:
        """Return the servers with the privacy setting, at most 60 seconds old."""
        return self._cached(("private",), self._read_private)

    def _read_private(self) -> frozenset[str]:
        # A row for each; the set in one row is of before there were any.
        found: set[str] = set()
        for row in self._rows.query("platform", self._rows.sk.startswith("private")):
            found |= {row.sk.removeprefix("private#")} if "#" in row.sk else row.servers or set()
        return frozenset(found)

    def _read_domain(self, pk: str, owner: str) -> Domain | None:
        try:
            row = self._rows.get(pk, owner)
        except self._rows.DoesNotExist:
            return None
        return load_domain(pk.removeprefix("domain#"), owner, json.loads(row.json), row.wrapped)

    def _webhooks(self, server: ServerId) -> Sequence[Webhook]:
        own = self._read_webhooks(f"server#{server}")
        known = self.server(server)
        if known is not None:
            owner = f"organisation#{known.organisation}"
            own = [*own, *self._cached(("webhooks", owner), lambda: self._read_webhooks(owner))]
        return [load_webhook(id_, server, stored) for id_, stored in own if stored["enabled"]]

    def _read_webhooks(self, owner: str) -> Sequence[tuple[str, dict[str, Any]]]:
        rows = self._rows.query(owner, self._rows.sk.startswith("webhook#"))
        return [(row.sk.removeprefix("webhook#"), json.loads(row.json)) for row in rows]

    def _read_network(self, address: str) -> Credential | None:
        keys = [(pk, "-") for pk in networks_of(address)]
        rows = {row.pk: row for row in self._rows.batch_get(keys)}
        found = next((rows[pk] for pk, _ in keys if pk in rows), None)
        return load_credential(json.loads(found.json)) if found else None

    def _read_cram(self, server: ServerId) -> Sequence[tuple[Credential, str]]:
        rows = self._rows.query(f"server#{server}", self._rows.sk.startswith("cram#"))
        return [
            (
                load_credential(json.loads(row.json)),
                self._keyring.unwrap(row.wrapped, f"server#{server}").decode(),
            )
            for row in rows
        ]

    def _read_keys(self, purpose: str) -> Mapping[str, PlatformKey]:
        prefix = f"key#{purpose}#"
        found = []
        for row in self._rows.query("platform", self._rows.sk.startswith(prefix)):
            stored = json.loads(row.json)
            secret = self._keyring.unwrap(row.wrapped, f"platform#{purpose}")
            found.append(
                PlatformKey(
                    row.sk.removeprefix(prefix), secret, stored["public"], stored["created_at"]
                )
            )
        return {key.kid: key for key in sorted(found, key=lambda key: key.created_at)}

    def _read_block_list(self) -> BlockList:
        stored = self._get("platform", "blocklist")
        if stored is None:
            return BlockList()
        return BlockList(frozenset(stored["servers"]), frozenset(stored["hosts"]))

    def _get(self, pk: str, sk: str) -> dict[str, Any] | None:
        try:
            row = self._rows.get(pk, sk)
        except self._rows.DoesNotExist:
            return None
        stored: dict[str, Any] = json.loads(row.json)
        return stored

    def _cached(self, key: tuple[str, ...], read: Callable[[], T]) -> T:
        now = self._clock.now()
        kept = self._cache.get(key)
        if kept is not None and now - kept[0] < FRESH_SECONDS:
            value: T = kept[1]
            return value
        fresh = read()
        if len(self._cache) >= _MAX_CACHED:  # a flood of unknown secrets must not fill memory
            self._cache.clear()
        self._cache[key] = (now, fresh)
        return fresh
