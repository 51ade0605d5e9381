"""Unknown replies of all hosts, gathered by day, so that somebody can write rules for them.

Rows lie in the control table at `unknown#<day>`/<hash>. Strangers choose the texts, so a day holds
a bounded number of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from mailroom.domain.replies.unknown import UnknownKey, UnknownReply
from mailroom.domain.tenancy.record import Json, Place, Record
from mailroom.ports.control import Control

MAX_ROWS = 1_000  # of a day
KEPT_SECONDS = 14 * 86_400.0
_TRIES = 5
_ROWS = "rows"  # a counter beside the rows; hashes are longer


@dataclass(frozen=True, slots=True)
class UnknownPorts:
    """The world that unknown replies need."""

    control: Control


def note(
    ports: UnknownPorts, day: date, replies: Iterable[UnknownReply], *, now: float
) -> tuple[UnknownReply, ...]:
    """Add what a host counted to the day's rows; return what could not be added.

    Left over is what finds the day full, or whose row others keep writing at the same moment;
    the host may note that again later. `now` is Unix seconds. What a host cannot know exactly
    (`over`) is not added.
    """
    return tuple(each for each in replies if not _add(ports.control, day, each, now))


def top(ports: UnknownPorts, day: date, limit: int = 50) -> tuple[UnknownReply, ...]:
    """Return the most frequent unknown replies of a day, of all hosts together."""
    found: list[UnknownReply] = []
    after = ""
    while True:
        page = ports.control.page(_partition(day), after=after)
        found.extend(_read(record) for record in page.records)
        after = page.after
        if not after:
            break
    return tuple(sorted(found, key=lambda each: (-each.count, each.key))[: max(0, limit)])


def _add(control: Control, day: date, reply: UnknownReply, now: float) -> bool:
    place = Place(_partition(day), reply.key.hash)
    count = reply.count - reply.over
    expires_at = now + KEPT_SECONDS
    for _ in range(_TRIES):
        held = control.read(place)
        if held is None:
            if not _has_room(control, day, expires_at):
                return False
            body = _body(reply.key, count)
            if control.put(Record(place, body, expires_at=expires_at), expected=0):
                return True
            control.add(Place(place.partition, _ROWS), -1, ceiling=None, expires_at=expires_at)
            continue
        body = _body(reply.key, _read(held).count + count)
        if control.put(Record(place, body, expires_at=expires_at), expected=held.revision):
            return True
    return False


def _has_room(control: Control, day: date, expires_at: float) -> bool:
    place = Place(_partition(day), _ROWS)
    return control.add(place, 1, ceiling=MAX_ROWS, expires_at=expires_at) is not None


def _partition(day: date) -> str:
    return f"unknown#{day.isoformat()}"


def _body(key: UnknownKey, count: int) -> Json:
    return {**key._asdict(), "count": count}


def _read(record: Record) -> UnknownReply:
    body = record.body
    key = UnknownKey(
        str(body["provider"]), str(body["phase"]), int(body["code"]), str(body["text"])
    )
    return UnknownReply(key, int(body["count"]))
