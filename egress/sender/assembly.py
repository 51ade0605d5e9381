"""Puts a sender together: settings and AWS clients in, a dispatcher and what runs beside it out."""

import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from egress.aws.bodies import HostBodies
from egress.aws.deliveries import Deliveries
from egress.aws.lane import SenderLane
from egress.aws.parked import ParkedMail
from egress.aws.suppressions import HostSuppressions
from egress.binding import LocalBinder
from egress.core.engine.bars import Bars
from egress.core.engine.engine import Engine, EngineSettings
from egress.core.engine.work import Connection, Grant, Parked
from egress.documents import Documents
from egress.elastic_binding import ElasticBinder
from egress.faults import faults_of
from egress.journal import Journal
from egress.leases import Binder, LeaseKeeper, Process
from egress.order_actions import OrderActions, ReroutedPools
from egress.order_log import AttemptLog
from egress.orders import OrderDesk
from egress.relays import Router
from egress.resolver import MxResolver
from egress.sender.alarms import Alarms
from egress.sender.attempt import Desk
from egress.sender.briefing import Briefing, KeptSubmissions
from egress.sender.copies import Copier
from egress.sender.dispatch import Dispatcher, Plan
from egress.sender.doors import PathDoors
from egress.sender.exchange import Exchanged
from egress.sender.fleet_world import PAUSE_LOOK, FleetWorld
from egress.sender.following import follow, followed_desk, followed_send
from egress.sender.host import Host
from egress.sender.leaving import Leaving
from egress.sender.listener import Listener
from egress.sender.parking_lot import ParkingLot
from egress.sender.parts import (
    limits_of,
    own_source,
    resolver_of,
    router_of,
    steady_clock,
    tenants_of,
)
from egress.sender.path_memory import PathMemory
from egress.sender.pools import KeptPools
from egress.sender.recorder import Recorder
from egress.sender.safety import Safety, safety_of
from egress.sender.shaping import Shaping
from egress.sender.showing import Showcase, Who
from egress.sender.unknowns import Unknowns
from egress.shared_limits import SharedLimits
from egress.signer import Signer
from egress.sts_policies import StsPolicies
from egress.tls_memory import KeptTlsMemory
from egress.tls_reports import TlsReports
from egress.warmup import WarmUp
from mailroom.adapters.clients import client
from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
from mailroom.adapters.dynamo_sources import DynamoPoolRules, DynamoSources
from mailroom.adapters.ec2_addresses import Ec2Addresses
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.adapters.xray import Tracing
from mailroom.domain.claim import claim_id
from mailroom.domain.message import WakeUp
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.job import LaneClass
from mailroom.domain.sending.judgement import Judgement
from mailroom.domain.sending.order_book import OrderBook
from mailroom.domain.sending.source import SourceAddress
from mailroom.settings import Settings
from mailroom.usecases.slices import SlicePorts
from mailroom.usecases.warmup import WarmUpPorts

VERSION = "0.2"


@dataclass(frozen=True, slots=True)
class Clients:
    """The asynchronous AWS clients of a host."""

    dynamodb: Any
    sqs: Any
    s3: Any


@dataclass(frozen=True, slots=True)
class Sender:
    """All parts of a sender that somebody has to run, show or close."""

    process: Process
    control: DynamoControl
    dispatcher: Dispatcher
    desk: Desk
    deliveries: Deliveries
    parked: ParkedMail
    lanes: Sequence[SenderLane]
    engine: Engine
    leases: LeaseKeeper
    orders: OrderDesk
    shaping: Shaping
    warmup: WarmUp
    shared: SharedLimits
    memory: PathMemory
    lot: ParkingLot
    showcase: Showcase
    tls_memory: KeptTlsMemory
    tls_reports: TlsReports
    policies: StsPolicies
    router: Router
    resolver: MxResolver
    own: SourceAddress | None
    now: Callable[[], float]
    unknowns: Unknowns


@dataclass(frozen=True, slots=True)
class _Around:
    """What tells the engine of the world, and hears from it."""

    memory: PathMemory
    listener: Listener
    leases: LeaseKeeper
    warmup: WarmUp
    shared: SharedLimits
    orders: OrderDesk


