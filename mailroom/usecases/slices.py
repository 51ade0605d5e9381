"""Book turns of limits over several addresses, in rows of the `control` table.

`slice#<scope>` / `<key>` holds up to when turns are given away and who has a claim. A booking is
looked at and written in two steps that fail separately: what could not be read was not written.
"""

from dataclasses import dataclass

from mailroom.domain.sending.slices import (
    KEEP_SECONDS,
    Booked,
    Bucket,
    SharedKey,
    Slice,
    book,
    dump_bucket,
    leave,
    load_bucket,
    slice_place,
)
from mailroom.domain.sending.turns import Wish
from mailroom.domain.tenancy.record import ABSENT, Record
from mailroom.ports.control import Control

_TRIES = 5


@dataclass(frozen=True, slots=True)
class SlicePorts:
    """The world that shared limits need."""

    control: Control


@dataclass(frozen=True, slots=True)
class Booker:
    """Who books: a run of a process, and how many processes live as far as it knows."""

    holder: str
    live: int


def look(key: SharedKey, ports: SlicePorts) -> Record | None:
    """Return the row of a key as it is now."""
    return ports.control.read(slice_place(*key))


def book_turns(
    key: SharedKey,
    seen: Record | None,
    wish: Wish,
    by: Booker,
    now: float,
    ports: SlicePorts,
) -> Booked | None:
    """Book turns in a row that is as `seen`; None, and nothing is booked, if it has changed."""
    bucket, booked = book(
        load_bucket(seen.body) if seen else Bucket(),
        by.holder,
        key[0].rate,
        wanted=wish.wanted,
        steady=wish.steady,
        live=by.live,
        now=now,
    )
    if booked.turns is None and booked.claim is None:
        return booked
    return booked if _write(key, seen, bucket, ports) else None


def give_back(key: SharedKey, holder: str, unused: Slice | None, ports: SlicePorts) -> bool:
    """Take a process out of a row, with the turns it will not use; False if it is too busy."""
    for _ in range(_TRIES):
        seen = look(key, ports)
        if seen is None:
            return True
        before = load_bucket(seen.body)
        after = leave(before, holder, unused)
        if after == before or _write(key, seen, after, ports):
            return True
    return False


def _write(key: SharedKey, seen: Record | None, bucket: Bucket, ports: SlicePorts) -> bool:
    record = Record(slice_place(*key), dump_bucket(bucket), expires_at=bucket.tat + KEEP_SECONDS)
    return ports.control.put(record, seen.revision if seen else ABSENT) is not None
