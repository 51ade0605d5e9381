"""Answer for a tracking token: where the link leads, and the event that it was followed.

Nothing is read per request: the token carries its meaning and its proof.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from mailroom.domain.event import Event, EventType, ViewFacts
from mailroom.domain.message import DeliveryKey
from mailroom.domain.tracking_token import (
    Clicked,
    Opened,
    TrackingKey,
    read_token,
    redirect_location,
)
from mailroom.errors import HandOverError
from mailroom.ports import Chance, Clock, Facts

MAX_USER_AGENT = 500


@dataclass(frozen=True, slots=True)
class Trust:
    """What tokens are judged by: the keys, and whose tracking is switched off."""

    keys: Mapping[str, TrackingKey]
    servers: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks. `counts` is False for HEAD and prefetch: nobody has looked yet."""

    ip_address: str
    user_agent: str
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Followed:
    """A genuine token's answer: `location` (ASCII) for a click, empty for an open.

    `lost` says that its event could not be published; the reader is served all the same.
    """

    location: str
    event: Event | None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class TrackPorts:
    """The world `track` needs. `trust` answers from memory, at most 60 seconds old."""

    trust: Callable[[], Trust]
    facts: Facts
    clock: Clock
    chance: Chance


def track_click(token: str, visit: Visit, ports: TrackPorts) -> Followed | None:
    """Return where the link leads, or None for what is no token of ours or is blocked."""
    trust = ports.trust()
    found = read_token(token, trust.keys)
    if not isinstance(found, Clicked) or found.server in trust.servers:
        return None
    location = redirect_location(found.url)
    if _is_blocked(location, trust.hosts):
        return None
    return _followed(EventType.CLICKED, found, location, visit, ports)


def track_open(token: str, visit: Visit, ports: TrackPorts) -> Followed | None:
    """Return the answer for a pixel, or None for what is no token of ours or is blocked."""
    trust = ports.trust()
    found = read_token(token, trust.keys)
    if not isinstance(found, Opened) or found.server in trust.servers:
        return None
    return _followed(EventType.OPENED, found, "", visit, ports)


def _followed(
    type_: EventType, found: Clicked | Opened, location: str, visit: Visit, ports: TrackPorts
) -> Followed:
    if not visit.counts:
        return Followed(location, None)
    key = DeliveryKey(found.server, found.number, found.index)
    url = found.url if isinstance(found, Clicked) else ""
    event = Event(
        id=f"{key}/{type_}/{ports.chance.bits(96):024x}",
        type=type_,
        key=key,
        at=round(ports.clock.now(), 3),
        view=ViewFacts(visit.ip_address, visit.user_agent[:MAX_USER_AGENT], url),
    )
    try:
        ports.facts.publish([event])
    except HandOverError:
        return Followed(location, event, lost=True)
    return Followed(location, event)


def _is_blocked(location: str, hosts: frozenset[str]) -> bool:
    """Say whether the host of `location` or a domain above it is in `hosts`."""
    if not hosts:
        return False
    labels = _host(location).split(".")
    return any(".".join(labels[start:]) in hosts for start in range(len(labels)))


def _host(location: str) -> str:
    # As browsers read a host: percent escapes decoded, compatibility forms folded, then IDNA.
    try:
        host = urlsplit(location).hostname or ""
    except ValueError:
        host = ""
    name = unicodedata.normalize("NFKC", unquote(host)).lower().rstrip(".")
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError:
        return name
