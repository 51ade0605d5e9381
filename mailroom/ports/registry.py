"""Where organisations, servers and what they own are kept, and the keys that wrap their secrets."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from mailroom.domain.tenancy.record import Change, Place, Record, RecordPage


class ConflictError(Exception):
    """A row was not as a change expected it; nothing was written. `place` is that row's."""

    def __init__(self, place: Place) -> None:
        super().__init__(f"{place.partition} / {place.sort} is not as expected")
        self.place = place


class Registry(Protocol):
    """The directory table, read as it is now and written in all-or-nothing steps."""

    def read(self, place: Place) -> Record | None:
        """Return the record, as the last finished write left it."""

    def read_many(self, places: Sequence[Place]) -> Mapping[Place, Record]:
        """Return those of at most 100 records that there are."""

    def page(
        self,
        partition: str,
        prefix: str,
        *,
        limit: int,
        after: str = "",
        newest_first: bool = False,
    ) -> RecordPage:
        """Return up to `limit` records of a partition whose sort keys begin with `prefix`.

        In the order of the sort keys, or backwards; `after` is where the page before ended.
        """

    def count(self, partition: str, prefix: str, *, most: int) -> int:
        """Count such records, up to `most`."""

    def write(self, changes: Sequence[Change]) -> None:
        """Make at most 100 changes together.

        A written record's revision is one more than the one expected, and 1 where whatever there
        was is replaced. Raises ConflictError, having written nothing, if a row is not as expected.
        """


class Keyring(Protocol):
    """Encrypts secrets for their owner; what one owner's context wrapped opens in no other."""

    def wrap(self, secret: bytes, owner: str) -> bytes:
        """Return `secret` encrypted for `owner`."""

    def unwrap(self, wrapped: bytes, owner: str) -> bytes:
        """Return what `wrap` was given."""
