"""The Suppressions port in memory, held to the contract tests of the adapter."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mailroom.domain.address import MalformedAddressError
from mailroom.domain.message import ServerId
from mailroom.domain.suppression import (
    MAX_DETAIL,
    Reason,
    Suppression,
    merged,
    normal_address,
    recipient_hmac,
    scopes_of,
    strongest,
)
from mailroom.ports import Clock
from mailroom.ports.suppressions import SuppressionPage

_MAX_FILTERED = 1_000


class MemorySuppressions:
    """Suppressions over a dictionary; `secret` is the key of the hashes."""

    def __init__(self, clock: Clock, secret: bytes = b"recipients") -> None:
        self.rows: dict[tuple[str, str], Suppression] = {}
        self._clock = clock
        self._secret = secret

    def among(
        self, organisation: str, server: ServerId, stream: str, addresses: Sequence[str]
    ) -> Mapping[str, Suppression]:
        """See Suppressions.among."""
        found = {}
        for address in addresses:
            scopes = scopes_of(organisation, server, stream)
            worst = strongest(
                row for row in (self._find(scope, address) for scope in scopes) if row is not None
            )
            if worst is not None:
                found[address] = worst
        return found

    def add(self, scope: str, suppression: Suppression) -> bool:
        """See Suppressions.add."""
        address = normal_address(suppression.address or "")
        new = replace(
            suppression, scope=scope, address=address, detail=suppression.detail[:MAX_DETAIL]
        )
        name = self._name(scope, address)
        known = self.rows.get(name)
        after = merged(known, new)
        if after is not None:
            self.rows[name] = after
        return known is None or not known.counts(new.created_at)

    def add_many(self, scope: str, suppressions: Sequence[Suppression]) -> int:
        """See Suppressions.add_many."""
        return sum(self.add(scope, each) for each in suppressions)

    def remove(self, scope: str, address: str) -> bool:
        """See Suppressions.remove."""
        return self.rows.pop(self._name(scope, address), None) is not None

    def get(self, scope: str, address: str) -> Suppression | None:
        """See Suppressions.get."""
        row = self.rows.get(self._name(scope, address))
        return row if row is not None and row.counts(self._clock.now()) else None

    def page(
        self, scope: str, limit: int, cursor: str = "", reason: Reason | None = None
    ) -> SuppressionPage:
        """See Suppressions.page."""
        if cursor and len(cursor) != len(self._name(scope, "a@b.test")[1]):
            raise ValueError("there is no such cursor")
        names = sorted(hashed for own, hashed in self.rows if own == scope and hashed > cursor)
        items: list[Suppression] = []
        most = _MAX_FILTERED if reason else limit
        last = ""
        for last in names[:most]:
            row = self.rows[scope, last]
            if row.counts(self._clock.now()) and reason in (None, row.reason):
                items.append(row)
            if len(items) == limit:
                break
        more = len(items) == limit or len(names) >= most
        return SuppressionPage(items, last if more else "")

    def erase(self, scope: str, address: str) -> bool:
        """See Suppressions.erase."""
        name = self._name(scope, address)
        if name not in self.rows:
            return False
        self.rows[name] = replace(self.rows[name], address=None, detail="", source="")
        return True

    def remove_all(self, scope: str, limit: int) -> int:
        """See Suppressions.remove_all."""
        names = [name for name in self.rows if name[0] == scope][:limit]
        for name in names:
            del self.rows[name]
        return len(names)

    def _find(self, scope: str, address: str) -> Suppression | None:
        try:
            return self.get(scope, address)
        except MalformedAddressError:
            return None

    def _name(self, scope: str, address: str) -> tuple[str, str]:
        return scope, recipient_hmac(self._secret, address)
