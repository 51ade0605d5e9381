"""Listens, and stops without cutting off a message that is on its way."""

import asyncio
import logging
from collections.abc import Sequence

from egress.core.smtp_answer import SHUTTING_DOWN
from egress.submission.office import Office
from egress.submission.session import SubmissionSession

log = logging.getLogger(__name__)

_BACKLOG = 512
_FAREWELL = 2.0  # seconds for the last words to leave


class SubmissionServer:
    """The listeners of one process and the sessions they led to."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._listeners: list[asyncio.Server] = []

    @property
    def ports(self) -> list[int]:
        """The ports listened on, in the order given and without repeats."""
        ports = (sock.getsockname()[1] for server in self._listeners for sock in server.sockets)
        return list(dict.fromkeys(ports))

    async def start(self, hosts: Sequence[str], ports: Sequence[int]) -> None:
        """Listen on every host and port. Raises OSError, listening on none, if one is taken."""
        loop = asyncio.get_running_loop()
        try:
            for port in ports:
                for host in hosts:
                    self._listeners.append(
                        await loop.create_server(
                            lambda: SubmissionSession(self._office), host, port, backlog=_BACKLOG
                        )
                    )
        except OSError:
            self._close()
            raise

    async def stop(self, grace: float) -> None:
        """Take no more connections, let messages on their way in finish, then hang up.

        Sessions that wait for a command are told 421 at once, those with a message after it or
        after `grace` seconds. Whoever is told 421 behind DATA has not been promised anything.
        """
        self._office.closing = True
        self._close()
        for session in tuple(self._office.sessions):
            session.drain()
        await self._wait(grace)
        left = tuple(self._office.sessions)
        for session in left:
            session.end(SHUTTING_DOWN)
        await self._wait(_FAREWELL)
        await self._office.acceptance.settle(_FAREWELL)
        log.info("stopped", extra={"cut_off": len(left)})

    def _close(self) -> None:
        for listener in self._listeners:
            listener.close()

    async def _wait(self, seconds: float) -> None:
        """Wait until all sessions are over, but no longer than `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while self._office.sessions:
                    self._office.left.clear()
                    await self._office.left.wait()
        except TimeoutError:
            pass
