"""The HTTP side of the DNS server: tests set and remove names while it runs.

Listens on 127.0.0.1 and nowhere else, and answers only those who ask for it by a loopback name,
so that no web page can get at it through a name of its own.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from localstack.dns_zone import ZoneError
from localstack.zone_overlay import Overlay

HOST = "127.0.0.1"
MAX_BODY = 1024 * 1024

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class ZoneApi:
    """The running API; `port` is the one it got."""

    port: int
    runner: web.AppRunner

    async def stop(self) -> None:
        """Stop listening."""
        await self.runner.cleanup()


@dataclass(frozen=True, slots=True)
class _Routes:
    overlay: Overlay

    async def put(self, request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(reason="send application/json")
        try:
            document = await request.json()
        except (ValueError, RecursionError) as error:
            raise web.HTTPBadRequest(reason="the body is not JSON") from error
        return web.json_response(self.overlay.put(request.match_info["name"], document))

    async def show(self, request: web.Request) -> web.Response:
        return _found(self.overlay.show(request.match_info["name"]))

    async def show_all(self, _: web.Request) -> web.Response:
        return web.json_response({"names": self.overlay.all()})

    async def remove(self, request: web.Request) -> web.Response:
        known = self.overlay.remove(request.match_info["name"])
        return _found({"deleted": 1} if known else None)

    async def clear(self, _: web.Request) -> web.Response:
        return web.json_response({"deleted": self.overlay.clear()})


async def start_zone_api(overlay: Overlay, port: int) -> ZoneApi:
    """Listen on 127.0.0.1:`port`, 0 for a free one. Raises OSError when it is taken."""
    routes = _Routes(overlay)
    application = web.Application(client_max_size=MAX_BODY, middlewares=[_finish])
    application.add_routes(
        [
            web.get("/zone/records", routes.show_all),
            web.delete("/zone/records", routes.clear),
            web.put("/zone/records/{name}", routes.put),
            web.get("/zone/records/{name}", routes.show),
            web.delete("/zone/records/{name}", routes.remove),
        ]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return ZoneApi(int(runner.addresses[0][1]), runner)


def _found(document: dict[str, Any] | None) -> web.Response:
    if document is None:
        raise web.HTTPNotFound(reason="this name was not set here")
    return web.json_response(document)


@web.middleware
async def _finish(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        if request.url.host not in {HOST, "localhost"}:
            raise web.HTTPForbidden(reason="ask for 127.0.0.1")
        return await handler(request)
    except ZoneError as error:
        return web.json_response({"error": str(error)}, status=400)
    except web.HTTPException as error:
        return web.json_response({"error": error.reason}, status=error.status)
