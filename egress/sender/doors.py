"""Connections for the dispatcher: from the address of a path to the hosts of a line."""

from collections import Counter

from egress.core.engine.engine import Engine
from egress.core.engine.work import Connection
from egress.core.mx import MxTarget
from egress.opening import NotOpened, Opened, Opener
from egress.sender.carrier import Way
from egress.sender.dispatch import Doors
from egress.session import Session
from egress.source import Source
from mailroom.domain.sending.source import HOST_POOL, SourceAddress


def source_of(address: SourceAddress) -> Source:
    """Return what a socket is bound to and greets with for a source address.

    One of IPv6 alone reaches no IPv4: else the system would choose an address that is not ours to
    send from. For the address in a host's own settings it may choose.
    """
    chosen = bool(address.binding) or not address.ipv6 or address.pool == HOST_POOL
    return Source(
        address.ehlo_name,
        address.binding or None,
        address.ipv6 or None,
        ipv4=chosen,
        public=address.ipv4,
        public6=address.ipv6,
    )


class PathDoors:
    """Opens by way of an Opener, and counts how many connections each remote address has."""

    def __init__(self, opener: Opener, engine: Engine) -> None:
        self._opener = opener
        self._engine = engine
        self._places: Counter[tuple[str, str, int]] = Counter()

    @property
    def doors(self) -> Doors:
        """What a dispatcher takes."""
        return Doors(self.open, self.may_carry, self.closed)

    async def open(self, connection: Connection, way: Way) -> Opened | NotOpened:
        """See Doors.open."""
        path = self._engine.path_of(connection.path)
        return await self._opener.open(
            way.answer.targets,
            source=source_of(path.source),
            settings=path.settings,
            policy=way.policy,
            domain="" if way.answer.relay else way.domain,
            relay=way.answer.relay,
            doorman=_Doorman(self._places, path.source.id, path.settings.host_connections),
        )

    def may_carry(self, session: Session, connection: Connection, way: Way) -> bool:
        """See Doors.may_carry."""
        if way.answer.relay:
            return True
        path = self._engine.path_of(connection.path)
        return self._opener.may_carry(
            session, settings=path.settings, policy=way.policy, domain=way.domain
        )

    def closed(self, session: Session, connection: Connection) -> None:
        """Give the place of a session back."""
        target = session.target
        _leave(self._places, (connection.path.address, target.address, target.port))


class _Doorman:
    """See opening.Doorman: places from one source address."""

    def __init__(self, places: Counter[tuple[str, str, int]], source: str, most: int) -> None:
        self._places = places
        self._source = source
        self._most = most

    def enter(self, target: MxTarget, /) -> bool:
        """See Doorman.enter."""
        place = (self._source, target.address, target.port)
        if self._places[place] >= self._most:
            return False
        self._places[place] += 1
        return True

    def leave(self, target: MxTarget, /) -> None:
        """See Doorman.leave."""
        _leave(self._places, (self._source, target.address, target.port))


def _leave(places: Counter[tuple[str, str, int]], place: tuple[str, str, int]) -> None:
    places[place] -= 1
    if places[place] <= 0:
        del places[place]
