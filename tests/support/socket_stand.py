"""A sender that is all real but its table and its queue: it speaks to hosts over real sockets.

Hosts are what a test says (`to`); the engine, the connections and the briefing are the product's.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.engine_lab import SimWorld
from egress.connecting import Timeouts
from egress.core.engine.bars import Bars
from egress.core.engine.engine import Engine, EngineSettings
from egress.core.engine.work import Parked
from egress.core.mx import MxAnswer
from egress.core.tls_policy import HostPolicy
from egress.journal import Journal
from egress.opening import Opener, OpenerSettings
from egress.remembered import Remembered
from egress.sender.briefing import Briefing
from egress.sender.carrier import Judge
from egress.sender.copies import Copy
from egress.sender.dispatch import Dispatcher, Plan
from egress.sender.doors import PathDoors
from egress.sender.leaving import Leaving
from egress.sender.tenants import PlatformKeys, Tenant
from mailroom.domain.event import Event, EventType
from mailroom.domain.message import BodyRef, Delivery, DeliveryKey, Server, ServerId, Submission
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.job import LaneClass
from mailroom.domain.sending.judgement import Judgement, Scope
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.settings import PathSettings
from mailroom.domain.sending.source import HOST_POOL, SourceAddress
from mailroom.domain.transport.tls_result import TlsResult
from tests.egress.scripted_mx import ScriptedMx
from tests.egress.tls_peers import Watch
from tests.support.desk import SERVER, START, Life, World, until
from tests.support.sender_stand import Places, Queue

COPY = Copy("b+x@rp.test", b"From: a@demo.example\r\n\r\nx\r\n")
PATH = PathSettings(connections=20, start_connections=20, connection_rate=None, message_rate=None)
SOURCE = SourceAddress("host", HOST_POOL, "out.example.com", private="127.0.0.1")


def to(*mxs: ScriptedMx) -> MxAnswer:
    """Scripted hosts as the mail exchangers of a domain, in this order."""
    return MxAnswer(tuple(mx.target(f"mx{n}.test") for n, mx in enumerate(mxs)))


@dataclass(frozen=True)
class Outcome:
    """What the table says of one attempt."""

    event: Event
    row: Delivery

    @property
    def type(self) -> EventType:
        return self.event.type

    @property
    def code(self) -> int:
        return self._seen.code

    @property
    def phase(self) -> str:
        return self._seen.phase

    @property
    def reply(self) -> str:
        return self._seen.reply

    @property
    def mx(self) -> str:
        return self._seen.mx

    @property
    def tls(self) -> bool:
        return self._seen.tls

    @property
    def _seen(self) -> Any:
        assert self.event.attempt is not None
        return self.event.attempt


class Ours:
    """A rule book that blames the message for everything, so that paths stay open."""

    def judge(self, reply: SmtpReply, _provider: str, /) -> Judgement:
        assert reply
        return Judgement(Scope.MESSAGE)


class Copies:
    """The copy of each delivery."""

    def __init__(self) -> None:
        self.of: dict[DeliveryKey, Copy] = {}

    async def copy(self, delivery: Delivery) -> Copy:
        await asyncio.sleep(0)
        return self.of.get(delivery.key, COPY)


class Directory:
    """One server, whose every message is committed."""

    async def submission(self, server: ServerId, number: int) -> Submission:
        return Submission(
            server=server,
            number=number,
            accepted_at=START,
            expires_at=1e12,
            mail_from="a@demo.example",
            from_address="a@demo.example",
            sign_domain="demo.example",
            subject="",
            message_id=None,
            tag=None,
            size=100,
            recipients=1,
            source="api",
            bounce=False,
            body=BodyRef(inline=b""),
        )

    async def of(self, _submission: Submission) -> Tenant:
        key: Any = "signs"
        return Tenant(Server(SERVER, "org", "Demo", "demo", "abc123"), key, "rp.demo.example")

    async def platform_keys(self) -> PlatformKeys:
        raise AssertionError


@dataclass
class SocketStand:
    """One process; `clock` may be set forward (`pass_time`)."""

    world: World
    journal: type[Journal] = Journal
    settings: PathSettings = PATH
    timeouts: Timeouts = field(default_factory=Timeouts)
    authorities: Path | None = None
    rules: Judge = field(default_factory=Ours)
    resolve: Callable[[ServerId, str], Awaitable[MxAnswer]] | None = None
    watch: Watch = field(default_factory=Watch)
    sim: SimWorld = field(default_factory=SimWorld)
    policies: dict[str, HostPolicy] = field(default_factory=dict)
    answers: dict[str, MxAnswer] = field(default_factory=dict)  # by recipient domain
    queue: Queue = field(default_factory=Queue)
    places: Places = field(default_factory=Places)
    pool: str = HOST_POOL  # that all mail goes out through
    skipped: float = 0.0
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    life: Life = field(init=False)
    engine: Engine = field(init=False)
    doors: PathDoors = field(init=False)
    broken_tls: Remembered[str, TlsResult] = field(init=False)
    dispatcher: Dispatcher = field(init=False)

    def __post_init__(self) -> None:
        self.copies = Copies()
        copier: Any = self.copies
        self.world.copier = copier
        self.life = Life(self.world, journal=self.journal)
        self.sim.addresses = [SOURCE]
        self.sim.shaping = lambda _site, _source: self.settings
        self.engine = Engine(
            self.sim, EngineSettings(slots=50, urgent_share=0.0, dead_seconds=0.0), Bars()
        )
        self.broken_tls = Remembered(100.0, clock=self.now)
        opener = Opener(
            OpenerSettings(self.timeouts, self.authorities),
            self.broken_tls,
            clock=self.now,
            watch=self.watch,
        )
        self.doors = PathDoors(opener, self.engine)
        self.dispatcher = self._dispatcher()

    def _dispatcher(self) -> Dispatcher:
        directory = Directory()
        return Dispatcher(
            Plan(
                intakes={LaneClass.TRANSACTIONAL: self.queue},
                desk=self.life.desk,
                engine=self.engine,
                briefing=Briefing(
                    directory,
                    directory,
                    self.resolve or self._resolve,
                    lambda _domain, answer: Site(
                        f"relay:{answer.relay.host}" if answer.relay else answer.site
                    ),
                    pools=self,
                    policy=self._policy,
                ),
                doors=self.doors.doors,
                leaving=Leaving(self.life.desk, self.places, _announce, self.rules.judge),
                rules=lambda: self.rules,
                now=self.now,
                pollers=1,
            )
        )

    def now(self) -> float:
        """Unix seconds of a clock that never jumps back."""
        return START + self.skipped + asyncio.get_running_loop().time()

    def pass_time(self, seconds: float) -> None:
        """Let time pass for all but the sockets."""
        self.skipped += seconds
        self.dispatcher.kick()

    async def send(
        self,
        answer: MxAnswer | None = None,
        *,
        copy: Copy = COPY,
        recipient: str = "ann@example.org",
    ) -> Outcome | None:
        """Send one message; return what came of it, None if it was given back unsent."""
        if answer is not None:
            self.answers[recipient.rpartition("@")[2]] = answer
        number = len(self.world.book.rows) + 1
        key = self.world.add(number, recipient=recipient, expires_at=1e12).key
        self.copies.of[key] = copy
        self.queue.put(self.world.wake_up(number))
        book = self.world.book
        await until(lambda: book.rows[key].generation or any(e.key == key for e in book.events))
        told = [event for event in book.events if event.key == key]
        return Outcome(told[-1], book.rows[key]) if told else None

    async def sent(self, answer: MxAnswer | None = None, **how: Any) -> Outcome:
        """Send one message that something must come of."""
        outcome = await self.send(answer, **how)
        assert outcome is not None
        return outcome

    async def quiet(self) -> None:
        """Wait until nothing is under way."""
        await until(lambda: not self.dispatcher.busy)

    @property
    def idle(self) -> int:
        """How many connections wait for their next message."""
        return sum(each.stage == "idle" for each in self.engine.connections)

    async def of(self, submission: Submission, tenant: Tenant, recipient: str) -> tuple[str, ...]:
        """See Pools.of."""
        assert submission.server == tenant.server.id
        assert recipient
        return (self.pool,)

    async def _resolve(self, _server: ServerId, domain: str) -> MxAnswer:
        return self.answers[domain]

    async def _policy(self, domain: str) -> HostPolicy | None:
        return self.policies.get(domain)


async def _announce(_parked: Parked, _shard: str) -> None:
    pass


@asynccontextmanager
async def sending(folder: Path, **how: Any) -> AsyncIterator[SocketStand]:
    """A sender that works until the end of the block, and says goodbye to all hosts then."""
    stand = SocketStand(World(folder), **how)
    running = asyncio.create_task(stand.dispatcher.run(stand.stop, grace=10.0))
    try:
        yield stand
    finally:
        stand.stop.set()
        async with asyncio.timeout(20):
            await running
        await stand.life.end()


def with_path(**settings: Any) -> PathSettings:
    """The settings of a stand's paths, with some that differ."""
    return replace(PATH, **settings)
