"""What outlives a process: states of paths and bars, over a control table in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import pytest

from bench.engine_lab import SimWorld
from egress.core.engine.bars import Bar, BarKey, Bars, BarScope
from egress.core.engine.engine import Engine, EngineSettings
from egress.core.engine.path_record import PathRecord, PathState, dump
from egress.core.engine.paths import Path
from egress.sender.path_memory import BARS, PATH_TTL, TIDY_SECONDS, PathMemory
from mailroom.domain.sending.path import PathKey, Site
from mailroom.domain.sending.source import SourceAddress
from mailroom.domain.tenancy.record import Place, Record, RecordPage
from mailroom.fakes.control import MemoryControl
from mailroom.ports.control import Control
from tests.support.flaky_control import FlakyControl

NOW = 1_800_000_000.0
SITE = Site("mx.test", "gmail")
SOURCE = SourceAddress("a", "pool", "a.example")
PATH_ROW = Place("path#a", "mx.test")
BAR = BarKey(BarScope.DOMAIN, "demo.example", "gmail")


@dataclass
class Process:
    """One host's engine and what it remembers."""

    control: Control
    now: float = NOW
    memory: PathMemory = field(init=False)
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.memory = PathMemory(self.control, now=lambda: self.now)
        world = SimWorld([SOURCE], records=self.memory.records)
        self.engine = Engine(world, EngineSettings(), Bars())

    @property
    def path(self) -> Path:
        return self.engine.paths.of(SOURCE, SITE, self.now)

    def order(self, state: PathState, until: float | None = NOW + 600) -> None:
        self.path.control.ordered(self.now, state, until, "a test", "ann")

    def bar(self, until: float = NOW + 600) -> Bar:
        return self.engine.bars.order(BAR, until, "a test", "ann", self.now)


@pytest.fixture
def control() -> MemoryControl:
    return MemoryControl()


async def started(control: Control) -> Process:
    process = Process(control)
    await process.memory.begin(process.engine, "a")
    return process


async def test_a_path_that_was_silenced_is_silent_after_a_restart(control: MemoryControl) -> None:
    first = await started(control)
    first.order(PathState.SUSPENDED)
    await first.memory.keep(first.engine)
    second = await started(control)
    permit = second.path.control.permit(NOW + 1)
    assert (permit.state, permit.may_send) == (PathState.SUSPENDED, False)
    assert second.memory.records[PathKey("a", "mx.test")].by == "ann"
    assert "a" in second.memory.known


async def test_the_row_says_whose_site_it_is_and_when_it_may_vanish(
    control: MemoryControl,
) -> None:
    process = await started(control)
    process.order(PathState.BACKOFF, NOW + 90)
    await process.memory.keep(process.engine)
    row = control.read(PATH_ROW)
    assert row is not None
    assert row.body["provider"] == "gmail"
    assert row.expires_at == NOW + 90 + PATH_TTL


async def test_what_waits_for_a_person_never_vanishes(control: MemoryControl) -> None:
    process = await started(control)
    process.order(PathState.DISABLED, None)
    process.bar(inf)
    await process.memory.keep(process.engine)
    rows = control.read(PATH_ROW), control.read(Place(BARS, str(BAR)))
    assert [row.expires_at for row in rows if row] == [None, None]


async def test_only_what_has_changed_is_written(control: MemoryControl) -> None:
    process = await started(control)
    process.order(PathState.BACKOFF)
    process.bar()
    revisions = []
    for change in (None, None, PathState.SUSPENDED):
        if change:
            process.order(change)
        await process.memory.keep(process.engine)
        rows = control.read(PATH_ROW), control.read(Place(BARS, str(BAR)))
        revisions.append([row.revision for row in rows if row])
    assert revisions == [[1, 1], [1, 1], [2, 1]]


async def test_a_path_that_is_as_new_is_not_written(control: MemoryControl) -> None:
    process = await started(control)
    assert process.path.control.version == 0
    await process.memory.keep(process.engine)
    assert control.read(PATH_ROW) is None


async def test_the_paths_of_a_lost_address_are_its_next_owners_to_write(
    control: MemoryControl,
) -> None:
    first, second = await started(control), await started(control)
    first.order(PathState.BACKOFF)
    first.memory.forget("a")
    second.order(PathState.SUSPENDED)
    await second.memory.keep(second.engine)
    await first.memory.keep(first.engine)
    row = control.read(PATH_ROW)
    assert row is not None
    assert (row.body["state"], row.revision) == ("suspended", 1)
    assert not first.memory.records


async def test_an_address_that_comes_back_has_what_its_last_owner_learned(
    control: MemoryControl,
) -> None:
    first, second = await started(control), await started(control)
    first.memory.forget("a")
    second.order(PathState.SUSPENDED)
    await second.memory.keep(second.engine)
    await first.memory.load("a")
    assert first.path.control.permit(NOW).state is PathState.SUSPENDED


async def test_a_bar_of_one_host_is_every_hosts(control: MemoryControl) -> None:
    first, second = await started(control), await started(control)
    bar = first.bar()
    await first.memory.keep(first.engine)
    assert second.engine.bars.find(BAR, NOW) is None
    await second.memory.keep(second.engine)
    assert second.engine.bars.find(BAR, NOW) == bar
    assert (await started(control)).engine.bars.find(BAR, NOW) == bar


