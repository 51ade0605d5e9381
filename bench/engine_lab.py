"""The engine in simulated time: receivers that take as long as they say, no asyncio, no sockets.

An event is a connection that was opened or a reply that came; time jumps from one to the next.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from egress.core.engine.bars import Bars
from egress.core.engine.engine import Engine, EngineSettings
from egress.core.engine.path_record import PathRecord
from egress.core.engine.work import Connection, Grant, Move, MoveKind, Offer, Parked
from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.job import JobFacts, LaneClass
from mailroom.domain.sending.judgement import Judgement, Scope
from mailroom.domain.sending.path import PathKey, Site
from mailroom.domain.sending.settings import AddressLimits, PathSettings
from mailroom.domain.sending.source import SourceAddress

START = 1_800_000_000.0
OK = SmtpReply(250, "2.0.0 taken", Phase.DOT)
NEVER = float("inf")


@dataclass
class SimWorld:
    """What surrounds the engine, all of it plain values that a test may change."""

    addresses: list[SourceAddress] = field(default_factory=list)
    overflows: dict[str, str] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)
    shaping: Callable[[Site, SourceAddress], PathSettings] = lambda _site, _source: PathSettings()
    lost: set[str] = field(default_factory=set)
    rooms: Callable[[SourceAddress, str, float], float] = lambda _source, _provider, now: now
    orders: Callable[[JobFacts, Site, float], tuple[MoveKind, str, float] | None] = (
        lambda _job, _site, _now: None
    )
    limits: Callable[[JobFacts, Site, float], float] = lambda _job, _site, now: now
    taken: Callable[[JobFacts, Site, float], None] = lambda _job, _site, _now: None
    priorities: dict[str, int] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    records: dict[PathKey, PathRecord] = field(default_factory=dict)
    warmed: Counter[str] = field(default_factory=Counter)

    def sources(self, pool: str) -> Sequence[SourceAddress]:
        """See World.sources."""
        return [a for a in self.addresses if a.pool == pool and a.id not in self.lost]

    def is_elsewhere(self, pool: str) -> bool:
        """See World.is_elsewhere."""
        return pool in self.elsewhere

    def overflow(self, pool: str) -> str:
        """See World.overflow."""
        return self.overflows.get(pool, "")

    def holds(self, address: str, now: float) -> bool:
        """See World.holds."""
        return address not in self.lost

    def settings(self, site: Site, source: SourceAddress) -> PathSettings:
        """See World.settings."""
        return self.shaping(site, source)

    def address_limits(self, source: SourceAddress) -> AddressLimits:
        """See World.address_limits."""
        return AddressLimits()

    def room(self, source: SourceAddress, provider: str, now: float) -> float:
        """See World.room."""
        return self.rooms(source, provider, now)

    def connections(self, source: SourceAddress, provider: str) -> int | None:
        """See World.connections."""
        return None

    def stopped(self, source: SourceAddress, site: Site, now: float) -> float | None:
        """See World.stopped."""
        return None

    def started(self, source: SourceAddress, provider: str, now: float) -> None:
        """See World.started."""
        self.warmed[source.id] += 1

    def ended(
        self,
        source: SourceAddress,
        provider: str,
        judgement: Judgement | None,
        reply: SmtpReply,
        now: float,
        *,
        silenced: bool,
    ) -> None:
        """See World.ended."""

    def unsent(self, source: SourceAddress, provider: str, now: float) -> None:
        """See World.unsent."""

    def shared_earliest(self, job: JobFacts, site: Site, now: float) -> float:
        """See World.shared_earliest."""
        return self.limits(job, site, now)

    def shared_later(self, job: JobFacts, site: Site, now: float) -> float:
        """See World.shared_later."""
        return self.limits(job, site, now)

    def shared_take(self, job: JobFacts, site: Site, now: float) -> None:
        """See World.shared_take."""
        self.taken(job, site, now)

    def record(self, path: PathKey) -> PathRecord | None:
        """See World.record."""
        return self.records.get(path)

    def ordered(self, job: JobFacts, site: Site, now: float) -> tuple[MoveKind, str, float] | None:
        """See World.ordered."""
        return self.orders(job, site, now)

    def priority(self, job: JobFacts, site: Site, now: float) -> int | None:
        """See World.priority."""
        return self.priorities.get(job.tenant)

    def weight(self, tenant: str) -> float:
        """See World.weight."""
        return self.weights.get(tenant, 1.0)


@dataclass
class Receiver:
    """A site: how long it takes, and what it says. `connect` None lets everybody in."""

    seconds: float = 0.2
    greet: float = 0.1
    reply: Callable[[JobFacts, Connection, float], SmtpReply] = lambda _job, _connection, _now: OK
    connect: Callable[[Connection, int, float], SmtpReply | None] = (
        lambda _connection, _open, _now: None
    )


@dataclass(frozen=True)
class Seen:
    """One attempt, as the receiver had it."""

    at: float
    job: JobFacts
    path: PathKey
    reply: SmtpReply
    open: int  # connections to the site at that moment
    connection: int


class Lab:
    """Runs an engine against receivers until nothing is left to do or time is up."""

    def __init__(
        self,
        world: SimWorld,
        receivers: Mapping[str, Receiver],
        *,
        settings: EngineSettings | None = None,
        judge: Callable[[SmtpReply, str], Judgement] = lambda _reply, _provider: Judgement(),
        start: float = START,
    ) -> None:
        self.world = world
        self.engine = Engine(world, settings or EngineSettings(), Bars())
        self.now = start
        self.seen: list[Seen] = []
        self.moves: list[tuple[float, Move]] = []
        self.parked: dict[Parked, list[Offer]] = defaultdict(list)
        self.refused: list[tuple[float, Connection, SmtpReply]] = []
        self.open: Counter[str] = Counter()  # connections by site
        self.keep_seen = True
        self.delivered = 0
        self._receivers = receivers
        self._judge = judge
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._pump_at = NEVER

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._events, (when, next(self._order), act))

    def offer(self, job: JobFacts, site: Site, group: str = "mx") -> None:
        """Hand a job in now."""
        offer = Offer(job, site, group)
        move = self.engine.offer(offer, self.now)
        if move is not None:
            self._leave(move, offer)

    def run(self, until: float = NEVER, *, release: float = 5.0) -> None:
        """Let time pass until `until`; parked mail is looked at every `release` seconds."""
        self._pump()
        next_release = self.now + release
        while True:
            when = min(self._events[0][0] if self._events else NEVER, self._pump_at)
            if any(self.parked.values()):
                when = min(when, next_release)
            if when > until or when == NEVER:
                self.now = max(self.now, until) if until < NEVER else self.now
                return
            self.now = max(self.now, when)
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
            if self.now >= next_release:
                self._release()
                next_release = self.now + release
            self._pump()

    def _pump(self) -> None:
        work = self.engine.pump(self.now)
        for connection in work.closes:
            self.open[connection.path.site] -= 1
        for connection in work.opens:
            self._connect(connection)
        for grant in work.grants:
            self._transact(grant)
        for move in work.moves:
            self._leave(move, Offer(move.job, move.site, move.group or "mx"))
        self._pump_at = NEVER if work.at is None else max(work.at, self.now + 1e-6)

    def _connect(self, connection: Connection) -> None:
        receiver = self._receivers[connection.path.site]

        def done() -> None:
            refusal = receiver.connect(connection, self.open[connection.path.site], self.now)
            if refusal is None:
                self.open[connection.path.site] += 1
                self.engine.opened(connection, self.now)
                return
            self.refused.append((self.now, connection, refusal))
            judgement = self._judge(refusal, connection.site.provider)
            self.engine.not_opened(connection, judgement, refusal, self.now)

        self.at(self.now + receiver.greet, done)

    def _transact(self, grant: Grant) -> None:
        connection, job = grant.connection, grant.job
        site = connection.path.site
        receiver = self._receivers[site]

        def done() -> None:
            reply = receiver.reply(job, connection, self.now)
            accepted = reply.phase == Phase.DOT and reply.code == 250
            self.delivered += accepted
            if self.keep_seen:
                self.seen.append(
                    Seen(self.now, job, connection.path, reply, self.open[site], connection.number)
                )
            usable = reply.code not in (0, 421)
            judgement = None if accepted else self._judge(reply, connection.site.provider)
            self.engine.concluded(
                connection, self.now, judgement=judgement, reply=reply, usable=usable
            )
            if connection.stage == "closed":
                self.open[site] -= 1

        self.at(self.now + receiver.seconds, done)

    def _leave(self, move: Move, offer: Offer) -> None:
        self.moves.append((self.now, move))
        if move.kind is MoveKind.PARK:
            self.parked[Parked(move.pool, move.site, move.group)].append(offer)

    def _release(self) -> None:
        partitions = [each for each, offers in self.parked.items() if offers]
        for appetite in self.engine.appetites(partitions, self.now):
            offers = self.parked[appetite.parked]
            back, self.parked[appetite.parked] = offers[: appetite.most], offers[appetite.most :]
            for offer in back:
                self.offer(offer.job, offer.site, offer.group)


def make_job(
    number: int,
    *,
    tenant: str = "tenant",
    lane: LaneClass = LaneClass.BULK,
    pools: tuple[str, ...] = ("pool",),
    at: float = START,
    lifetime: float = 172_800.0,
    campaign: str = "",
    sticky: str = "",
    recipient: str = "someone@example.com",
) -> JobFacts:
    """Return a job of a simulation."""
    return JobFacts(
        key=DeliveryKey(ServerId(tenant), number, 0),
        generation=0,
        recipient=recipient,
        tenant=tenant,
        organisation=tenant,
        lane=lane,
        sign_domain=f"{tenant}.example",
        from_address=f"news@{tenant}.example",
        size=10_000,
        pools=pools,
        accepted_at=at,
        expires_at=at + lifetime,
        campaign=campaign,
        sticky=sticky,
    )


def path_blame(reply: SmtpReply, _provider: str) -> Judgement:
    """Judge as if every refusal with 421 were about the path, and all others about the message."""
    return Judgement(Scope.PATH if reply.code in (0, 421) else Scope.MESSAGE)
