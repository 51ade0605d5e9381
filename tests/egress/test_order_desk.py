"""A host's orders: taken over when they change, kept when the table does not answer."""

import asyncio
from typing import Any

import pytest

from egress.orders import WHOLE, OrderDesk
from mailroom.domain.sending.order import OrderVerb, Selector
from mailroom.domain.sending.order_book import OrderBook
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.record import Place, Record, RecordPage
from mailroom.fakes.control import MemoryControl
from mailroom.fakes.memory import FixedChance, FixedClock
from mailroom.fakes.registry import MemoryRegistry
from mailroom.usecases.orders import NewOrder, OrderPorts, add_order, cancel_order
from mailroom.usecases.registrar import Registrar

ANN = Actor("user", "usr_ann", "Ann")


class Table(MemoryControl):
    """Counts its reads of orders, and fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = 0
        self.is_down = False

    def read(self, place: Place) -> Record | None:
        if self.is_down:
            raise OSError("no answer")
        return super().read(place)

    def page(self, *given: Any, **more: Any) -> RecordPage:
        self.pages += 1
        return super().page(*given, **more)


class Stand:
    def __init__(self) -> None:
        self.clock = FixedClock()
        self.table = Table()
        self.books: list[OrderBook] = []
        self.ports = OrderPorts(
            self.table, Registrar(MemoryRegistry(), self.clock, FixedChance(), "test")
        )
        self.desk = OrderDesk(
            self.table, now=self.clock.now, changed=self.books.append, every=0.001
        )

    def order(self, seconds: float = 300.0) -> str:
        new = NewOrder(OrderVerb.PAUSE, Selector(tenant="srv"), "why", seconds)
        return add_order(new, self.ports, actor=ANN).id

    @property
    def known(self) -> list[str]:
        return [each.id for each in self.desk.book.orders]


@pytest.fixture
def stand() -> Stand:
    return Stand()


async def test_a_new_and_a_cancelled_order_are_known_at_the_next_look(stand: Stand) -> None:
    await stand.desk.refresh()
    id_ = stand.order()
    await stand.desk.refresh()
    assert stand.known == [id_]
    cancel_order(id_, stand.ports, actor=ANN)
    await stand.desk.refresh()
    assert stand.known == []
    assert [len(each.orders) for each in stand.books] == [1, 0]
    assert stand.desk.asked_at == stand.clock.at


async def test_while_nothing_changes_orders_are_read_once_a_minute(stand: Stand) -> None:
    for _ in range(5):
        await stand.desk.refresh()
    assert stand.table.pages == 1
    stand.clock.at += WHOLE
    await stand.desk.refresh()
    assert stand.table.pages == 2
    assert stand.books == []


async def test_a_table_that_is_silent_leaves_orders_in_force_until_they_expire(
    stand: Stand,
) -> None:
    id_ = stand.order(seconds=300.0)
    await stand.desk.refresh()
    stand.table.is_down = True
    stand.clock.at += 299
    await stand.desk.refresh()
    assert stand.known == [id_]
    stand.clock.at += 1
    await stand.desk.refresh()
    assert stand.known == []
    assert len(stand.books) == 2


async def test_it_asks_until_it_is_told_to_stop(stand: Stand) -> None:
    stop = asyncio.Event()
    id_ = stand.order()
    stand.desk._changed = lambda _: stop.set()
    await stand.desk.run(stop)
    assert stand.known == [id_]
