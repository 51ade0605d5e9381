"""Orders, dialogues and views of hosts over the fake and the table."""

from typing import Any

import pytest

from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
from mailroom.adapters.tables import bound
from mailroom.domain.sending.order import OrderArguments, OrderVerb, Selector
from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.trace import TraceDepth, TraceLine, TraceRequest, TraceState
from mailroom.domain.sending.view import HostView, PathView
from mailroom.domain.tenancy.access import Actor
from mailroom.fakes.control import MemoryControl
from mailroom.fakes.memory import FixedChance, FixedClock
from mailroom.fakes.registry import MemoryRegistry
from mailroom.ports.control import Control
from mailroom.usecases.host_views import read_views, remove_view, write_view
from mailroom.usecases.orders import (
    NewOrder,
    OrderPorts,
    add_order,
    cancel_order,
    generation,
    read_orders,
)
from mailroom.usecases.registrar import Registrar
from mailroom.usecases.traces import TracePorts, ask_trace, finish_trace, read_trace, take_trace

LATER = 4_000_000_000.0  # to come: the emulator deletes rows whose ttl is over
ANN = Actor("user", "usr_ann", "Ann")


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def control(request: pytest.FixtureRequest) -> Control:
    if request.param == "memory":
        return MemoryControl()
    cloud = request.getfixturevalue("cloud")
    return DynamoControl(bound(ControlRow, cloud.settings.resource("table", "control")))


@pytest.fixture
def registrar() -> Registrar:
    return Registrar(MemoryRegistry(), FixedClock(LATER), FixedChance(), "test")


def shown_by(process: str, control: Control, now: float) -> HostView | None:
    return next((v for v in read_views(control, now=now) if v.process == process), None)


def test_an_order_is_kept_until_it_is_cancelled(control: Control, registrar: Registrar) -> None:
    ports = OrderPorts(control, registrar)
    before = generation(control)
    new = NewOrder(
        OrderVerb.THROTTLE,
        Selector(provider="gmail", older_than=5.5),
        "They ask",
        arguments=OrderArguments(rate=Rate(100, 60)),
    )
    made = add_order(new, ports, actor=ANN)
    assert made in read_orders(control, now=LATER).orders
    assert generation(control) == before + 1
    cancel_order(made.id, ports, actor=ANN)
    assert made not in read_orders(control, now=LATER).orders
    assert generation(control) == before + 2


def test_a_dialogue_is_run_by_one_host_only(control: Control, registrar: Registrar) -> None:
    ports = TracePorts(control, registrar)
    wanted = TraceRequest("", TraceDepth.CONNECT, "example.org", "", 0.0)
    id_ = ask_trace(wanted, ports, actor=ANN).request.id

    def mine(request: TraceRequest) -> bool:
        return request.id == id_

    taken = take_trace(control, "host-1", now=LATER, mine=mine)
    assert taken is not None
    assert take_trace(control, "host-2", now=LATER, mine=mine) is None
    finish_trace(taken, [TraceLine(0.5, "<", "220 hello")], control, now=LATER + 1)
    found = read_trace(id_, ports)
    assert (found.state, found.lines[0].text) == (TraceState.DONE, "220 hello")


def test_a_view_takes_the_place_of_the_one_before(control: Control) -> None:
    def view(at: float, **more: Any) -> HostView:
        return HostView("host-1", at, **more)

    write_view(view(LATER, paths=(PathView("ip_a", "gmail", rate=0.5),)), control)
    newer = view(LATER + 5, leases=("ip_a",), lanes={"bulk": 2})
    write_view(newer, control)
    assert shown_by("host-1", control, LATER + 6) == newer
    remove_view("host-1", control)
    assert shown_by("host-1", control, LATER + 6) is None
