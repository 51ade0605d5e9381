"""Keeps sessions open and hands them out again: a new connection costs more than a message."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from egress.connecting import Timeouts, TlsPolicy
from egress.core.mx import MxAnswer
from egress.opening import NotOpened, Opener, OpenerSettings
from egress.remembered import Remembered
from egress.session import Session
from egress.source import Source
from mailroom.domain.relay import Relay
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.settings import PathSettings, TlsUse

__all__ = ["ConnectionPool", "PoolSettings", "Source"]


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How connections are used. Times in seconds; `connections` is per source and site.

    `authorities` is a PEM file of who may vouch for relays whose certificates are checked.
    """

    messages: int = 100
    connections: int = 20
    addresses: int = 5
    idle: float = 15.0
    age: float = 300.0
    connect_timeout: float = 30.0
    broken_tls: float = 86_400.0  # how long a failed STARTTLS is remembered
    refused_login: float = 60.0  # how long a relay is not asked again
    tls: TlsPolicy = TlsPolicy.OPPORTUNISTIC
    authorities: Path | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)


# A relay is part of the key: sessions are shared by nobody with another login or TLS policy.
_LaneKey = tuple[Source, str, Relay | None]


@dataclass(slots=True)
class _Kept:
    session: Session
    opened_at: float
    expiry: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class _Lane:
    """The connections from one source to one site; a slot is one that may be open and busy."""

    key: _LaneKey
    slots: asyncio.Semaphore
    users: int = 0  # with a slot or waiting for one
    idle: deque[_Kept] = field(default_factory=deque)


class ConnectionPool:
    """Sessions by source, site (the set of MX hosts, so domains share them) and relay."""

    def __init__(self, settings: PoolSettings, *, clock: Callable[[], float]) -> None:
        """Take a monotonic `clock` in seconds."""
        self._settings = settings
        self._clock = clock
        self._lanes: dict[_LaneKey, _Lane] = {}
        self._opener = Opener(
            OpenerSettings(settings.timeouts, settings.authorities, settings.refused_login),
            Remembered(settings.broken_tls, clock=clock),
            clock=clock,
        )
        self._path = PathSettings(
            addresses=settings.addresses,
            connect_timeout=settings.connect_timeout,
            tls=TlsUse(settings.tls.value),
        )
        self._closed = False

    @asynccontextmanager
    async def session(
        self, answer: MxAnswer, *, source: Source, fresh: bool = False
    ) -> AsyncIterator[Session | SmtpReply]:
        """Lend a session with one of `answer`'s targets, or give the reply that stands for none.

        Waits while the site has its full number of connections. A session that is still usable
        afterwards is kept; `fresh` asks for a new one
        and drops the idle ones: where one was `stale`, the others are too.
        """
        if answer.refusal is not None or not answer.targets:
            yield answer.refusal or SmtpReply(0, "no address to connect to", Phase.CONNECT)
            return
        key = (source, answer.site, answer.relay)
        lane = self._lanes.get(key)
        if lane is None:
            lane = _Lane(key, asyncio.Semaphore(self._settings.connections))
            self._lanes[key] = lane
        lane.users += 1
        try:
            async with lane.slots:
                if fresh:
                    self._dismiss(lane)
                kept = self._take_idle(lane)
                found = kept or await self._open(answer, source)
                if isinstance(found, SmtpReply):
                    yield found
                else:
                    try:
                        yield found.session
                    finally:
                        self._give_back(lane, found)
        finally:
            lane.users -= 1
            self._forget_if_empty(lane)

    async def close(self) -> None:
        """Say QUIT on every idle connection. Sessions still lent are closed when given back."""
        self._closed = True
        idle = [kept for lane in self._lanes.values() for kept in lane.idle]
        for lane in self._lanes.values():
            lane.idle.clear()
        for kept in idle:
            self._stop_waiting(kept)
        await asyncio.gather(*(kept.session.close() for kept in idle))

    @property
    def idle(self) -> int:
        """How many kept sessions wait for their next message."""
        return sum(len(lane.idle) for lane in self._lanes.values())

    def _take_idle(self, lane: _Lane) -> _Kept | None:
        while lane.idle:
            kept = lane.idle.pop()  # the one used last: the others may then age out
            self._stop_waiting(kept)
            if kept.session.usable and self._clock() - kept.opened_at < self._settings.age:
                return kept
            kept.session.farewell()
        return None

    def _give_back(self, lane: _Lane, kept: _Kept) -> None:
        worn = (
            self._closed
            or not kept.session.usable
            or kept.session.transactions >= self._settings.messages
            or self._clock() - kept.opened_at >= self._settings.age
        )
        if worn:
            kept.session.farewell()
            return
        loop = asyncio.get_running_loop()
        kept.expiry = loop.call_later(self._settings.idle, self._expire, lane, kept)
        lane.idle.append(kept)

    def _expire(self, lane: _Lane, kept: _Kept) -> None:
        lane.idle.remove(kept)
        kept.session.farewell()
        self._forget_if_empty(lane)

    def _dismiss(self, lane: _Lane) -> None:
        while lane.idle:
            kept = lane.idle.pop()
            self._stop_waiting(kept)
            kept.session.farewell()

    def _forget_if_empty(self, lane: _Lane) -> None:
        if not lane.users and not lane.idle:
            self._lanes.pop(lane.key, None)

    @staticmethod
    def _stop_waiting(kept: _Kept) -> None:
        if kept.expiry is not None:
            kept.expiry.cancel()
            kept.expiry = None

    async def _open(self, answer: MxAnswer, source: Source) -> _Kept | SmtpReply:
        opened = await self._opener.open(
            answer.targets, source=source, settings=self._path, relay=answer.relay
        )
        if isinstance(opened, NotOpened):
            return opened.reply
        return _Kept(opened.session, self._clock())
