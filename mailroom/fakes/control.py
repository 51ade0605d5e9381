"""The Control port in memory."""

import threading
from dataclasses import replace

from mailroom.domain.tenancy.record import Place, Record, RecordPage


class MemoryControl:
    """The Control port."""

    def __init__(self) -> None:
        self._records: dict[Place, Record] = {}
        self._counters: dict[Place, float] = {}
        self._lock = threading.Lock()

    def read(self, place: Place) -> Record | None:
        """See Control.read."""
        return self._records.get(place)

    def page(
        self, partition: str, prefix: str = "", *, limit: int = 1_000, after: str = ""
    ) -> RecordPage:
        """See Control.page."""
        with self._lock:
            found = sorted(
                (
                    record
                    for place, record in self._records.items()
                    if place.partition == partition
                    and place.sort.startswith(prefix)
                    and place.sort > after
                ),
                key=lambda record: record.place.sort,
            )
        more = found[limit - 1].place.sort if len(found) > limit else ""
        return RecordPage(tuple(found[:limit]), more)

    def put(self, record: Record, expected: int | None = None) -> Record | None:
        """See Control.put."""
        with self._lock:
            held = self._records.get(record.place)
            revision = held.revision if held else 0
            if expected is not None and expected != revision:
                return None
            written = replace(record, revision=revision + 1)
            self._records[record.place] = written
            return written

    def delete(self, place: Place, expected: int | None = None) -> bool:
        """See Control.delete."""
        with self._lock:
            held = self._records.get(place)
            if expected is not None and expected != (held.revision if held else 0):
                return False
            self._records.pop(place, None)
            return True

    def add(
        self, place: Place, amount: float, *, ceiling: float | None, expires_at: float
    ) -> float | None:
        """See Control.add."""
        with self._lock:
            value = self._counters.get(place, 0.0) + amount
            if ceiling is not None and amount > 0 and value > ceiling:
                return None
            self._counters[place] = value
            return value

    def counter(self, place: Place) -> float:
        """See Control.counter."""
        return self._counters.get(place, 0.0)
