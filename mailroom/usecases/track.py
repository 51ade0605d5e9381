"""Answer for a tracking token: where the link leads, and the event that it was followed.

Nothing is read per request: the token carries its meaning and its proof. Nothing leaves this
process either that the server's privacy setting keeps back: the verdict is made and the address
cut before the event is published.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from mailroom.domain.event import Event, EventType, ViewFacts
from mailroom.domain.message import DeliveryKey, drawn_at
from mailroom.domain.tracking_token import (
    Clicked,
    Opened,
    TrackingKey,
    read_token,
    redirect_location,
)
from mailroom.domain.visit import judged, network_of, reduced
from mailroom.errors import HandOverError
from mailroom.ports import Chance, Clock, Facts

MAX_USER_AGENT = 500


@dataclass(frozen=True, slots=True)
class Trust:
    """What requests are judged by: the keys, whose tracking is switched off, whose is private."""

    keys: Mapping[str, TrackingKey]
    servers: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    private: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks. `head`: with HEAD, which is no hit; `ahead`: the request says it is a prefetch."""

    ip_address: str
    user_agent: str
    head: bool = False
    ahead: bool = False


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
    if is_blocked(location, trust.hosts):
        return None
    return _followed(found, location, visit, trust, ports)


def track_open(token: str, visit: Visit, ports: TrackPorts) -> Followed | None:
    """Return the answer for a pixel, or None for what is no token of ours or is blocked."""
    trust = ports.trust()
    found = read_token(token, trust.keys)
    if not isinstance(found, Opened) or found.server in trust.servers:
        return None
    return _followed(found, "", visit, trust, ports)


def _followed(
    found: Clicked | Opened, location: str, visit: Visit, trust: Trust, ports: TrackPorts
) -> Followed:
    if visit.head:
        return Followed(location, None)
    event = _event(found, visit, trust, ports)
    try:
        ports.facts.publish([event])
    except HandOverError:
        return Followed(location, event, lost=True)
    return Followed(location, event)


def _event(found: Clicked | Opened, visit: Visit, trust: Trust, ports: TrackPorts) -> Event:
    """Return the judged event of a hit; the verdict sees what a private server does not keep."""
    type_ = EventType.CLICKED if isinstance(found, Clicked) else EventType.OPENED
    key = DeliveryKey(found.server, found.number, found.index)
    seen = ViewFacts(
        ip_address=visit.ip_address,
        user_agent=visit.user_agent[:MAX_USER_AGENT],
        url=found.url if isinstance(found, Clicked) else "",
        network=network_of(visit.ip_address),
        ahead=visit.ahead,
    )
    at = round(ports.clock.now(), 3)
    view = judged(seen, age=at - drawn_at(key.number))
    return Event(
        id=f"{key}/{type_}/{ports.chance.bits(96):024x}",
        type=type_,
        key=key,
        at=at,
        view=reduced(view, privacy=key.server in trust.private),
    )


def is_blocked(location: str, hosts: frozenset[str]) -> bool:
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
