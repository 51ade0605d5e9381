"""Listening on all MX addresses at once, all on one port, and refusing who must be refused."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from localstack.simulator.behaviours import BUSY_GREETING
from localstack.simulator.connection import Connection
from localstack.simulator.profiles import PROFILES, Certificate, HostProfile
from localstack.simulator.smtp import MxHost, World
from localstack.zones import IPV6_ADDRESS, RECIPIENT_DOMAIN, profile_hosts

MAX_CONNECTIONS = 1_000  # per host
BUSY_LINGER = 5.0  # seconds a refused client may take to read its 421

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpecialHost:
    """A host of the table of hosts, and the TLS context with its certificate."""

    address: str
    profile: HostProfile
    tls: ssl.SSLContext


def special_hosts(
    tls: Mapping[Certificate, ssl.SSLContext], mx_base: str = "127.0.0."
) -> list[SpecialHost]:
    """Return every host of the table of hosts, to be given to `start_hosts`."""
    known = profile_hosts(mx_base)
    return [
        SpecialHost(known[f"{profile.host}.{RECIPIENT_DOMAIN}"], profile, tls[profile.certificate])
        for profile in PROFILES
    ]


def has_ipv6() -> bool:
    """Whether a host can listen on `::1` here: containers often have no IPv6."""
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind((IPV6_ADDRESS, 0))
    except OSError:
        return False
    return True


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
    hosts: Sequence[str],
    busy: Sequence[str],
    port: int,
    world: World,
    tls: ssl.SSLContext,
    special: Sequence[SpecialHost] = (),
) -> MxHosts:
    """Listen on every address of `hosts` and of `special`, all on `port` (0: one that is free on
    all of them).

    An address that is also in `busy` greets with 421. Raises OSError when one is not to be had.
    """
    for tries_left in reversed(range(20)):
        servers: list[asyncio.Server] = []
        ordinary = [(MxHost(host, world), tls) for host in hosts if host not in busy]
        extra = [(MxHost(each.address, world, each.profile), each.tls) for each in special]
        chosen = port
        try:
            for host in (host for host in hosts if host in busy):
                servers.append(await asyncio.start_server(_greet_busy, host, chosen))
                chosen = _port(servers[-1])
            for handler, context in ordinary + extra:
                servers.append(await _listen(handler, chosen, context))
                chosen = _port(servers[-1])
        except OSError:
            for server in servers:
                server.close()
            if port or not tries_left:
                raise
        else:
            return MxHosts(chosen, servers, [handler for handler, _ in ordinary + extra])
    raise OSError("no port is free on all addresses")


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


async def _listen(handler: MxHost, port: int, tls: ssl.SSLContext) -> asyncio.Server:
    def connection() -> asyncio.Protocol:
        if len(handler.open) >= MAX_CONNECTIONS:
            return _Crowded()
        return Connection(handler, tls, f"[{handler.address}]")

    return await asyncio.get_running_loop().create_server(
        connection, handler.address, port, ssl=tls if handler.profile.implicit_tls else None
    )


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
