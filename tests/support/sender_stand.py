"""A dispatcher over a `World` in memory: its engine is real, its sessions are what a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from bench.engine_lab import SimWorld
from egress.aws.lane import Received
from egress.core.engine.bars import Bars
from egress.core.engine.engine import Engine, EngineSettings
from egress.core.engine.work import Connection, Offer, Parked
from egress.core.mx import MxAnswer, MxTarget
from egress.opening import NotOpened, Opened
from egress.sender.briefing import Brief, Briefing, Direct
from egress.sender.carrier import Way
from egress.sender.dispatch import Dispatcher, Doors, Plan
from egress.sender.leaving import Leaving
from mailroom.domain.event import Event
from mailroom.domain.message import DeliveryKey, WakeUp
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.job import JobFacts, LaneClass
from mailroom.domain.sending.judgement import Judgement, Scope
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.settings import PathSettings
from mailroom.domain.sending.source import HOST_POOL, SourceAddress
from tests.support.desk import OK, Life, World

SITE = Site("mx.test")
TARGET = MxTarget("mx.test", "127.0.0.1")
QUICK = PathSettings(connections=20, start_connections=20, connection_rate=None, message_rate=None)


@dataclass
class Queue:
    """Entries in order; `receive` waits when there are none. Knows what was asked of it."""

    entries: list[Received] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    trouble: list[Exception] = field(default_factory=list)
    given: int = 0

    def put(self, *wake_ups: WakeUp | None) -> None:
        start = self.given + len(self.entries)
        self.entries += [Received(f"r{start + n}", w) for n, w in enumerate(wake_ups)]

    async def receive(self, most: int) -> Sequence[Received]:
        self.asked.append(most)
        if self.trouble:
            raise self.trouble.pop(0)
        while not self.entries:  # noqa: ASYNC110 - a list has no event
            await asyncio.sleep(0.001)
        batch, self.entries[:] = self.entries[:most], self.entries[most:]
        self.given += len(batch)
        return batch

    async def acknowledge(self, receipt: str) -> bool:
        self.acknowledged.append(receipt)
        return True

    async def give_back(self, receipt: str) -> bool:
        self.returned.append(receipt)
        return True


class Gate:
    """Receivers that take their time: nobody is answered before the gate opens."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.inside: set[str] = set()
        self.most = 0
        self.done: list[str] = []
        self.replies: dict[str, list[SmtpReply]] = {}
        self.refusals: list[SmtpReply] = []  # to connections
        self.defects: list[Exception] = []  # ours, while a connection is opened
        self.full = 0  # so many connections find no room
        self.unsafe: set[GateSession] = set()
        self.sessions: list[GateSession] = []

    def connect(self) -> "GateSession | SmtpReply":
        if self.refusals:
            return self.refusals.pop(0)
        session = GateSession(self)
        self.sessions.append(session)
        return session


