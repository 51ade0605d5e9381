"""What comes before a session: the PROXY header of a balancer, and TLS from the first octet.

asyncio's servers hand a connection over with octets already read, which then cannot be given to
a TLS handshake. So these listeners accept on their own and read a header to its last octet and
no further. Ports that need neither use asyncio's.
"""

import asyncio
import contextlib
import logging
import socket
from ipaddress import ip_address
from typing import Self

from egress.core.smtp_answer import BAD_PROXY_HEADER
from egress.core.smtp_proxy import MalformedProxyHeaderError, ProxyHeader
from egress.submission.office import Office
from egress.submission.session import Caller, SubmissionSession
from egress.submission.tls import SHUTDOWN_SECONDS

log = logging.getLogger(__name__)

BACKLOG = 512
_SPARE = 64  # connections beyond the limit that are still told 421
_PAUSE = 1.0  # seconds, when there are no descriptors left
_FAREWELL = 1.0


class Doorstep:
    """The listeners of one port; with `implicit_tls` the handshake comes first (RFC 8314)."""

    def __init__(self, office: Office, sockets: list[socket.socket], *, implicit_tls: bool) -> None:
        self.sockets = tuple(sockets)
        self._office = office
        self._implicit_tls = implicit_tls
        self._callers: set[asyncio.Task[None]] = set()
        self._doors = [asyncio.create_task(self._accept(each), name="door") for each in sockets]

    @classmethod
    async def open(cls, office: Office, host: str, port: int, *, implicit_tls: bool) -> Self:
        """Listen. Raises OSError if the port is taken."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        sockets: list[socket.socket] = []
        try:
            for family, address in dict.fromkeys((each[0], each[4]) for each in found):
                bound = socket.create_server(address[:2], family=family, backlog=BACKLOG)
                bound.setblocking(False)  # noqa: FBT003 - its only parameter
                sockets.append(bound)
        except OSError:
            for each in sockets:
                each.close()
            raise
        return cls(office, sockets, implicit_tls=implicit_tls)

    def close(self) -> None:
        """Take no more connections, and let those go that have no session yet."""
        for task in (*self._doors, *self._callers):
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until `close` has done its work."""
        await asyncio.gather(*self._doors, *self._callers, return_exceptions=True)
        for door in self.sockets:
            door.close()

    async def _accept(self, door: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                caller, address = await loop.sock_accept(door)
            except OSError:
                log.exception("cannot accept")
                await asyncio.sleep(_PAUSE)
                continue
            if len(self._callers) >= self._office.limits.connections + _SPARE:
                caller.close()
                continue
            task = asyncio.create_task(self._receive(caller, address[0]), name="caller")
            self._callers.add(task)
            task.add_done_callback(self._callers.discard)

    async def _receive(self, connection: socket.socket, address: str) -> None:
        try:
            source = await self._source(connection, address)
        except BaseException:
            connection.close()
            raise
        if source is None:
            connection.close()
        else:
            await self._serve(connection, source)

    async def _source(self, connection: socket.socket, address: str) -> str | None:
        """Return who connected, or None if that is not to be found out."""
        try:
            async with asyncio.timeout(self._office.limits.proxy_time):
                return await self._announced(connection, address)
        except (MalformedProxyHeaderError, OSError) as error:
            log.info("no session", extra={"client": address, "ended": f"PROXY header: {error}"})
            if isinstance(error, MalformedProxyHeaderError):
                await _refuse(connection)
            return None

    async def _announced(self, connection: socket.socket, address: str) -> str:
        """Return who connected: by the PROXY header if the address is a balancer's of ours."""
        peer = ip_address(address.partition("%")[0])
        if not any(peer in network for network in self._office.proxies):
            return address
        loop, header = asyncio.get_running_loop(), ProxyHeader()
        while header.wanted:
            octets = await loop.sock_recv(connection, header.wanted)
            if not octets:
                raise ConnectionResetError("the connection ended")
            header.feed(octets)
        return header.source or address

    async def _serve(self, connection: socket.socket, address: str) -> None:
        """Run a session to its end."""
        admitted = self._office.admission.enter(address)
        try:
            if self._implicit_tls and not admitted:
                connection.close()  # a handshake costs more than a refusal is worth
                return
            caller = Caller(address, admitted=admitted, secure=self._implicit_tls)
            session = SubmissionSession(self._office, caller)
            try:
                await self._connect(session, connection)
            except OSError as error:
                reason = f"TLS handshake failed: {type(error).__name__}"
                log.info("no session", extra={"client": address, "ended": reason})
                return
            except asyncio.CancelledError:
                # Closing a connection within its handshake waits for the client; it need not.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                raise
            await session.over
        finally:
            if admitted:
                self._office.admission.leave(address)

    async def _connect(self, session: SubmissionSession, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if not self._implicit_tls:
            await loop.connect_accepted_socket(lambda: session, connection)
            return
        await loop.connect_accepted_socket(
            lambda: session,
            connection,
            ssl=self._office.tls,
            ssl_handshake_timeout=self._office.limits.handshake_time,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
        )


async def _refuse(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_FAREWELL):
            await loop.sock_sendall(connection, BAD_PROXY_HEADER.encode())
            connection.shutdown(socket.SHUT_WR)
            # Unread octets would turn the close into a reset, which destroys the reply.
            await loop.sock_recv(connection, 65_536)
    except OSError:
        pass
