"""Routes to relays in the directory table: `<owner>` / `relay#<pattern>`, the secret wrapped.

An owner is `platform` or `server#<id>`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow
from mailroom.domain.destination import is_reachable
from mailroom.domain.relay import Direct, Login, Relay, Target, TlsPolicy, parse_pattern

PLATFORM = "platform"
MAX_RELAYS = 200  # of one owner; all are read at once
_PREFIX = "relay#"
_SERVER = re.compile(r"server#[a-z0-9]+\Z")


class RelayRows:
    """Reads and writes routes."""

    def __init__(
        self, rows: type[DirectoryRow], keyring: KmsKeyring, *, networks: Sequence[str] = ()
    ) -> None:
        """Servers' relays may be in the private `networks` (CIDR); the platform's anywhere."""
        self._rows = rows
        self._keyring = keyring
        self._networks = networks

    def put_relay(self, owner: str, pattern: str, target: Target) -> None:
        """Write a route; the login's secret is encrypted with its owner in the context.

        Raises ValueError for a bad owner or pattern, for a server's relay at a private address,
        and when the owner has 200 already. A host name is judged when mail is sent.
        """
        if owner != PLATFORM and not _SERVER.match(owner):
            raise ValueError(f"{owner!r} owns no relays")
        place = _PREFIX + parse_pattern(pattern)
        if isinstance(target, Relay) and owner != PLATFORM:
            self._require_public(target)
        if place not in (kept := self._patterns(owner)) and len(kept) >= MAX_RELAYS:
            raise ValueError(f"{owner} has {MAX_RELAYS} relays already")
        row = self._rows(owner, place)
        row.json = json.dumps(_dump(target))
        if isinstance(target, Relay) and target.login:
            row.wrapped = self._keyring.wrap(target.login.secret.encode(), _context(owner))
        row.save()

    def delete_relay(self, owner: str, pattern: str) -> None:
        """Remove a route, if it is there. Raises ValueError for a bad pattern."""
        self._rows(owner, _PREFIX + parse_pattern(pattern)).delete()

    def relays(self, owner: str) -> Mapping[str, Target]:
        """Return the owner's routes by pattern.

        Raises ValueError for a row that cannot be read, and botocore's ClientError for a secret
        that does not open.
        """
        return {row.sk.removeprefix(_PREFIX): self._load(owner, row) for row in self._query(owner)}

    def _require_public(self, relay: Relay) -> None:
        if relay.is_address and not is_reachable(relay.host, self._networks):
            raise ValueError(f"a server's relay cannot be at the private address {relay.host}")

    def _patterns(self, owner: str) -> set[str]:
        return {row.sk for row in self._query(owner)}

    def _query(self, owner: str) -> list[DirectoryRow]:
        return list(self._rows.query(owner, self._rows.sk.startswith(_PREFIX)))

    def _load(self, owner: str, row: DirectoryRow) -> Target:
        stored: dict[str, Any] = json.loads(row.json)
        if stored.get("direct"):
            return Direct.DIRECT
        login = None
        if stored["user"] is not None:
            secret = self._keyring.unwrap(row.wrapped, _context(owner)).decode()
            login = Login(stored["user"], secret, stored["cram"], stored["allow_plain"])
        return Relay(stored["host"], stored["port"], TlsPolicy(stored["tls"]), login)


def _dump(target: Target) -> dict[str, Any]:
    if isinstance(target, Direct):
        return {"direct": True}
    login = target.login
    return {
        "host": target.host,
        "port": target.port,
        "tls": target.tls,
        "user": login.user if login else None,
        "cram": login.cram if login else None,
        "allow_plain": login.allow_plain if login else None,
    }


def _context(owner: str) -> str:
    # Not the owner alone: a wrapped DKIM key moved into a relay's row must not open as a password.
    return f"{owner}#relay"