class GateSession:
    """A session with a gate, as a carrier uses one."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.target = TARGET
        self.tls, self.tls_version, self.tls_cipher = False, "", ""
        self.usable = True
        self.stale = False
        self.stale_next = False
        self.said_goodbye = False

    async def transact(self, path: str, to: str, raw: bytes, **calls: Any) -> SmtpReply:
        assert path is not None
        assert raw
        gate = self._gate
        if self.stale_next:
            self.stale, self.usable = True, False
            return SmtpReply(0, "connection lost", Phase.MAIL)
        gate.inside.add(to)
        gate.most = max(gate.most, len(gate.inside))
        await gate.open.wait()
        replies = gate.replies.get(to)
        reply = replies.pop(0) if replies else OK
        try:
            if reply.phase == Phase.DOT:
                await calls["before_dot"]()
                calls["after_dot"]()
        finally:
            gate.inside.discard(to)
        gate.done.append(to)
        self.usable = reply.code not in (0, 421)
        return reply

    def farewell(self) -> None:
        self.said_goodbye = True

    async def close(self) -> None:
        self.said_goodbye = True


class Rules:
    """A rule book with one rule: 421 blames the path."""

    def judge(self, reply: SmtpReply, _provider: str, /) -> Judgement:
        return Judgement(Scope.PATH if reply.code == 421 else Scope.MESSAGE)


class Places:
    """Where mail waits, as it was told."""

    def __init__(self) -> None:
        self.parked: list[tuple[DeliveryKey, int, str]] = []
        self.told: list[Event] = []
        self.put_off_until: list[tuple[DeliveryKey, float]] = []

    async def park(
        self, key: DeliveryKey, generation: int, shard: str, at: float, event: Event | None = None
    ) -> bool:
        assert at
        if event is not None:
            self.told.append(event)
        self.parked.append((key, generation, shard))
        return True

    async def put_off(self, key: DeliveryKey, generation: int, until: float) -> bool:
        assert generation >= 0
        self.put_off_until.append((key, until))
        return True


def facts(wake_up: WakeUp, lane: LaneClass = LaneClass.TRANSACTIONAL) -> JobFacts:
    """What a test knows of a delivery."""
    return JobFacts(
        key=wake_up.key,
        generation=wake_up.generation,
        recipient=wake_up.recipient,
        tenant=wake_up.key.server,
        organisation="org",
        lane=lane,
        sign_domain="demo.example",
        from_address="a@demo.example",
        size=1_000,
        pools=(HOST_POOL,),
        accepted_at=1.0,
        expires_at=1e12,
    )


class Briefs:
    """Answers without looking: every delivery goes to the same hosts, or where it is told."""

    def __init__(self) -> None:
        self.direct: dict[str, MxAnswer] = {}
        self.trouble: list[Exception] = []

    async def of(self, wake_up: WakeUp) -> Brief | Direct:
        await asyncio.sleep(0)
        if self.trouble:
            raise self.trouble.pop(0)
        if wake_up.recipient in self.direct:
            return Direct(self.direct[wake_up.recipient])
        return Brief(Offer(facts(wake_up), SITE, "group"), Way(MxAnswer((TARGET,))))


@dataclass
class Stand:
    """A world, one process in it, and its dispatcher's surroundings."""

    world: World
    life: Life
    queue: Queue = field(default_factory=Queue)
    gate: Gate = field(default_factory=Gate)
    places: Places = field(default_factory=Places)
    briefs: Briefs = field(default_factory=Briefs)
    announced: list[Parked] = field(default_factory=list)
    sim: SimWorld = field(default_factory=SimWorld)
    engine: Engine = field(init=False)
    follow: Any = nullcontext
    now: Callable[[], float] = lambda: 1_000.0 + asyncio.get_running_loop().time()

    def fill(self, count: int) -> None:
        """Queue so many deliveries."""
        for number in range(1, count + 1):
            self.world.add(number)
        self.queue.put(*(self.world.wake_up(number) for number in range(1, count + 1)))

    def dispatcher(self, *, slots: int, pollers: int = 2, ready: int = 1_000) -> Dispatcher:
        """Return a dispatcher that has not been started."""
        self.sim.addresses = [SourceAddress("host", HOST_POOL, "out.example")]
        self.sim.shaping = lambda _site, _source: QUICK
        settings = EngineSettings(slots=slots, ready=ready, urgent_share=0.0)
        self.engine = Engine(self.sim, settings, Bars())
        briefs: Any = self.briefs
        briefing: Briefing = briefs
        return Dispatcher(
            Plan(
                intakes={LaneClass.TRANSACTIONAL: self.queue},
                desk=self.life.desk,
                engine=self.engine,
                briefing=briefing,
                doors=Doors(self._open, lambda session, *_: session not in self.gate.unsafe),
                leaving=Leaving(self.life.desk, self.places, self._announce, Rules().judge),
                rules=Rules,
                now=self.now,
                pollers=pollers,
                follow=self.follow,
            )
        )

    @asynccontextmanager
    async def working(
        self, *, slots: int, pollers: int = 2, ready: int = 1_000, grace: float = 10.0
    ) -> AsyncIterator[tuple[Dispatcher, asyncio.Event]]:
        """A dispatcher that runs; it is stopped at the end if it was not before."""
        dispatcher = self.dispatcher(slots=slots, pollers=pollers, ready=ready)
        stop = asyncio.Event()
        running = asyncio.create_task(dispatcher.run(stop, grace=grace))
        try:
            yield dispatcher, stop
        finally:
            stop.set()
            self.gate.open.set()
            async with asyncio.timeout(20):
                await running

    async def _open(self, _connection: Connection, _way: Way) -> Opened | NotOpened:
        await asyncio.sleep(0)
        if self.gate.defects:
            raise self.gate.defects.pop()
        if self.gate.full:
            self.gate.full -= 1
            return NotOpened(SmtpReply(0, "no room", Phase.CONNECT), full=True)
        session: Any = self.gate.connect()
        return NotOpened(session) if isinstance(session, SmtpReply) else Opened(session)

    async def _announce(self, parked: Parked, _shard: str) -> None:
        self.announced.append(parked)
