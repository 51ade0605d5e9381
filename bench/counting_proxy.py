"""A reverse proxy before the AWS endpoint that counts: `python -m bench.counting_proxy STATE`.

STATE is the folder of a stack that has not started yet; the endpoint is read from its
configuration at the first request. Prints its port. `GET /__counts` answers `calls` by name and
`writes` by item type (`count`, `units`); `POST /__reset` starts again at nothing.
"""

import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from multidict import CIMultiDict

from bench.aws_calls import Request, Sizes, answer_of, label, with_capacity, writes
from localstack.config import read_config

_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade")
_LARGEST = 256 * 1024 * 1024


class CountingProxy:
    """Forwards everything to the emulator of the stack in `state` and counts what went by."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._upstream = ""
        self._session: ClientSession | None = None
        self._calls: Counter[str] = Counter()
        self._writes: Counter[str] = Counter()
        self._units: defaultdict[str, float] = defaultdict(float)
        self._sizes = Sizes()

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application(client_max_size=_LARGEST)
        application.router.add_get("/__counts", self._show)
        application.router.add_post("/__reset", self._reset)
        application.router.add_route("*", "/{path:.*}", self._forward)
        application.on_startup.append(self._open)
        application.on_cleanup.append(self._close)
        return application

    async def _open(self, _: web.Application) -> None:
        # A long poll ends when the emulator ends it, and bodies pass as they are.
        self._session = ClientSession(
            timeout=ClientTimeout(total=None),
            auto_decompress=False,
            connector=TCPConnector(limit=0),
        )

    async def _close(self, _: web.Application) -> None:
        if self._session:
            await self._session.close()

    async def _show(self, _: web.Request) -> web.Response:
        written = {
            kind: {"count": count, "units": round(self._units[kind], 2)}
            for kind, count in sorted(self._writes.items())
        }
        return web.json_response({"calls": dict(sorted(self._calls.items())), "writes": written})

    async def _reset(self, _: web.Request) -> web.Response:
        self._calls.clear()
        self._writes.clear()
        self._units.clear()
        return web.json_response({})

    async def _forward(self, incoming: web.Request) -> web.Response:
        request = Request(
            incoming.method,
            incoming.path,
            {name.lower(): value for name, value in incoming.headers.items()},
            await incoming.read(),
        )
        is_table = request.service == "dynamodb"
        body = with_capacity(request) if is_table else request.body
        headers = _passing(incoming.headers)
        if not self._upstream:
            self._upstream = read_config(self._state).emulator_url
        assert self._session
        try:
            async with self._session.request(
                request.method,
                self._upstream + incoming.raw_path,
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                content = await answer.read()
        except ClientError as trouble:
            return web.Response(status=502, text=str(trouble))
        self._count(request, content)
        return web.Response(status=answer.status, body=content, headers=_passing(answer.headers))

    def _count(self, request: Request, content: bytes) -> None:
        answer = answer_of(content)
        self._calls[label(request, answer)] += 1
        if request.service != "dynamodb":
            return
        for kind, units in writes(request, answer, self._sizes):
            self._writes[kind] += 1
            self._units[kind] += units


def _passing(headers: Mapping[str, str]) -> "CIMultiDict[str]":
    return CIMultiDict((n, v) for n, v in headers.items() if n.lower() not in _HOP_BY_HOP)


async def _serve(state: Path) -> None:
    # A caller that gives up a long poll must take it back, or its messages are lost for a while.
    runner = web.AppRunner(
        CountingProxy(state).application(), access_log=None, handler_cancellation=True
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(_serve(Path(sys.argv[1])))
    except KeyboardInterrupt:
        sys.exit(0)
