"""Listening on all MX addresses at once, all on one port, and refusing who must be refused."""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from localstack.simulator.behaviours import BUSY_GREETING
from localstack.simulator.smtp import Connection, MxHost, World

MAX_CONNECTIONS = 1_000  # per host
BUSY_LINGER = 5.0  # seconds a refused client may take to read its 421

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MxHosts:
    """The running hosts. `port` is the same on all of them."""

    port: int
    servers: Sequence[asyncio.Server]
    handlers: Sequence[MxHost]

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        for server in self.servers:
            server.close()
        for handler in self.handlers:
            for connection in list(handler.open):
                if isinstance(connection.transport, asyncio.Transport):
                    connection.transport.abort()
        # Aborted transports tell their protocols in the next turns of the loop.
        for handler in self.handlers:
            await handler.idle.wait()


async def start_hosts(
    hosts: Sequence[str], busy: Sequence[str], port: int, world: World, tls: ssl.SSLContext
) -> MxHosts:
    """Listen on every address of `hosts`, all on `port` (0: one that is free on all of them).

    An address that is also in `busy` greets with 421. Raises OSError when one is not to be had.
    """
    for tries_left in reversed(range(20)):
        servers: list[asyncio.Server] = []
        handlers = [MxHost(host, world) for host in hosts if host not in busy]
        chosen = port
        try:
            for host in (host for host in hosts if host in busy):
                servers.append(await asyncio.start_server(_greet_busy, host, chosen))
                chosen = _port(servers[-1])
            for handler in handlers:
                servers.append(await _listen(handler, chosen, tls))
                chosen = _port(servers[-1])
        except OSError:
            for server in servers:
                server.close()
            if port or not tries_left:
                raise
        else:
            return MxHosts(chosen, servers, handlers)
    raise OSError("no port is free on all addresses")


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def _listen(handler: MxHost, port: int, tls: ssl.SSLContext) -> asyncio.Server:
    def connection() -> asyncio.Protocol:
        if len(handler.open) >= MAX_CONNECTIONS:
            return _Crowded()
        return Connection(handler, tls, f"[{handler.address}]")

    return await asyncio.get_running_loop().create_server(connection, handler.address, port)


class _Crowded(asyncio.Protocol):
    """The connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        stream.write(b"421 4.7.0 too many connections\r\n")
        stream.close()


async def _greet_busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet with 421 and close, leaving the client time to read it."""
    try:
        writer.write(f"{BUSY_GREETING}\r\n".encode())
        writer.write_eof()
        # Closing with unread input would reset the connection and could destroy the greeting.
        async with asyncio.timeout(BUSY_LINGER):
            while await reader.read(1024):
                pass
    except (OSError, TimeoutError):
        log.debug("a refused client did not wait")
    finally:
        writer.close()
