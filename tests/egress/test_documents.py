"""A host's documents: what is published counts at the next look, and nothing bad ever does."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from egress.documents import WHOLE, Documents
from mailroom.adapters.shipped import shipped, shipped_reply_rules
from mailroom.domain.shaping.layers import effective
from mailroom.domain.tenancy.record import Place, Record, RecordPage
from mailroom.fakes.control import MemoryControl
from mailroom.fakes.memory import FixedClock
from mailroom.usecases.published import Kind, PublishPorts, publish, rollback


class Table(MemoryControl):
    """Counts its queries, loses writes of generations and fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = 0
        self.is_down = self.is_forgetful = False

    def read(self, place: Place) -> Record | None:
        if self.is_down:
            raise OSError("no answer")
        return super().read(place)

    def page(self, *given: Any, **more: Any) -> RecordPage:
        self.pages += 1
        return super().page(*given, **more)

    def put(self, record: Record, expected: int | None = None) -> Record | None:
        if self.is_forgetful and record.place.partition == "generation":
            return None
        return super().put(record, expected)


class Stand:
    def __init__(self, table: Table | None = None) -> None:
        self.clock = FixedClock()
        self.table = table or Table()
        self.heard: list[Kind] = []
        self.documents = Documents(
            self.table, now=self.clock.now, changed=self.heard.append, every=0.001
        )

    def publish(self, connections: int, *, loosely: Mapping[str, Any] | None = None) -> None:
        ports = PublishPorts(self.table)
        document = loosely or {"defaults": {"connections": connections}}
        if loosely:
            ports = PublishPorts(self.table, {kind: lambda _: () for kind in Kind})
        publish(Kind.SHAPING, document, "Ann", "why", 1.0, ports)

    @property
    def connections(self) -> int:
        shaping = self.documents.shaping
        return effective(shaping, provider="other", site="mx:x").settings.connections


@pytest.fixture
def stand() -> Stand:
    return Stand()


async def test_while_nothing_is_published_what_is_shipped_counts(stand: Stand) -> None:
    await stand.documents.refresh()
    assert stand.connections == 10
    assert stand.documents.shaping_version == "shipped starter"
    assert stand.documents.rules.rules == shipped_reply_rules().rules
    assert stand.documents.rules_version.startswith("shipped ")
    assert stand.heard == []


def test_the_shipped_set_is_chosen_by_name() -> None:
    local = Documents(MemoryControl(), now=FixedClock().now, shaping="local")
    assert local.shaping_version == "shipped local"
    assert local.shaping.defaults.values["connections"] == 20
    with pytest.raises(ValueError, match="no shaping set"):
        Documents(MemoryControl(), now=FixedClock().now, shaping="mine")


async def test_each_version_counts_at_the_next_look_and_is_told_once(stand: Stand) -> None:
    await stand.documents.refresh()
    stand.publish(7)
    await stand.documents.refresh()
    assert (stand.connections, stand.documents.shaping_version) == (7, "1")
    await stand.documents.refresh()
    stand.publish(6)
    await stand.documents.refresh()
    assert (stand.connections, stand.documents.shaping_version) == (6, "2")
    rollback(Kind.SHAPING, 1, "Ann", "why", 2.0, PublishPorts(stand.table))
    await stand.documents.refresh()
    assert (stand.connections, stand.documents.shaping_version) == (7, "3")
    assert stand.heard == [Kind.SHAPING] * 3


async def test_rules_are_taken_over_too(stand: Stand) -> None:
    document = {**shipped("reply_rules"), "version": "mine"}
    publish(Kind.RULES, document, "Ann", "why", 1.0, PublishPorts(stand.table))
    await stand.documents.refresh()
    assert (stand.documents.rules.version, stand.documents.rules_version) == ("mine", "1")
    assert stand.heard == [Kind.RULES]


async def test_a_look_costs_no_query_while_nothing_changes(stand: Stand) -> None:
    stand.publish(7)
    await stand.documents.refresh()
    before = stand.table.pages
    for _ in range(5):
        await stand.documents.refresh()
    assert stand.table.pages == before


async def test_a_version_whose_generation_was_lost_is_seen_within_a_minute(stand: Stand) -> None:
    await stand.documents.refresh()
    stand.table.is_forgetful = True
    stand.publish(7)
    await stand.documents.refresh()
    assert stand.connections == 10
    stand.clock.at += WHOLE
    await stand.documents.refresh()
    assert stand.connections == 7


async def test_a_version_that_cannot_be_read_here_leaves_the_one_before_and_is_told_once(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.publish(7)
    await stand.documents.refresh()
    stand.publish(0, loosely={"defaults": {"of_the_future": 5}})
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            stand.clock.at += WHOLE
            await stand.documents.refresh()
    assert (stand.connections, stand.documents.shaping_version) == (7, "1")
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "version 2 of shaping" in caplog.text
    assert "of_the_future" in caplog.text
    stand.publish(5)
    await stand.documents.refresh()
    assert (stand.connections, stand.documents.shaping_version) == (5, "3")


async def test_a_damaged_version_leaves_the_one_before(stand: Stand) -> None:
    stand.publish(7)
    await stand.documents.refresh()
    stand.publish(6)
    for record in stand.table.page(Kind.SHAPING, "part#").records:
        stand.table.put(Record(record.place, {"text": "damaged"}))
    await stand.documents.refresh()
    assert stand.connections == 7


async def test_without_an_answer_at_the_start_what_is_shipped_counts_until_there_is_one(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.publish(7)
    stand.table.is_down = True
    await stand.documents.refresh()
    assert stand.connections == 10
    assert "what is known stays in force" in caplog.text
    stand.table.is_down = False
    await stand.documents.refresh()
    assert stand.connections == 7


async def test_without_an_answer_later_what_is_known_stays(stand: Stand) -> None:
    stand.publish(7)
    await stand.documents.refresh()
    stand.publish(6)
    stand.table.is_down = True
    await stand.documents.refresh()
    assert stand.connections == 7
    stand.table.is_down = False
    await stand.documents.refresh()
    assert stand.connections == 6


async def test_it_looks_until_it_is_stopped(stand: Stand) -> None:
    stop = asyncio.Event()
    heard = asyncio.Event()
    stand.documents = Documents(
        stand.table, now=stand.clock.now, changed=lambda _: heard.set(), every=0.001
    )
    running = asyncio.create_task(stand.documents.run(stop))
    await asyncio.sleep(0)
    stand.publish(7)
    async with asyncio.timeout(10):
        await heard.wait()
        stop.set()
        await running
    assert stand.connections == 7
