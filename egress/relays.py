"""Which way a server's mail for a domain goes: by a relay of its own, the platform's, or by MX."""

import asyncio
from collections.abc import Callable, Mapping

from egress.core.mx import MxAnswer, a_label
from egress.core.routes import Routes
from egress.resolver import MxResolver
from mailroom.domain.message import ServerId
from mailroom.domain.relay import Direct, Target

PLATFORM = "platform"
FRESH_SECONDS = 60.0
_MAX_KEPT = 10_000

ReadRoutes = Callable[[str], Mapping[str, Target]]  # by owner: "platform" or "server#<id>"


class KeptRoutes:
    """Each owner's routes, read from the directory at most once in 60 seconds.

    Reading happens in a thread, once for all who ask at the same time. Its exceptions go to
    them, because mail that a route was made for must not go another way meanwhile.
    """

    def __init__(
        self, read: ReadRoutes, *, clock: Callable[[], float], host: Routes | None = None
    ) -> None:
        """Take a monotonic `clock` in seconds.

        `host` are the routes in this host's own settings: where they have the same pattern as
        one of the platform's, they win.
        """
        self._read = read
        self._clock = clock
        self._host = host or Routes()
        self._kept: dict[str, tuple[float, Routes]] = {}
        self._reading: dict[str, asyncio.Task[Routes]] = {}

    async def of(self, owner: str) -> Routes:
        """Return the routes of `owner`."""
        kept = self._kept.get(owner)
        if kept and self._clock() - kept[0] < FRESH_SECONDS:
            return kept[1]
        reading = self._reading.get(owner)
        if reading is None:
            reading = asyncio.create_task(self._fresh(owner), name=f"routes-{owner}")
            self._reading[owner] = reading
            reading.add_done_callback(lambda _: self._reading.pop(owner, None))
        return await asyncio.shield(reading)

    async def _fresh(self, owner: str) -> Routes:
        found = await asyncio.to_thread(self._read, owner)
        routes = Routes({**found, **self._host.targets} if owner == PLATFORM else found)
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        self._kept[owner] = (self._clock(), routes)
        return routes


class Router:
    """Answers where to connect, by the server's routes, then the platform's, then by MX."""

    def __init__(self, resolver: MxResolver, routes: KeptRoutes) -> None:
        self._resolver = resolver
        self._routes = routes

    async def hosts(self, server: ServerId, domain: str) -> MxAnswer:
        """Return the targets for mail of `server` to `domain`, or the refusal that stands for it.

        A server's relay may not be at a private address, unless the host's settings allow that
        network; the platform's may. Raises what reading the routes raises.
        """
        try:
            name = a_label(domain)
        except ValueError:
            return await self._resolver.hosts(domain)  # refuses it
        for owner in (f"server#{server}", PLATFORM):
            target = await self._target(await self._routes.of(owner), name)
            if isinstance(target, MxAnswer):
                return target
            if isinstance(target, Direct):
                break
            if target:
                return await self._resolver.relay(target, trusted=owner == PLATFORM)
        return await self._resolver.hosts(domain)

    async def _target(self, routes: Routes, domain: str) -> Target | MxAnswer | None:
        found = routes.by_name(domain)
        if found is None and routes.asks_for_sites:
            direct = await self._resolver.hosts(domain)
            if direct.refusal and direct.refusal.code < 500 and not direct.best:
                return direct  # the site is not known, and with it the way
            found = routes.by_site(direct.best)
        return found or routes.everything
