"""A submission server on a real socket, the ports in memory, and a client that says anything."""

import asyncio
import base64
import gc
import inspect
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_network
from itertools import count
from typing import Self, cast

import pytest

from egress.core.smtp_limits import Limits
from egress.submission.acceptance import Acceptance
from egress.submission.auth import Accounts
from egress.submission.brakes import LoginBrakes
from egress.submission.limits import Admission, HeldOctets
from egress.submission.office import Office
from egress.submission.server import SubmissionServer
from mailroom.domain.message import Credential, Domain, Server, ServerId, Submission
from mailroom.fakes.limits import MemoryLimits
from mailroom.fakes.memory import (
    FixedChance,
    FixedClock,
    MemoryBodies,
    MemoryDirectory,
    MemoryLane,
    MemoryLedger,
)
from mailroom.fakes.people import MemoryLastUse
from mailroom.usecases.accept import Accepted, AcceptPorts, Parcel, accept
from tests.egress.scripted_mx import self_signed

SECRET = "a-secret-of-24-characters"
SERVER = Server(ServerId("abcdefghij"), "acme", "Shop", "shop", "abc123")
MESSAGE = b"From: Shop <shop@acme.test>\r\nSubject: hi\r\n\r\nhello\r\n"
ANSWER_SECONDS = 20.0  # after that a test has failed
CALM = Limits(login_failure_wait=0.0)


