"""Facts about deliveries, in the past tense, as they travel from table to webhook."""

from dataclasses import MISSING, asdict, dataclass, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any

from mailroom.domain.message import DeliveryKey, ServerId

SCHEMA = 1


class EventType(StrEnum):
    """What happened. Values are stored and sent; never rename them."""

    SENT = "sent"
    DEFERRED = "deferred"
    DELAYED = "delayed"  # the first deferral, or look, at which it had waited for hours
    BOUNCED = "bounced"
    EXPIRED = "expired"
    UNCERTAIN = "uncertain"
    OPENED = "opened"
    CLICKED = "clicked"
    HELD = "held"
    RELEASED = "released"
    CANCELLED = "cancelled"
    ACCEPTED = "accepted"  # of a whole submission; its delivery index is 0
    SUPPRESSED = "suppressed"
    COMPLAINED = "complained"
    RETRIED = "retried"  # a person asked for another attempt
    SCHEDULED = "scheduled"  # a person moved the time it is sent at


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """What one delivery attempt showed.

    `seconds` is how long the attempt took; `reply` the exact text with its code; `phase` the
    step it answered; `bounce` hard, soft or block; `details` one plain sentence. `category`,
    `rule` and `scope` are what the reply rules say of it (`sending/judgement.py`), `address` is
    the id of the source address, `site` the receiving site's key.
    """

    attempt: int
    details: str
    reply: str = ""
    code: int = 0
    phase: str = ""
    mx: str = ""
    tls: bool = False
    seconds: float = 0.0
    bounce: str | None = None
    final: bool = False
    log_id: str = ""
    category: str = ""
    rule: str = ""
    scope: str = ""
    address: str = ""
    site: str = ""
    tls_version: str = ""
    tls_cipher: str = ""


@dataclass(frozen=True, slots=True)
class ViewFacts:
    """What one open or click showed; `url` is empty for an open.

    `network` is the address cut to its network (IPv4 /24, IPv6 /48). `verdict` says who looked
    (`visit.py`), decided by rule set number `rules`; "" and 0 before anybody has judged. `ahead`
    says that the request called itself a prefetch. A privacy server leaves `ip_address` empty and
    of the user agent its family.
    """

    ip_address: str
    user_agent: str
    url: str = ""
    network: str = ""
    verdict: str = ""
    rules: int = 0
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One fact. `id` is natural for attempts (`<key>/<attempt>/<type>`), so repeats are seen.

    `at` is Unix seconds. An acceptance has neither `attempt` nor `view`, all others one of them.
    """

    id: str
    type: EventType
    key: DeliveryKey
    at: float
    attempt: AttemptFacts | None = None
    view: ViewFacts | None = None


def accepted(first: DeliveryKey, at: float) -> Event:
    """Return the acceptance of a submission, told of its `first` delivery."""
    return Event(f"{first}/{EventType.ACCEPTED}", EventType.ACCEPTED, first, at)


def dump_event(event: Event) -> dict[str, Any]:
    """Return `event` as JSON-ready values; `load_event` reads them back."""
    return {
        "v": SCHEMA,
        "id": event.id,
        "type": str(event.type),
        "server": event.key.server,
        "number": event.key.number,
        "index": event.key.index,
        "at": event.at,
        **({"attempt": _dump_attempt(event.attempt)} if event.attempt else {}),
        **({"view": asdict(event.view)} if event.view else {}),
    }


# Written only where there is something to say: events are stored three times.
_SPARSE = ("category", "rule", "scope", "address", "site", "tls_version", "tls_cipher")


_ATTEMPT_NAMES = tuple(each.name for each in fields(AttemptFacts))
_attempt_values = attrgetter(*_ATTEMPT_NAMES)  # asdict() copies each value by many calls


def _dump_attempt(seen: AttemptFacts) -> dict[str, Any]:
    found = dict(zip(_ATTEMPT_NAMES, _attempt_values(seen), strict=True))
    for name in _SPARSE:
        if not found[name]:
            del found[name]
    return found


def load_event(stored: dict[str, Any]) -> Event:
    """Read what `dump_event` wrote.

    Unknown fields are ignored, so an older reader survives a newer writer. Raises ValueError
    for an event of a schema this code does not know, KeyError for a missing field.
    """
    if stored["v"] != SCHEMA:
        raise ValueError(f"event schema {stored['v']} is not known here")
    attempt, view = stored.get("attempt"), stored.get("view")
    return Event(
        id=stored["id"],
        type=EventType(stored["type"]),
        key=DeliveryKey(ServerId(stored["server"]), int(stored["number"]), int(stored["index"])),
        at=float(stored["at"]),
        attempt=AttemptFacts(**_known(attempt, AttemptFacts)) if attempt else None,
        view=ViewFacts(**_known(view, ViewFacts)) if view else None,
    )


def _known(stored: dict[str, Any], shape: "type[AttemptFacts] | type[ViewFacts]") -> dict[str, Any]:
    return {
        field.name: stored[field.name]
        for field in fields(shape)
        if field.name in stored or field.default is MISSING
    }
