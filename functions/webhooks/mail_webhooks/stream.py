"""Reads records of the mail table's stream (NEW_AND_OLD_IMAGES)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mailroom.adapters.names import SUBMISSION, is_history, is_server_fact
from mailroom.domain.event import Event, accepted, load_event
from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.domain.server_fact import load_fact
from mailroom.usecases.publish import Change


@dataclass(frozen=True, slots=True)
class StreamRead:
    """What a batch holds; `malformed` names the records (sequence numbers) passed over."""

    changes: tuple[Change, ...]
    malformed: tuple[str, ...]


def read_stream(records: Iterable[Mapping[str, Any]]) -> StreamRead:
    """Return the changes that tell something: a delivery's event, an acceptance, a server's fact.

    Deletions and other updates yield nothing; nor does history, which is where published events
    end. Total: a record nobody can read must not stop the shard for all that come after it.
    """
    changes, malformed = [], []
    for record in records:
        try:
            change = _change(record)
        except (KeyError, TypeError, ValueError, AttributeError):
            malformed.append(_name(record))
            continue
        if change is not None:
            changes.append(change)
    return StreamRead(tuple(changes), tuple(malformed))


def _change(record: Mapping[str, Any]) -> Change | None:
    images = record["dynamodb"]
    image = images.get("NewImage", {})
    sk = image.get("sk", {}).get("S", "")
    if is_history(sk):
        return None
    if sk == SUBMISSION or is_server_fact(sk):
        return _inserted(record, image, sk)
    new = image.get("event")
    old = images.get("OldImage", {}).get("event")
    if new is None or new == old:
        return None
    return Change(before=_before(old), after=_event(new))


def _inserted(record: Mapping[str, Any], image: Mapping[str, Any], sk: str) -> Change | None:
    """Return what a new row says by being there: an acceptance, or a fact of a server."""
    if record.get("eventName") != "INSERT":
        return None
    if is_server_fact(sk):
        return Change(before=None, after=load_fact(json.loads(image["fact"]["S"])))
    server, number = image["pk"]["S"].split("#")
    key = DeliveryKey(ServerId(server), int(number), 0)
    return Change(before=None, after=accepted(key, int(image["at"]["N"]) / 1000))


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
