"""A sender over memory: dispatcher, engine and connections are real; one source, one site."""

import time
from collections.abc import Callable

from bench.engine_lab import SimWorld
from bench.memory_desk import MemoryMail, MemoryTenants, broken, desk_over
from egress.core.engine.bars import Bars
from egress.core.engine.engine import Engine, EngineSettings
from egress.core.engine.work import Parked
from egress.core.mx import MxAnswer, MxTarget
from egress.journal import Journal
from egress.opening import Opener, OpenerSettings
from egress.remembered import Remembered
from egress.sender.briefing import Briefing, KeptSubmissions
from egress.sender.dispatch import Dispatcher, Plan
from egress.sender.doors import PathDoors
from egress.sender.leaving import Leaving
from mailroom.domain.event import Event
from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.domain.replies.book import RuleBook
from mailroom.domain.sending.job import LaneClass
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.settings import PathSettings
from mailroom.domain.sending.source import HOST_POOL, SourceAddress

SITE = Site("sink.test")
_MANY = 1_000_000
_READY = 500  # as much as may wait for one site: nothing is to be parked here


class Nowhere:
    """The places where mail waits: here nothing may, or the benchmark itself is broken."""

    async def park(
        self, key: DeliveryKey, generation: int, shard: str, at: float, event: Event | None = None
    ) -> bool:
        """See leaving.Places."""
        broken(f"{key} ({generation}) was parked in {shard} at {at}: {event}")

    async def put_off(self, key: DeliveryKey, generation: int, until: float) -> bool:
        """See leaving.Places."""
        broken(f"{key} ({generation}) was put off until {until}")


def path_settings(connections: int) -> PathSettings:
    """Return the settings of a path with so many connections from the first message on."""
    return PathSettings(
        connections=connections,
        start_connections=connections,
        host_connections=connections,
        connection_rate=None,
        message_rate=None,
        messages_per_connection=_MANY,
    )


def world_of(connections: int) -> SimWorld:
    """Return a world with one source address."""
    settings = path_settings(connections)
    address = SourceAddress("bench", HOST_POOL, "bench.mailroom.test")
    return SimWorld([address], shaping=lambda _site, _source: settings)


def dispatcher_over(
    mail: MemoryMail, *, port: int, journal: Journal, connections: int, links: bool
) -> Dispatcher:
    """Return a dispatcher that sends all of `mail` to the sink on `port`."""
    tenants = MemoryTenants(links=links)
    submissions = KeptSubmissions(mail)
    desk = desk_over(mail, submissions, tenants, journal)
    settings = EngineSettings(slots=connections, ready=_READY)
    engine = Engine(world_of(connections), settings, Bars())
    now = _steady()
    opener = Opener(OpenerSettings(), Remembered(60.0, clock=time.monotonic), clock=time.monotonic)
    answer = MxAnswer((MxTarget("sink.test", "127.0.0.1", port),))
    rules = RuleBook(())

    async def resolve(_server: ServerId, domain: str) -> MxAnswer:
        assert domain
        return answer

    return Dispatcher(
        Plan(
            intakes={LaneClass.TRANSACTIONAL: mail},
            desk=desk,
            engine=engine,
            briefing=Briefing(
                KeptSubmissions(mail), tenants, resolve, lambda _domain, _answer: SITE
            ),
            doors=PathDoors(opener, engine).doors,
            leaving=Leaving(desk, Nowhere(), _announce, rules.judge),
            rules=lambda: rules,
            now=now,
        )
    )


def _site(_domain: str, _answer: MxAnswer) -> Site:
    return SITE


async def _announce(parked: Parked, shard: str) -> None:
    broken(f"{parked} was parked in {shard}")


def _steady() -> Callable[[], float]:
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset
