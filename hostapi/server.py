"""The whole server: listeners, connections, requests; and its end."""

import logging
import ssl
from collections.abc import Sequence

from hostapi.connection import HttpServer
from hostapi.counter import Counter, Setting
from hostapi.doorstep import Doorstep

log = logging.getLogger(__name__)

_FAREWELL = 2.0  # seconds for what is cut off to end


class HostApi:
    """Serves the app over HTTPS. To be made within a running event loop."""

    def __init__(self, setting: Setting, context: ssl.SSLContext) -> None:
        self._setting = setting
        self.counter = Counter(setting)
        self._server = HttpServer(self.counter.serve, setting.limits)
        self._doorstep = Doorstep(self._server, context, setting.limits, setting.proxies)
        self.ports: list[int] = []

    async def start(self, hosts: Sequence[str], ports: Sequence[int]) -> None:
        """Listen on every host and port. Raises OSError, listening on none, if one is taken."""
        try:
            for host in hosts:
                for port in ports:
                    self.ports.append(await self._doorstep.listen(host, port))
        except OSError:
            await self._doorstep.close()
            raise

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._doorstep.connections

    def use_certificate(self, context: ssl.SSLContext) -> None:
        """Do the handshakes of new connections with `context`; open ones keep theirs."""
        self._doorstep.context = context

    async def stop(self, grace: float) -> None:
        """Take no more connections, let requests under way finish, then hang up.

        Requests whose body is still on its way in have `grace` seconds as well. Whoever is cut off
        has not been promised anything.
        """
        await self._doorstep.close()
        for connection in self._server.connections:
            if connection not in self.counter.busy:
                connection.force_close()
        await self.counter.stop(grace)
        cut_off = len(self.counter.busy)
        await self._server.shutdown(_FAREWELL)
        self._setting.desk.close()
        log.info("stopped", extra={"cut_off": cut_off})
