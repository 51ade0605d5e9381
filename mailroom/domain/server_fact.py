"""Facts about a whole server rather than one delivery: limits, brakes, DNS of its domains.

They travel the way of events, from a table row through its stream and the topic to the webhooks,
under the name a webhook chooses them by.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mailroom.domain.event import Event, dump_event, load_event
from mailroom.domain.message import ServerId

SCHEMA = 1
KIND = "server"


@dataclass(frozen=True, slots=True)
class ServerFact:
    """One fact of a server. `id` is natural, so that telling it twice is telling it once.

    `name` is the webhook event (`SendLimitExceeded`); `at` Unix seconds; `payload` JSON-ready, what
    the webhook says beside `server`.
    """

    id: str
    name: str
    server: ServerId
    at: float
    payload: Mapping[str, Any] = field(default_factory=dict)


Fact = Event | ServerFact


def dump_fact(fact: Fact) -> dict[str, Any]:
    """Return a fact of either kind as JSON-ready values; `load_fact` reads them back."""
    if isinstance(fact, Event):
        return dump_event(fact)
    return {
        "v": SCHEMA,
        "fact": KIND,
        "id": fact.id,
        "name": fact.name,
        "server": fact.server,
        "at": fact.at,
        "payload": dict(fact.payload),
    }


def load_fact(stored: dict[str, Any]) -> Fact:
    """Read what `dump_fact` wrote.

    Raises ValueError for a schema this code does not know, KeyError for a missing field.
    """
    if stored.get("fact") != KIND:
        return load_event(stored)
    if stored["v"] != SCHEMA:
        raise ValueError(f"server fact schema {stored['v']} is not known here")
    return ServerFact(
        id=str(stored["id"]),
        name=str(stored["name"]),
        server=ServerId(stored["server"]),
        at=float(stored["at"]),
        payload=dict(stored["payload"]),
    )
