"""The listeners: who may connect at all, then TLS, then HTTP."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Sequence

from aiohttp.web_protocol import RequestHandler

from egress.submission.host import Network
from hostapi.client import is_proxy
from hostapi.connection import HttpServer
from hostapi.limits import HttpLimits, Shares

log = logging.getLogger(__name__)

BACKLOG = 512
_PAUSE = 1.0  # seconds, when there are no descriptors left
_SHUTDOWN_SECONDS = 5.0  # how long a close waits for the peer's own


class Doorstep:
    """Accepts connections for `server`. Load balancers of ours have no share of their own to use
    up: behind one address of theirs stand all clients.
    """

    def __init__(
        self,
        server: HttpServer,
        context: ssl.SSLContext,
        limits: HttpLimits,
        proxies: Sequence[Network],
    ) -> None:
        self.context = context  # new handshakes use what stands here
        self._server = server
        self._limits = limits
        self._proxies = proxies
        self._shares = Shares(limits.connections, limits.connections_per_client)
        self._sockets: list[socket.socket] = []
        self._doors: list[asyncio.Task[None]] = []
        self._callers: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._shares.taken

    async def listen(self, host: str, port: int) -> int:
        """Listen; return the port. Raises OSError if it is taken."""
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, address in dict.fromkeys((each[0], each[4]) for each in found):
            door = socket.create_server(address[:2], family=family, backlog=BACKLOG)
            door.setblocking(False)  # noqa: FBT003 - its only parameter
            self._sockets.append(door)
            self._doors.append(asyncio.create_task(self._accept(door), name="door"))
        return int(self._sockets[-1].getsockname()[1])

    async def close(self) -> None:
        """Take no more connections, and let go those that are still shaking hands."""
        tasks = (*self._doors, *self._callers)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for door in self._sockets:
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
            client = "" if is_proxy(address[0], self._proxies) else address[0]
            if not self._shares.take(client):
                caller.close()  # a handshake costs more than a refusal is worth
                continue
            task = asyncio.create_task(self._receive(caller, client), name="caller")
            self._callers.add(task)
            task.add_done_callback(self._callers.discard)

    async def _receive(self, caller: socket.socket, client: str) -> None:
        try:
            connection = await self._connected(caller)
        except OSError as error:
            self._shares.give_back(client)
            caller.close()
            log.info("no session", extra={"client": client, "ended": type(error).__name__})
        except BaseException:
            self._shares.give_back(client)
            # Closing a connection within its handshake waits for the client; it need not.
            with contextlib.suppress(OSError):
                caller.shutdown(socket.SHUT_RDWR)
            caller.close()
            raise
        else:
            self._server.when_lost(connection, lambda: self._shares.give_back(client))

    async def _connected(self, caller: socket.socket) -> RequestHandler:
        connection = self._server()  # uvloop does not give back what it got from a factory
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: connection,
            caller,
            ssl=self.context,
            ssl_handshake_timeout=self._limits.handshake_time,
            ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        return connection