class Assembler:
    """Makes the parts of one sender, each once."""

    def __init__(self, settings: Settings, host: Host, clients: Clients, spans: Tracing) -> None:
        self._settings = settings
        self._host = host
        self._clients = clients
        self._spans = spans
        self.now = steady_clock()
        rows = bound(DirectoryRow, settings.resource("table", "directory"))
        self._rows = rows
        self.control = DynamoControl(bound(ControlRow, settings.resource("table", "control")))
        self.process = Process(
            f"{host.name}.{secrets.token_hex(6)}",
            host.name,
            time.time(),
            VERSION,
            host.most_addresses,
        )
        mail = settings.resource("table", "mail")
        self.deliveries = Deliveries(clients.dynamodb, mail)
        self.parked = ParkedMail(clients.dynamodb, mail)
        self.lanes = {
            LaneClass.TRANSACTIONAL: SenderLane(clients.sqs, settings.resource("queue", "lane")),
            LaneClass.BULK: SenderLane(clients.sqs, settings.resource("queue", "bulk")),
        }
        self.resolver = resolver_of(host)
        self.own = own_source(host)
        self.unknowns = Unknowns(self.control, now=self.now)
        self.alarms = Alarms(clock=time.monotonic)
        self._bell: Callable[[], None] = lambda: None  # rung when orders or shaping change
        self._obey: Callable[[OrderBook], None] = lambda _: None
        documents = Documents(
            self.control, now=self.now, shaping=host.shaping, changed=lambda _: self._bell()
        )
        self.shaping = Shaping(documents, divisor=settings.delay_divisor, port=host.mx_port)
        self.submissions = KeptSubmissions(self.deliveries)
        self.tenants = tenants_of(settings, rows)

    def sender(self) -> Sender:
        """Return the whole."""
        memory = PathMemory(self.control, now=self.now)
        listener = Listener(memory)
        leases = self._leases(listener)
        warmup = WarmUp(
            WarmUpPorts(self.control),
            holder=self.process.id,
            clock=self.now,
            plans=self.shaping.plan,
            named=self.shaping.plan_name,
        )
        shared = SharedLimits(
            SlicePorts(self.control),
            holder=self.process.id,
            live=lambda: max(1, len(leases.hosts)),
            clock=self.now,
        )
        orders = OrderDesk(
            self.control,
            now=self.now,
            changed=lambda _: self._bell(),
            looked=lambda book: self._obey(book),
        )
        divisor = self._settings.delay_divisor
        world = FleetWorld(
            leases, self.shaping, warmup, shared, lambda: orders.book, memory.records, memory.known,
            pause_look=PAUSE_LOOK / divisor,
        )  # fmt: skip
        engine = Engine(
            world,
            EngineSettings(
                slots=self._host.slots,
                ready=self._host.ready,
                dead_seconds=15.0 / divisor,
                dead_most=1_800.0 / divisor,
            ),
            Bars(),
        )
        around = _Around(memory, listener, leases, warmup, shared, orders)
        return self._whole(engine, around)

    def _whole(self, engine: Engine, around: _Around) -> Sender:
        desk = followed_desk(self._desk(), self._spans)
        router = router_of(self._host, self.resolver, self._rows)
        safety = safety_of(
            self._host, self.resolver, self.control, process=self.process.id, now=self.now
        )
        leases = around.leases
        showcase = Showcase(self._who(leases, around.orders), now=self.now)
        holder: list[ParkingLot] = []

        async def announce(parked: Parked, shard: str) -> None:
            showcase.parked[parked.site.key] += 1
            await holder[0].announce(parked, shard)

        dispatcher = Dispatcher(
            Plan(
                intakes=self.lanes,
                desk=desk,
                engine=engine,
                briefing=self._briefing(router, around, safety),
                doors=PathDoors(safety.opener, engine).doors,
                leaving=Leaving(
                    desk,
                    self.parked,
                    announce,
                    lambda *given: self.shaping.rules.judge(*given),
                    showcase.answered,
                ),
                rules=lambda: self.shaping.rules,
                now=self.now,
                follow=follow(self._spans),
                around=followed_send(self._spans),
                concluded=self._hearer(showcase, around.orders),
                met=self._met,
                draining=lambda: leases.draining,
            )
        )
        lot = ParkingLot(self.control, self.parked, engine, now=self.now, bring=dispatcher.bring)
        holder.append(lot)
        self._connect(engine, dispatcher, around)
        return Sender(
            process=self.process, control=self.control, dispatcher=dispatcher, desk=desk,
            deliveries=self.deliveries, parked=self.parked, lanes=tuple(self.lanes.values()),
            engine=engine, leases=leases, orders=around.orders, shaping=self.shaping,
            warmup=around.warmup, shared=around.shared, memory=around.memory, lot=lot,
            showcase=showcase, tls_memory=safety.memory, tls_reports=safety.reports,
            policies=safety.policies, router=router, resolver=self.resolver, own=self.own,
            now=self.now, unknowns=self.unknowns,
        )  # fmt: skip

    def _hearer(self, showcase: Showcase, orders: OrderDesk) -> Callable[[Grant, Exchanged], None]:
        """Return who hears of every reply to a message."""
        traced = AttemptLog(lambda: orders.book, self.now)

        def concluded(grant: Grant, exchanged: Exchanged) -> None:
            showcase.concluded(grant, exchanged)
            traced.concluded(grant, exchanged)
            self._met(grant.connection, exchanged.reply, exchanged.judgement)

        return concluded

    def _met(self, connection: Connection, reply: SmtpReply, judgement: Judgement) -> None:
        self.unknowns.met(reply, judgement, connection.site.provider)
        self.alarms.met(connection, reply, judgement)

    def _briefing(self, router: Router, around: _Around, safety: Safety) -> Briefing:
        leases, orders = around.leases, around.orders
        pools = ReroutedPools(
            KeptPools(DynamoPoolRules(self._rows), lambda: leases.fleet, clock=time.monotonic),
            lambda: orders.book,
            self.now,
        )
        return Briefing(
            self.submissions,
            self.tenants,
            router.hosts,
            self.shaping.site_of,
            pools,
            policy=safety.policies.policy,
        )

    def _connect(self, engine: Engine, dispatcher: Dispatcher, around: _Around) -> None:
        def changed() -> None:
            engine.reconsider(self.now())
            dispatcher.kick()

        self._bell = changed
        actions = OrderActions(
            self.process.id,
            engine.paths.all,
            around.leases,
            self.now,
            lambda source, site: around.memory.lift(engine, source.id, site),
        )
        self._obey = actions.look
        around.listener.plug(
            engine,
            kick=dispatcher.kick,
            released=around.leases.released,
            forget=around.warmup.release,
            now=self.now,
        )

    def _desk(self) -> Desk:
        settings = self._settings
        journal = Journal(self._host.journal)
        return Desk(
            book=self.deliveries,
            journal=journal,
            copier=Copier(
                submissions=self.submissions,
                bodies=HostBodies(self._clients.s3, settings.resource("bucket", "bodies")),
                tenants=self.tenants,
                signer=Signer(clock=time.time),
                limits=limits_of(settings),
                blocked=HostSuppressions(
                    self._clients.dynamodb, settings.resource("table", "suppressions"), time.time
                ),
            ),
            wake=self._wake,
            settled=Recorder(self.deliveries, journal, self._wake, time.time),
            policy=settings.retry,
            faults=faults_of(self._host.fault_file),
            now=time.time,
            monotonic=time.monotonic,
            jitter=lambda: random.uniform(-1, 1),  # noqa: S311 - spreads retries, guards nothing
            new_id=lambda: claim_id(self.process.id, secrets.token_hex(8)),
            hold_seconds=settings.hold_seconds,
        )

    async def _wake(self, wake_up: WakeUp, delay: float) -> bool:
        lane = LaneClass.BULK if wake_up.bulk else LaneClass.TRANSACTIONAL
        return await self.lanes[lane].wake(wake_up, delay)

    def _leases(self, listener: Listener) -> LeaseKeeper:
        return LeaseKeeper(
            self.control,
            DynamoSources(self._rows),
            self.process,
            self._binder(),
            listener,
            clock=self.now,
            wall=time.time,
            own=self.own,
        )

    def _binder(self) -> Binder:
        interface = self._host.elastic_interface
        if not interface:
            return LocalBinder()
        return ElasticBinder(Ec2Addresses(client("ec2")), interface, clock=time.monotonic)

    def _who(self, leases: LeaseKeeper, orders: OrderDesk) -> Who:
        return Who(
            process=self.process.id,
            started_at=self.process.started_at,
            version=VERSION,
            leases=lambda: tuple(each.id for each in leases.held()),
            draining=lambda: leases.draining,
            shaping=lambda: self.shaping.version,
            rules=lambda: self.shaping.rules_version,
            book=lambda: orders.book,
        )
