"""Addresses come and go: the engine uses one only with its history, and lets go in peace."""

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from bench.engine_lab import SimWorld, make_job
from egress.core.engine.bars import Bars
from egress.core.engine.engine import Engine, EngineSettings
from egress.core.engine.path_record import PathState
from egress.core.engine.work import Connection, Offer
from egress.sender.listener import Listener
from egress.sender.path_memory import PathMemory
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.source import AddressState, SourceAddress
from mailroom.domain.tenancy.record import Place, RecordPage
from mailroom.fakes.control import MemoryControl
from tests.support.desk import until

NOW = 1_800_000_000.0
SITE = Site("mx.test")
A = SourceAddress("a", "pool", "a.example")


class SlowControl(MemoryControl):
    """Answers when it is let; `trouble` is raised first."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()
        self.asked = 0
        self.trouble: list[Exception] = []

    def page(
        self, partition: str, prefix: str = "", *, limit: int = 1_000, after: str = ""
    ) -> RecordPage:
        self.asked += 1
        if self.trouble:
            raise self.trouble.pop()
        page = super().page(partition, prefix, limit=limit, after=after)
        self.go.wait(10)
        return page


@dataclass
class Stand:
    """A listener with an engine, and what it told."""

    control: SlowControl = field(default_factory=SlowControl)
    kicks: int = 0
    released: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.memory = PathMemory(self.control, now=lambda: NOW)
        self.world = SimWorld([A], records=self.memory.records)
        self.engine = Engine(self.world, EngineSettings(), Bars())
        self.listener = Listener(self.memory, again=0.0, look=0.0)
        self.listener.plug(
            self.engine,
            kick=self._kick,
            released=self.released.append,
            forget=self._forget,
            now=lambda: NOW,
        )

    def connect(self) -> Connection:
        """Have a connection with a message under way."""
        self.engine.offer(Offer(make_job(1), SITE, "mx"), NOW)
        (connection,) = self.engine.pump(NOW).opens
        self.engine.opened(connection, NOW)
        assert self.engine.pump(NOW).grants
        return connection

    def _kick(self) -> None:
        self.kicks += 1

    async def _forget(self, address: str) -> None:
        await asyncio.sleep(0)
        self.forgotten.append(address)


@pytest.fixture
def stand() -> Stand:
    return Stand()


async def test_an_address_is_used_when_its_history_is_known(stand: Stand) -> None:
    stand.listener.gained(A)
    assert "a" not in stand.memory.known
    await until(lambda: stand.kicks)
    assert "a" in stand.memory.known


async def test_history_that_cannot_be_read_is_asked_for_again(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.control.trouble = [OSError("down"), OSError("down")]
    stand.listener.gained(A)
    await until(lambda: stand.kicks)
    assert stand.control.asked == 3
    assert "states of paths cannot be read" in caplog.messages


async def test_what_changes_of_an_address_that_we_have_is_known_at_once(stand: Stand) -> None:
    stand.listener.gained(A)
    await until(lambda: stand.kicks)
    path = stand.engine.paths.of(A, SITE, NOW)
    draining = SourceAddress("a", "pool", "other.example", state=AddressState.DRAINING)
    stand.listener.gained(draining)
    assert path.source is draining
    await until(lambda: stand.kicks == 2)
    assert stand.control.asked == 1


async def test_an_address_lost_while_its_history_is_read_is_not_known(stand: Stand) -> None:
    stand.control.go.clear()
    stand.listener.gained(A)
    await until(lambda: stand.control.asked)
    stand.listener.lost(A)
    stand.control.go.set()
    await until(lambda: not stand.listener._tasks)
    assert "a" not in stand.memory.known  # another owner writes it now: it must be read anew


async def test_a_lost_address_is_given_up_with_all_that_belongs_to_it(stand: Stand) -> None:
    stand.listener.gained(A)
    await until(lambda: stand.kicks)
    stand.engine.paths.of(A, SITE, NOW)
    stand.listener.lost(A)
    assert "a" not in stand.memory.known
    assert stand.kicks == 2
    await until(lambda: not stand.listener._tasks)
    assert stand.forgotten == ["a"]
    assert not stand.engine.paths.all()
    assert not stand.released


async def test_a_leaving_address_is_released_when_nothing_is_under_way(stand: Stand) -> None:
    stand.listener.gained(A)
    await until(lambda: stand.kicks)
    connection = stand.connect()
    stand.engine.path_of(connection.path).control.ordered(
        NOW, PathState.BACKOFF, NOW + 60, "a test", "ann"
    )
    stand.listener.leaving(A)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not stand.released
    stand.engine.closed(connection)
    await until(lambda: stand.released)
    assert stand.released == ["a"]
    assert stand.control.read(Place("path#a", "mx.test"))  # its next owner knows of it
    assert "a" not in stand.memory.known
    assert not stand.engine.paths.all()


async def test_an_address_that_comes_back_while_it_leaves_stays(stand: Stand) -> None:
    stand.listener.gained(A)
    await until(lambda: stand.kicks)
    connection = stand.connect()
    stand.listener.leaving(A)
    stand.listener.gained(A)
    stand.engine.closed(connection)
    await until(lambda: not stand.listener._tasks)
    assert not stand.released
    assert "a" in stand.memory.known


async def test_an_address_that_comes_back_while_its_history_is_written_stays(
    stand: Stand,
) -> None:
    stand.listener.gained(A)
    await until(lambda: stand.kicks)
    stand.control.go.clear()
    asked = stand.control.asked
    stand.listener.leaving(A)
    await until(lambda: stand.control.asked > asked)  # it writes, and reads bars
    stand.listener.gained(A)
    stand.control.go.set()
    await until(lambda: not stand.listener._tasks)
    assert not stand.released
    assert "a" in stand.memory.known
