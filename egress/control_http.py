"""What a host answers over HTTP, to those beside it: /health, /metrics and /view.

It is off unless MAILROOM_CONTROL_ADDRESS names where to listen. There is no key to it: bind it to
loopback, or where only the monitoring can reach it.
"""

import json
from collections.abc import Callable

from aiohttp import web

from egress.metrics import CONTENT_TYPE, Health, prometheus_text
from mailroom.domain.sending.view import HostView, dump_view


def parse_address(text: str) -> tuple[str, int] | None:
    """Return where to listen, None for "". Raises ValueError for what is not `host:port`."""
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and 0 <= int(port) < 65_536):
        raise ValueError("MAILROOM_CONTROL_ADDRESS is host:port, such as 127.0.0.1:9110")
    return host.strip("[]") or "127.0.0.1", int(port)


class ControlServer:
    """Serves the view and the health of one host."""

    def __init__(self, view: Callable[[], HostView], health: Callable[[], Health]) -> None:
        """`view` and `health` are asked at every request."""
        self._view = view
        self._health = health
        app = web.Application(client_max_size=1)
        app.router.add_get("/health", self._tell_health)
        app.router.add_get("/metrics", self._tell_metrics)
        app.router.add_get("/view", self._tell_view)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, which is a free one for 0. Raises OSError for a taken one."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=16)
        await site.start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _tell_health(self, _: web.Request) -> web.Response:
        health = self._health()
        troubles = health.troubles
        body = {
            "ok": not troubles,
            "troubles": troubles,
            "journal_ok": health.journal_ok,
            "leases": health.leases,
            "poll_age": health.poll_age,
            "draining": health.draining,
        }
        return _json(body, 503 if troubles else 200)

    async def _tell_metrics(self, _: web.Request) -> web.Response:
        text = prometheus_text(self._view().bounded(), self._health())
        return web.Response(body=text.encode(), headers={"content-type": CONTENT_TYPE})

    async def _tell_view(self, _: web.Request) -> web.Response:
        return _json(dump_view(self._view()), 200)


def _json(body: object, status: int) -> web.Response:
    return web.Response(text=json.dumps(body), status=status, content_type="application/json")