async def test_a_bar_that_is_lifted_anywhere_is_lifted_everywhere(control: MemoryControl) -> None:
    first, second = await started(control), await started(control)
    first.bar()
    await first.memory.keep(first.engine)
    await second.memory.keep(second.engine)
    control.delete(Place(BARS, str(BAR)))
    for process in (first, second, first):
        await process.memory.keep(process.engine)
    assert not first.engine.bars.all(NOW)
    assert not second.engine.bars.all(NOW)
    assert control.read(Place(BARS, str(BAR))) is None


class Meanwhile(MemoryControl):
    """Something happens while bars are read."""

    def __init__(self) -> None:
        super().__init__()
        self.happens: Callable[[], object] = lambda: None

    def page(
        self, partition: str, prefix: str = "", *, limit: int = 1_000, after: str = ""
    ) -> RecordPage:
        page = super().page(partition, prefix, limit=limit, after=after)
        if partition == BARS:
            self.happens()
        return page


async def test_a_bar_that_comes_while_the_table_is_asked_is_not_forgotten() -> None:
    control = Meanwhile()
    process = await started(control)
    control.happens = process.bar
    await process.memory.keep(process.engine)
    control.happens = lambda: None
    assert process.engine.bars.find(BAR, NOW)
    await process.memory.keep(process.engine)
    assert control.read(Place(BARS, str(BAR))) is not None


async def test_what_the_table_did_not_take_is_written_later(
    control: MemoryControl, caplog: pytest.LogCaptureFixture
) -> None:
    flaky = FlakyControl(control)
    process = await started(flaky)
    process.order(PathState.BACKOFF)
    bar = process.bar()
    flaky.before = lambda: True
    await process.memory.keep(process.engine)
    assert "states of paths are not written" in caplog.messages
    assert process.engine.bars.find(BAR, NOW) == bar
    flaky.before = lambda: False
    await process.memory.keep(process.engine)
    assert control.read(PATH_ROW)
    assert control.read(Place(BARS, str(BAR)))


async def test_before_the_first_mail_the_table_is_asked_until_it_answers(
    control: MemoryControl,
) -> None:
    silent = [True]
    flaky = FlakyControl(control, before=lambda: bool(silent and silent.pop()))
    process = await started(flaky)
    assert "a" in process.memory.known
    assert not silent


async def test_a_bar_that_cannot_be_read_hides_no_other(
    control: MemoryControl, caplog: pytest.LogCaptureFixture
) -> None:
    first = await started(control)
    first.bar()
    await first.memory.keep(first.engine)
    control.put(Record(Place(BARS, "a-stranger"), {"scope": "galaxy"}))
    process = await started(control)
    assert process.engine.bars.find(BAR, NOW)
    assert "unreadable bar" in caplog.messages


async def test_a_path_whose_trouble_is_long_over_is_made_from_nothing(
    control: MemoryControl,
) -> None:
    trouble = PathRecord(PathState.BACKOFF, since=NOW, until=NOW + 60, strikes=3, clean_since=NOW)
    control.put(Record(PATH_ROW, dump(trouble)))
    process = await started(control)
    assert process.path.control.permit(NOW).state is PathState.BACKOFF
    for _ in range(60):
        process.now += 86_400
        await process.memory.keep(process.engine)
    assert not process.engine.paths.all()
    assert not process.memory.records
    assert process.path.control.record.strikes == 0
    process.order(PathState.BACKOFF, process.now + 60)
    await process.memory.keep(process.engine)
    row = control.read(PATH_ROW)
    assert row is not None
    assert row.body["until"] == process.now + 60


async def test_an_unused_path_is_forgotten_after_a_while(control: MemoryControl) -> None:
    process = await started(control)
    assert process.path
    process.now += 3_599
    await process.memory.keep(process.engine)
    assert process.engine.paths.all()
    process.now += TIDY_SECONDS
    await process.memory.keep(process.engine)
    assert not process.engine.paths.all()


async def test_a_path_with_a_past_is_not_forgotten(control: MemoryControl) -> None:
    process = await started(control)
    process.order(PathState.DISABLED, None)
    process.now += 90_000
    await process.memory.keep(process.engine)
    assert process.engine.paths.all()


async def test_an_address_that_an_operator_lets_go_on_is_barred_by_no_row(
    control: MemoryControl,
) -> None:
    first, second = await started(control), await started(control)
    bar = BarKey(BarScope.ADDRESS, "a", "gmail")
    first.engine.bars.order(bar, inf, "banned", "ann", NOW)
    await first.memory.keep(first.engine)
    await second.memory.keep(second.engine)
    first.memory.lift(first.engine, "a", SITE)
    assert first.engine.bars.of_address("a", "gmail", NOW) is None
    await first.memory.keep(first.engine)
    await second.memory.keep(second.engine)
    assert control.read(Place(BARS, str(bar))) is None
    assert second.engine.bars.of_address("a", "gmail", NOW) is None