@dataclass
class Stand:
    """The world behind the server. `before_accept` runs in the accepting thread."""

    limits: Limits = CALM
    directory: MemoryDirectory = field(default_factory=MemoryDirectory)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    bodies: MemoryBodies = field(default_factory=MemoryBodies)
    parcels: list[Parcel] = field(default_factory=list)
    clients: "list[Client]" = field(default_factory=list)
    before_accept: Callable[[], None] = lambda: None
    clock: FixedClock = field(default_factory=FixedClock)
    send_limits: MemoryLimits = field(default_factory=MemoryLimits)
    last_use: MemoryLastUse = field(default_factory=MemoryLastUse)
    cram: bool = False
    proxies: tuple[str, ...] = ()
    office: Office = field(init=False)
    server: SubmissionServer = field(init=False)

    def __post_init__(self) -> None:
        self.directory.add_server(SERVER)
        self.directory.add_credential(Credential("c1", SERVER.id, "smtp", "main"), SECRET)
        self.directory.add_credential(Credential("c2", SERVER.id, "api", "api"), "an-api-key")
        self.directory.add_domain(Domain("acme.test", f"server#{SERVER.id}", True, "s", b"k"))

    @property
    def stored(self) -> list[Submission]:
        return list(self.ledger.submissions.values())

    def raw(self) -> bytes:
        """What the last accepted message looked like."""
        return self.parcels[-1].raw

    def accept(self, parcel: Parcel) -> Accepted:
        self.before_accept()
        ports = AcceptPorts(
            self.directory,
            self.ledger,
            self.bodies,
            MemoryLane(),
            FixedClock(),
            self._chance,
            self.limits.message_size + 1024,
            lambda server, number, chance, days: f"{server.id}/{number}/{chance}",
            host_name="smtp.mailroom.test",
            limits=self.send_limits,
        )
        accepted = accept(parcel, ports)
        self.parcels.append(parcel)
        return accepted

    _chance: FixedChance = field(default_factory=FixedChance)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Stand"]:
        """Serve on a free port of 127.0.0.1; whatever escapes a task or callback fails the test."""
        escaped: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: escaped.append(what))
        ids = count(1)
        held = HeldOctets(self.limits.held_octets)
        with ThreadPoolExecutor(2) as look_up, ThreadPoolExecutor(4) as accepting:
            self.office = Office(
                name="smtp.mailroom.test",
                limits=self.limits,
                tls=self_signed(),
                accounts=Accounts(
                    self.directory, look_up, now=self.clock.now, last_use=self.last_use
                ),
                acceptance=Acceptance(
                    self.accept,
                    accepting,
                    host="smtp.mailroom.test",
                    held=held,
                    now=FixedClock().now,
                    new_id=lambda: f"log{next(ids)}",
                ),
                admission=Admission(self.limits),
                held=held,
                new_id=partial(next, map("s{}".format, ids)),
                brakes=LoginBrakes(self.limits, time.monotonic),
                new_nonce=(lambda: "nonce") if self.cram else None,
                proxies=tuple(map(ip_network, self.proxies)),
            )
            self.server = SubmissionServer(self.office)
            await self.server.start(["127.0.0.1"], [0], [0])
            try:
                yield self
            finally:
                await self.server.stop(grace=0)
                for client in self.clients:
                    client.hang_up()
                for _ in range(10):
                    await asyncio.sleep(0)  # lets the transports notice
        gc.collect()
        assert escaped == []

    async def connect(self) -> "Client":
        """Connect and say nothing; the stand cleans up."""
        client = await Client.connect(self.server.ports[0])
        self.clients.append(client)
        return client

    async def client(self) -> "Client":
        """Connect and read the greeting."""
        client = await self.connect()
        assert (await client.reply()).startswith("220 smtp.mailroom.test ESMTP ")
        return client

    async def secure_client(self) -> "Client":
        """Connect, greet, and be inside TLS without a login."""
        client = await self.client()
        assert "250" in await client.say("EHLO app.test")
        assert "220" in await client.say("STARTTLS")
        await client.handshake()
        await client.say("EHLO app.test")
        return client

    async def tls_client(self) -> "Client":
        """Connect where TLS comes first, and read the greeting inside it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        port = self.server.tls_ports[0]
        client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=context))
        self.clients.append(client)
        assert (await client.reply()).startswith("220 smtp.mailroom.test ESMTP ")
        return client

    async def user(self) -> "Client":
        """Connect and log in."""
        client = await self.secure_client()
        assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("235 2.7.0 ")
        return client


class Client:
    """One connection; says octets or lines and reads whole replies."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def handshake(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        await self.writer.start_tls(context)

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def say(self, line: str) -> str:
        self.send(f"{line}\r\n".encode())
        return await self.reply()

    async def reply(self) -> str:
        """The next reply, its lines joined with newlines; "" when the server has hung up."""
        lines = []
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                try:
                    line = (await self.reader.readline()).decode("ascii").removesuffix("\r\n")
                except (ConnectionError, ssl.SSLError):
                    line = ""
                lines.append(line)
                if line[3:4] != "-":
                    return "\n".join(lines)

    async def replies(self, number: int) -> list[str]:
        return [await self.reply() for _ in range(number)]

    async def begin(self, *recipients: str, sender: str = "shop@acme.test") -> str:
        """Open a transaction up to the answer to DATA."""
        await self.say(f"MAIL FROM:<{sender}>")
        for recipient in recipients or ("ann@example.org",):
            await self.say(f"RCPT TO:<{recipient}>")
        return await self.say("DATA")

    async def deliver(self, content: bytes = MESSAGE, *recipients: str) -> str:
        """Send one message; return what the server says to it."""
        assert (await self.begin(*recipients)).startswith("354 ")
        self.send(content + b".\r\n")
        return await self.reply()

    async def is_hung_up_on(self) -> bool:
        return await self.reply() == ""

    def hang_up(self) -> None:
        self.writer.transport.abort()


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that happens behind the socket."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.002)


Walk = Callable[[], Coroutine[None, None, None]]


def walks(names: dict[str, object]) -> list[Walk]:
    """The tests of a module that can run on another event loop: its process uses uvloop."""
    return [
        cast("Walk", test)
        for name, test in sorted(names.items())
        if name.startswith("test_")
        and inspect.iscoroutinefunction(test)
        and not inspect.signature(test).parameters
    ]


def on_uvloop(walk: Walk) -> None:
    """Run a test on uvloop, where there is one."""
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(walk())


def plain(password: str, name: str = "anyone", authority: str = "") -> str:
    """A PLAIN response."""
    return base64.b64encode(f"{authority}\0{name}\0{password}".encode()).decode()
