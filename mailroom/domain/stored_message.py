"""One message as a search finds it, and the place in the order of messages where it stands."""

import base64
import binascii
import re
from dataclasses import dataclass

from mailroom.domain.event import Event
from mailroom.domain.message import (
    MAX_RECIPIENTS,
    NUMBER_BITS,
    Delivery,
    Submission,
)

_LAST_MS = 253_402_300_799_999  # the last millisecond of the year 9999
_PLACE = re.compile(r"1\.(\d{1,15})\.(\d{1,13})\.(\d{1,4})\.(\d{1,9})\Z", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a message stands: by acceptance (Unix milliseconds), then submission, then recipient.

    Newest first is the descending order of places. A place needs no message to stand there.
    """

    at_ms: int
    number: int
    index: int

    @property
    def at(self) -> float:
        """The acceptance in Unix seconds."""
        return self.at_ms / 1000


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A committed message without its body: `submission.body` is empty, a search reads none.

    `last` is the last fact of its delivery, None if nothing has happened yet.
    """

    submission: Submission
    delivery: Delivery
    last: Event | None = None

    @property
    def place(self) -> Place:
        """Where it stands."""
        key = self.delivery.key
        return Place(round(self.submission.accepted_at * 1000), key.number, key.index)


def dump_cursor(place: Place, looked: int) -> str:
    """Return a cursor: what follows `place`, after `looked` messages were looked at so far."""
    text = f"1.{place.at_ms}.{place.number}.{place.index}.{looked}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def load_cursor(cursor: str) -> tuple[Place, int]:
    """Read what `dump_cursor` wrote. It names no server: it is a place in anybody's order.

    Raises ValueError for a cursor that no page gave.
    """
    try:
        # Never longer than this: what is longer need not be decoded to be refused.
        octets = base64.urlsafe_b64decode(cursor[:80] + "=" * (-len(cursor[:80]) % 4))
        found = _PLACE.match(octets.decode("ascii"))
    except (binascii.Error, ValueError):
        found = None
    if found is None:
        raise ValueError("there is no such cursor")
    at_ms, number, index, looked = map(int, found.groups())
    if at_ms > _LAST_MS or number >> NUMBER_BITS or index >= MAX_RECIPIENTS:
        raise ValueError("there is no such cursor")
    place = Place(at_ms, number, index)
    if dump_cursor(place, looked) != cursor:
        raise ValueError("there is no such cursor")
    return place, looked
