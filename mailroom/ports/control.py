"""The port to the `control` table: what all hosts, the API and the scheduler agree on.

Partitions, and who writes them, are listed in docs/data.md. Sort keys of a partition are the
things it holds.
"""

from typing import Protocol

from mailroom.domain.tenancy.record import Place, Record, RecordPage


class Control(Protocol):
    """Small rows with a revision, and counters that never pass a ceiling. Reads are consistent."""

    def read(self, place: Place) -> Record | None:
        """Return the record at `place`. One whose `expires_at` is over may still be there."""

    def page(
        self, partition: str, prefix: str = "", *, limit: int = 1_000, after: str = ""
    ) -> RecordPage:
        """Return records of a partition in the order of their sort keys."""

    def put(self, record: Record, expected: int | None = None) -> Record | None:
        """Write a record and return it with its new revision, one more than before.

        `expected` is the revision it must have now: 0 for a place that is free, None for whatever
        there is. None is returned, and nothing changed, if it has another.
        """

    def delete(self, place: Place, expected: int | None = None) -> bool:
        """Remove a record; False if it has another revision than `expected`."""

    def add(
        self, place: Place, amount: float, *, ceiling: float | None, expires_at: float
    ) -> float | None:
        """Add to the counter at `place` and return its new value.

        None, and nothing is changed, if it would pass `ceiling`. A negative `amount` gives back.
        A counter is not a record: `read` does not see it.
        """

    def counter(self, place: Place) -> float:
        """Return a counter's value, 0 for one that is not there."""
