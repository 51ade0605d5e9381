"""The engine's own decisions for a message: offer, pump, conclude; nothing around them is real."""

from itertools import count as count_up

from bench.engine_lab import OK, START, SimWorld, make_job
from bench.memory_sender import path_settings
from egress.core.engine.bars import Bars
from egress.core.engine.engine import Engine, EngineSettings
from egress.core.engine.work import Connection, Offer
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.source import SourceAddress

_TENANTS = 10


class BusyEngine:
    """An engine in the middle of its work: open connections, and mail that waits."""

    def __init__(self, *, connections: int = 20, waiting: int = 200) -> None:
        settings = path_settings(connections)
        world = SimWorld(
            [SourceAddress("bench", "pool", "bench.test")],
            shaping=lambda _site, _source: settings,
        )
        self._engine = Engine(world, EngineSettings(slots=connections), Bars())
        self._site = Site("sink.test")
        self._numbers = count_up(1)
        self._now = START
        self._busy: list[Connection] = []
        for _ in range(waiting):
            self._offer()
        for connection in self._engine.pump(self._now).opens:
            self._engine.opened(connection, self._now)
        self._pump()

    def message(self) -> None:
        """Conclude one message, take another in, and do what the engine says."""
        self._now += 0.001
        connection = self._busy.pop()
        self._engine.concluded(connection, self._now, judgement=None, reply=OK, usable=True)
        self._pump()
        self._offer()
        self._pump()

    def _offer(self) -> None:
        number = next(self._numbers)
        job = make_job(number, tenant=f"t{number % _TENANTS}", at=self._now)
        self._engine.offer(Offer(job, self._site, "mx"), self._now)

    def _pump(self) -> None:
        work = self._engine.pump(self._now)
        self._busy = [*(grant.connection for grant in work.grants), *self._busy]
