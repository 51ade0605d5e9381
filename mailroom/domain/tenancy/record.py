"""A row as the management side sees it: a place, a JSON body, and the revision it is at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Json = dict[str, Any]


class Place(NamedTuple):
    """Where a record lies: its partition and its sort key."""

    partition: str
    sort: str = "-"


@dataclass(frozen=True, slots=True)
class Record:
    """One stored row.

    `revision` counts its writes from 1; 0 is one that is not stored yet. `secret` is encrypted
    octets, `expires_at` (Unix seconds) when the row may vanish. An `exclusive` record may not
    take a place that somebody else's is at.
    """

    place: Place
    body: Mapping[str, Any]
    revision: int = 0
    secret: bytes = field(default=b"", repr=False)
    expires_at: float | None = None
    exclusive: bool = False


ABSENT = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One write of several that happen together or not at all.

    `record` None deletes. `expected` is the revision the row must have for any of them to happen:
    ABSENT for none, None for whatever there is.
    """

    place: Place
    record: Record | None
    expected: int | None = None

    @classmethod
    def put(cls, record: Record, expected: int | None = None) -> "Change":
        """Return the change that writes `record`."""
        return cls(record.place, record, expected)


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Part of a partition; `after` is the sort key the next part follows, "" after the last."""

    records: tuple[Record, ...]
    after: str = ""
