"""Listens, and stops without cutting off a message that is on its way."""

import asyncio
import logging
import ssl
from collections.abc import Sequence

from egress.core.smtp_answer import SHUTTING_DOWN
from egress.submission.doorstep import BACKLOG, Doorstep
from egress.submission.office import Office
from egress.submission.session import SubmissionSession

log = logging.getLogger(__name__)

_FAREWELL = 2.0  # seconds for the last words to leave


class SubmissionServer:
    """The listeners of one process and the sessions they led to."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._listeners: list[asyncio.Server] = []
        self._doorsteps: list[Doorstep] = []
        self._ports: list[int] = []
        self._tls_ports: list[int] = []

    @property
    def ports(self) -> list[int]:
        """The ports that begin in clear, in the order given and without repeats."""
        return list(dict.fromkeys(self._ports))

    @property
    def tls_ports(self) -> list[int]:
        """The ports that begin with TLS, likewise."""
        return list(dict.fromkeys(self._tls_ports))

    async def start(
        self, hosts: Sequence[str], ports: Sequence[int], tls_ports: Sequence[int] = ()
    ) -> None:
        """Listen on every host and port. Raises OSError, listening on none, if one is taken."""
        try:
            for host in hosts:
                for port in ports:
                    self._ports += await self._listen(host, port)
                for port in tls_ports:
                    self._tls_ports += await self._listen_on_doorstep(host, port, tls=True)
        except OSError:
            await self._close()
            raise

    def use_certificate(self, context: ssl.SSLContext) -> None:
        """Do the handshakes of new connections with `context`; open ones keep theirs."""
        self._office.tls = context

    async def stop(self, grace: float) -> None:
        """Take no more connections, let messages on their way in finish, then hang up.

        Sessions that wait for a command are told 421 at once, those with a message after it or
        after `grace` seconds. Whoever is told 421 behind DATA has not been promised anything.
        """
        self._office.closing = True
        await self._close()
        for session in tuple(self._office.sessions):
            session.drain()
        await self._wait(grace)
        left = tuple(self._office.sessions)
        for session in left:
            session.end(SHUTTING_DOWN)
        await self._wait(_FAREWELL)
        await self._office.acceptance.settle(_FAREWELL)
        log.info("stopped", extra={"cut_off": len(left)})

    async def _listen(self, host: str, port: int) -> list[int]:
        if self._office.proxies:
            return await self._listen_on_doorstep(host, port, tls=False)
        server = await asyncio.get_running_loop().create_server(
            lambda: SubmissionSession(self._office), host, port, backlog=BACKLOG
        )
        self._listeners.append(server)
        return [each.getsockname()[1] for each in server.sockets]

    async def _listen_on_doorstep(self, host: str, port: int, *, tls: bool) -> list[int]:
        doorstep = await Doorstep.open(self._office, host, port, implicit_tls=tls)
        self._doorsteps.append(doorstep)
        return [each.getsockname()[1] for each in doorstep.sockets]

    async def _close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for doorstep in self._doorsteps:
            doorstep.close()
        for doorstep in self._doorsteps:
            await doorstep.wait_closed()
        self._ports, self._tls_ports = [], []

    async def _wait(self, seconds: float) -> None:
        """Wait until all sessions are over, but no longer than `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while self._office.sessions:
                    self._office.left.clear()
                    await self._office.left.wait()
        except TimeoutError:
            pass
