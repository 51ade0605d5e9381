"""Read the audit log backwards, month by month."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mailroom.domain.tenancy.audit import KEPT_SECONDS, audit_partition
from mailroom.ports.registry import Registry

MAX_READ = 1_000  # entries looked at for one page


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries: "" does not ask."""

    actor: str = ""
    kind: str = ""
    id: str = ""

    def fits(self, entry: Mapping[str, Any]) -> bool:
        """Say whether an entry is wanted."""
        return (
            self.actor in ("", entry["actor"]["id"])
            and self.kind in ("", entry.get("kind"))
            and self.id in ("", entry.get("id"))
        )


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Part of the log; `cursor` is where the next part begins, "" after the last."""

    entries: Sequence[Mapping[str, Any]]
    cursor: str = ""


def read_audit(
    organisation: str,
    wanted: Wanted,
    *,
    limit: int,
    cursor: str,
    now: float,
    registry: Registry,
    begun: float = 0.0,
) -> AuditPage:
    """Return up to `limit` entries, newest first; there are none from before `begun`.

    Raises ValueError for a cursor it never gave.
    """
    start, after = _position(cursor, now)
    found: list[Mapping[str, Any]] = []
    looked = 0
    for month in _months(start, max(begun, now - KEPT_SECONDS)):
        partition = audit_partition(organisation, month)
        while True:
            page = registry.page(partition, "0", limit=100, after=after, newest_first=True)
            for record in page.records:
                looked += 1
                after = record.place.sort
                if wanted.fits(record.body):
                    found.append(record.body)
                if len(found) == limit or looked == MAX_READ:
                    return AuditPage(found, f"{int(month)}#{after}")
            if not page.after:
                break
        after = ""
    return AuditPage(found)


def _position(cursor: str, now: float) -> tuple[float, str]:
    if not cursor:
        return now, ""
    month, _, after = cursor.partition("#")
    moment = float(int(month))
    if not 0 <= moment <= now + 86_400 or not after:
        raise ValueError("not a cursor of the audit log")
    return moment, after


def _months(start: float, end: float) -> Iterator[float]:
    """Yield a moment of each month from `start` back to that of `end`."""
    oldest = datetime.fromtimestamp(end, UTC)
    moment = datetime.fromtimestamp(start, UTC)
    while moment >= oldest.replace(day=1, hour=0, minute=0, second=0, microsecond=0):
        yield moment.timestamp()
        moment = moment.replace(day=1, hour=12) - timedelta(days=1)
