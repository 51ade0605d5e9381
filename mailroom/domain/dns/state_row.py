"""What is remembered of a domain's checks between two of them, and how that is spelled in rows.

It lies apart from the domain itself: checks come and go all day, and are no changes of it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mailroom.domain.dns.records import Need, Purpose
from mailroom.domain.dns.state import Check, State
from mailroom.domain.dns.watch import Standing, Standings
from mailroom.domain.tenancy.record import Place, Record

DUE_PARTITION = "dns-due"
DUE_PREFIX = "d#"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Watch:
    """How a domain stood at its last check. Times are Unix seconds.

    `kind`, `parent` and `id` name the resource; `due_at` is when it is looked at again.
    """

    kind: str
    parent: str
    id: str
    due_at: float
    checked_at: float | None = None
    announced: bool = False
    standings: Standings = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    revision: int = 0

    @property
    def place(self) -> Place:
        """Where its record lies."""
        return watch_place(self.id)

    @property
    def due_place(self) -> Place:
        """Where the row lies by which the scheduler finds it: earliest first."""
        return Place(DUE_PARTITION, f"{_due(self.due_at)}#{self.id}")


def watch_place(id_: str) -> Place:
    """Return where the watch over a domain lies."""
    return Place(f"dns#{id_}")


def due_sort(at: float) -> str:
    """Return a sort key behind those of all that is due at `at`."""
    return _due(at + 0.001)


def _due(at: float) -> str:
    return f"{DUE_PREFIX}{round(at * 1000):014d}"


def dump_watch(watch: Watch) -> Record:
    """Return the record of a watch."""
    body = {
        "v": SCHEMA,
        "kind": watch.kind,
        "parent": watch.parent,
        "id": watch.id,
        "due_at": watch.due_at,
        "checked_at": watch.checked_at,
        "announced": watch.announced,
        "standings": {key: asdict(each) for key, each in watch.standings.items()},
        "checks": [asdict(each) for each in watch.checks],
    }
    return Record(watch.place, body)


def dump_due(watch: Watch) -> Record:
    """Return the row by which the scheduler finds a watch."""
    return Record(watch.due_place, {"v": SCHEMA, "id": watch.id})


def load_watch(record: Record) -> Watch:
    """Read what `dump_watch` wrote."""
    body = record.body
    return Watch(
        kind=body["kind"],
        parent=body["parent"],
        id=body["id"],
        due_at=body["due_at"],
        checked_at=body.get("checked_at"),
        announced=body.get("announced", False),
        standings={key: _standing(each) for key, each in body.get("standings", {}).items()},
        checks=tuple(_check(each) for each in body.get("checks", ())),
        revision=record.revision,
    )


def _standing(stored: Mapping[str, Any]) -> Standing:
    return Standing(
        purpose=Purpose(stored["purpose"]),
        need=Need(stored["need"]),
        state=State(stored["state"]),
        since=stored["since"],
        doubted_at=stored.get("doubted_at"),
    )


def _check(stored: Mapping[str, Any]) -> Check:
    return Check(
        key=stored["key"],
        purpose=Purpose(stored["purpose"]),
        name=stored["name"],
        need=Need(stored["need"]),
        state=State(stored["state"]),
        reason=stored["reason"],
        found=tuple(stored.get("found", ())),
    )
