"""Orders are given, listed, cancelled and audited."""

from typing import Any

import pytest

from mailroom.domain.sending.order import MAX_ORDERS, OrderVerb, Selector
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.audit import audit_partition
from mailroom.domain.tenancy.record import Place, Record
from mailroom.errors import NotFoundError, OrderError, TooManyError
from mailroom.fakes.control import MemoryControl
from mailroom.fakes.memory import FixedChance, FixedClock
from mailroom.fakes.registry import MemoryRegistry
from mailroom.usecases.orders import (
    NewOrder,
    OrderPorts,
    add_order,
    cancel_order,
    generation,
    read_order,
    read_orders,
)
from mailroom.usecases.registrar import Registrar

ANN = Actor("user", "usr_ann", "Ann")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def ports(clock: FixedClock) -> OrderPorts:
    registrar = Registrar(MemoryRegistry(), clock, FixedChance(), "test")
    return OrderPorts(MemoryControl(), registrar)


def new(verb: str = "pause", **more: Any) -> NewOrder:
    return NewOrder(OrderVerb(verb), more.pop("selector", Selector(tenant="srv")), "why", **more)


def audit(ports: OrderPorts, clock: FixedClock) -> list[Any]:
    entries = ports.registrar.registry.page(audit_partition("", clock.at), "", limit=9).records
    return [(each.body["action"], each.body["kind"], each.body["id"]) for each in entries]


def test_an_order_is_given_told_to_hosts_and_noted(ports: OrderPorts, clock: FixedClock) -> None:
    before = generation(ports.control)
    made = add_order(new("bounce"), ports, actor=ANN)
    assert (made.author, made.expires_at - made.created_at) == ("Ann", 300)
    assert read_orders(ports.control, now=clock.at).orders == [made]
    assert read_order(made.id, ports) == made
    assert generation(ports.control) == before + 1
    assert audit(ports, clock) == [("create", "order", made.id)]


def test_a_cancelled_order_is_gone_and_that_is_noted(ports: OrderPorts, clock: FixedClock) -> None:
    made = add_order(new(seconds=60.0), ports, actor=ANN)
    clock.at += 1
    assert cancel_order(made.id, ports, actor=ANN) == made
    assert read_orders(ports.control, now=clock.at).orders == []
    assert generation(ports.control) == 2
    assert audit(ports, clock)[-1] == ("delete", "order", made.id)
    with pytest.raises(NotFoundError):
        cancel_order(made.id, ports, actor=ANN)


def test_an_order_that_is_over_is_not_in_force_any_more(
    ports: OrderPorts, clock: FixedClock
) -> None:
    made = add_order(new(seconds=60.0), ports, actor=ANN)
    clock.at += 60
    assert read_orders(ports.control, now=clock.at).orders == []
    with pytest.raises(NotFoundError):
        read_order(made.id, ports)


def test_what_cannot_be_obeyed_leaves_no_trace(ports: OrderPorts, clock: FixedClock) -> None:
    with pytest.raises(OrderError, match="needs a pool"):
        add_order(new("reroute"), ports, actor=ANN)
    with pytest.raises(OrderError, match="confirm"):
        add_order(new("bounce", selector=Selector()), ports, actor=ANN)
    assert (generation(ports.control), audit(ports, clock)) == (0, [])


def test_the_newest_come_first_and_there_is_an_end_to_them(
    ports: OrderPorts, clock: FixedClock
) -> None:
    for _ in range(MAX_ORDERS):
        clock.at += 1
        add_order(new(seconds=86_400.0), ports, actor=ANN)
    with pytest.raises(TooManyError):
        add_order(new(), ports, actor=ANN)
    found = [each.created_at for each in read_orders(ports.control, now=clock.at).orders]
    assert found == sorted(found, reverse=True)


def test_an_order_of_a_later_version_is_named_not_obeyed(
    ports: OrderPorts, clock: FixedClock
) -> None:
    ports.control.put(Record(Place("order", "ord_x"), {"id": "ord_x", "verb": "teleport"}))
    found = read_orders(ports.control, now=clock.at)
    assert (found.orders, found.unreadable) == ([], ["ord_x"])
