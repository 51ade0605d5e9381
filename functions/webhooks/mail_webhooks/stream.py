"""Reads records of the mail table's stream (NEW_AND_OLD_IMAGES)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mailroom.adapters.names import is_history
from mailroom.domain.event import Event, load_event
from mailroom.usecases.publish import Change


@dataclass(frozen=True, slots=True)
class StreamRead:
    """What a batch holds; `malformed` names the records (sequence numbers) passed over."""

    changes: tuple[Change, ...]
    malformed: tuple[str, ...]


def read_stream(records: Iterable[Mapping[str, Any]]) -> StreamRead:
    """Return the changes that touched an item's event.

    Items without one (submissions), deletions and other updates yield nothing; nor does history,
    which is where published events end. Total: a record nobody can read must not stop the shard
    for all that come after it.
    """
    changes, malformed = [], []
    for record in records:
        try:
            change = _change(record["dynamodb"])
        except (KeyError, TypeError, ValueError):
            malformed.append(_name(record))
            continue
        if change is not None:
            changes.append(change)
    return StreamRead(tuple(changes), tuple(malformed))


def _change(images: Mapping[str, Any]) -> Change | None:
    image = images.get("NewImage", {})
    if is_history(image.get("sk", {}).get("S", "")):
        return None
    new = image.get("event")
    old = images.get("OldImage", {}).get("event")
    if new is None or new == old:
        return None
    return Change(before=_before(old), after=_event(new))


def _before(old: Mapping[str, Any] | None) -> Event | None:
    try:
        return _event(old) if old else None
    except (KeyError, TypeError, ValueError):
        return None  # what it was does not matter: the new one differs from it


def _event(attribute: Mapping[str, Any]) -> Event:
    return load_event(json.loads(attribute["S"]))


def _name(record: Any) -> str:
    try:
        return str(record["dynamodb"]["SequenceNumber"])[:50]
    except (KeyError, TypeError):
        return "?"
