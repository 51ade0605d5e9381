"""Give, list and cancel operators' orders. Hosts read them within seconds (`egress/orders.py`)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mailroom.domain.sending.order import (
    MAX_ORDERS,
    Order,
    OrderArguments,
    OrderVerb,
    Selector,
    check_order,
    default_seconds,
    dump_order,
    load_order,
    tidied,
)
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.identity import new_id
from mailroom.domain.tenancy.record import ABSENT, Place, Record
from mailroom.errors import OrderError, TooManyError
from mailroom.ports.control import Control
from mailroom.usecases.registrar import Registrar, missing

PARTITION = "order"
GENERATION = Place("generation", "orders")
# Seconds for which the row of an order that is over may stay: it counts for nothing any more.
_KEPT = 86_400.0


@dataclass(frozen=True, slots=True)
class OrderPorts:
    """Where orders lie; the register keeps the audit log and the clock."""

    control: Control
    registrar: Registrar


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What is asked for. `seconds` None is the verb's usual time; `confirm` means all mail."""

    verb: OrderVerb
    selector: Selector
    reason: str
    seconds: float | None = None
    arguments: OrderArguments = field(default_factory=OrderArguments)
    confirm: bool = False


def add_order(new: NewOrder, ports: OrderPorts, *, actor: Actor) -> Order:
    """Give an order. Raises OrderError if it cannot be obeyed, TooManyError beyond 500."""
    registrar = ports.registrar
    now = registrar.clock.now()
    seconds = default_seconds(new.verb) if new.seconds is None else new.seconds
    order = Order(
        id=new_id("ord", now=now, chance=registrar.chance, environment=registrar.environment),
        verb=new.verb,
        selector=tidied(new.selector),
        reason=new.reason,
        author=actor.name or actor.id,
        created_at=now,
        expires_at=now + seconds,
        arguments=new.arguments,
    )
    try:
        check_order(order, confirm=new.confirm)
    except ValueError as error:
        raise OrderError(str(error)) from error
    if len(read_orders(ports.control, now=now).orders) >= MAX_ORDERS:
        raise TooManyError(f"there are {MAX_ORDERS} orders in force already")
    _note("create", order, ports, actor)
    place = Place(PARTITION, order.id)
    record = Record(place, dump_order(order), expires_at=order.expires_at + _KEPT)
    ports.control.put(record, ABSENT)
    _tell(ports.control)
    return order


def cancel_order(id_: str, ports: OrderPorts, *, actor: Actor) -> Order:
    """Take an order back; what was done by it stays done. Raises NotFoundError."""
    order = read_order(id_, ports)
    _note("delete", order, ports, actor)
    ports.control.delete(Place(PARTITION, id_))
    _tell(ports.control)
    return order


def read_order(id_: str, ports: OrderPorts) -> Order:
    """Return an order that is in force. Raises NotFoundError."""
    registrar = ports.registrar
    found = ports.control.read(Place(PARTITION, id_))
    order = load_order(found.body) if found else None
    if order is None or order.expires_at <= registrar.clock.now():
        raise missing(id_, registrar.environment)
    return order


@dataclass(frozen=True, slots=True)
class Orders:
    """The orders in force, newest first. `unreadable` are ids of those of a later version."""

    orders: Sequence[Order]
    unreadable: Sequence[str] = ()


def read_orders(control: Control, *, now: float) -> Orders:
    """Return the orders in force."""
    found, unreadable = [], []
    after = ""
    while True:
        page = control.page(PARTITION, limit=MAX_ORDERS, after=after)
        for record in page.records:
            try:
                found.append(load_order(record.body))
            except (KeyError, TypeError, ValueError):
                unreadable.append(record.place.sort)
        after = page.after
        if not after:
            break
    in_force = [each for each in found if each.expires_at > now]
    return Orders(sorted(in_force, key=lambda o: (-o.created_at, o.id)), unreadable)


def generation(control: Control) -> int:
    """Return the number that grows with every change of the orders."""
    found = control.read(GENERATION)
    return found.revision if found else 0


def _tell(control: Control) -> None:
    control.put(Record(GENERATION, {}))


def _note(action: str, order: Order, ports: OrderPorts, actor: Actor) -> None:
    """Write the audit entry first: no order is ever in force that nobody is known to have given."""
    registrar = ports.registrar
    shown = {**dump_order(order)}
    values = (
        {"before": {}, "after": shown} if action == "create" else {"before": shown, "after": {}}
    )
    entry = {"kind": "order", "id": order.id, "parent": "platform", **values}
    registrar.registry.write([registrar.note(action, entry, organisation="", actor=actor)])
