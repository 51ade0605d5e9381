"""The API on a real socket with TLS, its ports in memory, and a client that says anything."""

import asyncio
import gc
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from typing import Any, Self

from mail_api.routes import create_app

from hostapi.counter import Setting
from hostapi.desk import Desk
from hostapi.limits import MEGABYTE, HttpLimits
from hostapi.ration import Ration, RationedBodies
from hostapi.reply import Reply
from hostapi.server import HostApi
from hostapi.wiring import on_host
from mailroom.adapters.chalice_http import Handler, http_api
from tests.egress.scripted_mx import self_signed
from tests.support.api_calls import KEY, MemoryApi

ANSWER_SECONDS = 60.0  # after that a test has failed
JSON_CALL = {"Content-Type": "application/json", "X-Server-API-Key": KEY}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names are in lower case, repeated ones joined by LF."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection. It sends what it is told and reads answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> Self:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        return cls(reader, writer)

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def ask(
        self, method: str, target: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        """Send a request and read its answer."""
        await self.send(request(method, target, body, headers))
        return await self.answer(method)

    async def answer(self, method: str = "GET") -> Answer:
        async with asyncio.timeout(ANSWER_SECONDS):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            line, *fields = head[:-4].split("\r\n")
            headers: dict[str, str] = {}
            for each in fields:
                name, _, value = each.partition(":")
                lower = name.lower()
                headers[lower] = "\n".join([*filter(None, [headers.get(lower)]), value.strip()])
            status = int(line.split()[1])
            length = int(headers.get("content-length", 0))
            bodiless = method == "HEAD" or status == 100
            body = b"" if bodiless else await self.reader.readexactly(length)
        return Answer(status, headers, body)

    async def is_hung_up_on(self) -> bool:
        async with asyncio.timeout(ANSWER_SECONDS):
            try:
                return await self.reader.read(1) == b""
            except OSError:
                return True

    def hang_up(self) -> None:
        self.writer.transport.abort()


def request(method: str, target: str, body: bytes | None, headers: dict[str, str]) -> bytes:
    """The octets of a request."""
    fields = {"Host": "api-large.mail.test"}
    if body is not None:
        fields["Content-Length"] = str(len(body))
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + (body or b"")


@dataclass
class Stand:
    """The world behind the server. `before` runs in the thread of each call."""

    message: int = MEGABYTE  # the longest message
    limits: dict[str, Any] = field(default_factory=dict)
    proxies: tuple[str, ...] = ()
    folder: Path | None = None
    threads: int = 4
    large_threads: int = 2
    before: Callable[[], None] = lambda: None
    handler_of: Callable[[MemoryApi], Handler] | None = None
    memory: MemoryApi = field(init=False)
    server: HostApi = field(init=False)
    clients: list[Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.memory = MemoryApi(limit=self.message)
        self._ids = count(1)
        self.ration = Ration(self.large_threads)
        self._lock = threading.Lock()

    @property
    def body_limit(self) -> int:
        return on_host(self.memory.api).max_body

    def _handler(self) -> Handler:
        api = on_host(self.memory.api)
        bodies = RationedBodies(api.ports.bodies, self.ration)
        api = replace(api, ports=replace(api.ports, bodies=bodies))
        inner = (
            self.handler_of(self.memory)
            if self.handler_of
            else http_api(create_app(lambda: api), max_body=api.max_body)
        )

        def handler(event: Any, context: Any) -> dict[str, Any]:
            self.before()
            with self._lock:
                self.memory.clock.at += 1.0  # the fake draws the same numbers in a second
            return inner(event, context)

        return handler

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Stand"]:
        """Serve on a free port; whatever escapes a task or callback fails the test."""
        escaped: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: escaped.append(what))
        setting = Setting(
            limits=replace(HttpLimits(self.body_limit), **self.limits),
            desk=Desk(
                self._handler,
                partial(Reply, in_memory=1_000, folder=self.folder),
                self.ration,
                threads=self.threads,
                large_threads=self.large_threads,
            ),
            new_id=lambda: f"request-{next(self._ids)}",
            proxies=[ip_network(network) for network in self.proxies],
            folder=self.folder,
        )
        self.server = HostApi(setting, self_signed())
        await self.server.start(["127.0.0.1"], [0])
        try:
            yield self
            for client in self.clients:
                client.hang_up()
            self.clients.clear()
            await until(lambda: not self.server.connections)
            assert self.server.counter.held.taken == 0
        finally:
            await self.server.stop(0.0)
        gc.collect()
        assert escaped == []

    @property
    def port(self) -> int:
        return self.server.ports[0]

    async def client(self) -> Client:
        client = await Client.connect(self.port)
        self.clients.append(client)
        return client


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that happens behind the socket."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.002)


async def in_thread(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, call)
