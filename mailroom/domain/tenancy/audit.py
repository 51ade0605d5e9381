"""The audit log: who changed what, with what was there before and what is there now."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.record import Place, Record

KEPT_SECONDS = 400 * 86_400.0
MAX_VALUE = 2_000  # characters of a value as JSON text; longer ones are named by their length
HIDDEN = "(not shown)"


def audit_partition(organisation: str, at: float) -> str:
    """Return the partition of a month's entries; "" is the platform's own log."""
    month = datetime.fromtimestamp(at, UTC).strftime("%Y%m")
    return f"audit#{organisation or 'platform'}#{month}"


def audit_record(
    entry: Mapping[str, Any], *, organisation: str, at: float, chance: int, actor: Actor
) -> Record:
    """Return the row of one entry; `chance` (32 random bits) keeps entries of one instant apart."""
    who = {"kind": actor.kind, "id": actor.id, "name": actor.name, "address": actor.address}
    place = Place(audit_partition(organisation, at), f"{round(at * 1000):014d}#{chance:08x}")
    body = {**entry, "at": at, "actor": who, "request_id": actor.request_id}
    return Record(place, body, expires_at=at + KEPT_SECONDS)


def changed(
    before: Mapping[str, Any], after: Mapping[str, Any], private: frozenset[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields that differ, as they were and as they are, fit to be shown."""
    names = sorted(n for n in {*before, *after} if before.get(n) != after.get(n))
    return _shown(before, names, private), _shown(after, names, private)


def _shown(fields: Mapping[str, Any], names: list[str], private: frozenset[str]) -> dict[str, Any]:
    return {
        name: HIDDEN if name in private else _short(fields[name])
        for name in names
        if name in fields
    }


def _short(value: Any) -> Any:
    length = len(value) if isinstance(value, str) else len(repr(value))
    return value if length <= MAX_VALUE else f"({length} characters)"
