"""Stable addresses for the deployed APIs: bytes in, bytes out, nothing kept and nothing decided.

The emulator serves an HTTP API under a host name with a generated id; people get a fixed port.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from multidict import CIMultiDict
from yarl import URL

from localstack.config import LOOPBACK
from localstack.ready import write_ready

# RFC 9110 section 7.6.1: these concern one connection and are not passed on.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
IN_FLIGHT = 8  # calls at once to one API; each would get a worker of its own, tens of megabytes
CHUNK = 64 * 1024
ANSWER_WITHIN = 35.0  # seconds; above the longest time-out of an API's function
DOWN = "The AWS emulator does not answer, so the platform is down. See ./run status.\n"


@dataclass(frozen=True, slots=True)
class Route:
    """One API: the local port, and the host name the emulator knows it by."""

    port: int
    host: str


def parse_route(text: str) -> Route:
    """Read `PORT=HOST`. Raises ValueError."""
    port, _, host = text.partition("=")
    if not host:
        raise ValueError("PORT=HOST is needed")
    return Route(int(port), host)


def application(upstream: str, route: Route, session: ClientSession) -> web.Application:
    """Return the proxy for one API."""
    limit = asyncio.Semaphore(IN_FLIGHT)
    app = web.Application(client_max_size=0)
    handler = partial(_pass_on, upstream=upstream, route=route, session=session, limit=limit)
    app.router.add_route("*", "/{path:.*}", handler)
    return app


async def _pass_on(
    request: web.Request,
    *,
    upstream: str,
    route: Route,
    session: ClientSession,
    limit: asyncio.Semaphore,
) -> web.StreamResponse:
    response: web.StreamResponse | None = None
    async with limit:
        try:
            async with session.request(
                request.method,
                URL(upstream + request.raw_path, encoded=True),
                headers=_onward(request, route),
                data=_body(request) if request.body_exists else None,
                allow_redirects=False,
            ) as answer:
                response = web.StreamResponse(status=answer.status, reason=answer.reason)
                response.headers.extend(_kept(answer.headers))
                await response.prepare(request)
                async for chunk in answer.content.iter_chunked(CHUNK):
                    await response.write(chunk)
                await response.write_eof()
                return response
        except (ClientError, TimeoutError):
            if response is not None and response.prepared:
                raise  # half an answer is out; only cutting the connection says so
            return web.Response(status=502, text=DOWN)


def _onward(request: web.Request, route: Route) -> CIMultiDict[str]:
    headers = _kept(request.headers)
    headers["Host"] = route.host
    before = [headers["X-Forwarded-For"]] if "X-Forwarded-For" in headers else []
    headers["X-Forwarded-For"] = ", ".join([*before, request.remote or LOOPBACK])
    return headers


def _kept(headers: Mapping[str, str]) -> CIMultiDict[str]:
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() not in HOP_BY_HOP:
            kept.add(name, value)
    return kept


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_chunked(CHUNK):
        yield chunk


async def serve(upstream: str, routes: Sequence[Route], ready: Path | None) -> None:
    """Proxy until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    timeout = ClientTimeout(total=None, sock_connect=3, sock_read=ANSWER_WITHIN)
    async with ClientSession(
        timeout=timeout,
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    ) as session:
        runners = []
        for route in routes:
            runner = web.AppRunner(application(upstream, route, session), access_log=None)
            await runner.setup()
            await web.TCPSite(runner, LOOPBACK, route.port, shutdown_timeout=3).start()
            runners.append(runner)
        write_ready(ready, {"ports": [route.port for route in routes]})
        await stopped.wait()
        for runner in runners:
            await runner.cleanup()


def main(arguments: Sequence[str]) -> int:
    """Run the front."""
    parser = argparse.ArgumentParser(prog="python -m localstack.front", description=__doc__)
    parser.add_argument("--upstream", required=True, help="the emulator's URL")
    parser.add_argument("--api", type=parse_route, required=True, help="PORT=HOST")
    parser.add_argument("--tracking", type=parse_route, required=True, help="PORT=HOST")
    parser.add_argument("--ready-file", type=Path)
    options = parser.parse_args(arguments)
    asyncio.run(serve(options.upstream, (options.api, options.tracking), options.ready_file))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
