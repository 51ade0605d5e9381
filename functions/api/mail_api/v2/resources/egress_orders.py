"""Orders of operators, and dialogues with receivers that they ask hosts for."""

from typing import Any

from mail_api.v2.models.base import Listing, Page
from mail_api.v2.models.egress_orders import OrderCreate, OrderView, TraceCreate, TraceView
from mail_api.v2.operation import ROOT, Answer, Call, Operation, invalid
from mail_api.v2.resources.egress_at_once import at_once
from mail_api.v2.resources.egress_calls import control_of, now_of, order_ports, sliced
from mailroom.domain.sending.order import OrderArguments, Selector, dump_order
from mailroom.domain.sending.rate import Rate, parse_rate
from mailroom.domain.sending.trace import Trace, TraceRequest
from mailroom.domain.tenancy.access import Scope
from mailroom.usecases.orders import NewOrder, add_order, cancel_order, read_order, read_orders
from mailroom.usecases.traces import TracePorts, ask_trace, read_trace


def list_all(call: Call) -> Any:
    """List the orders in force, newest first."""
    found = read_orders(control_of(call), now=now_of(call)).orders
    return sliced(call, [dump_order(order) for order in found])


def create(call: Call) -> Any:
    """Give an order: hosts obey it within five seconds, and for mail that comes later too.

    It never touches a message whose transmission has begun. Pause, throttle, reroute and priority
    end with the order; bounce, drop and hold stay done. `retry-now` and `release` of a tenant's
    mail also start a job for what no host has. What it says is in the audit log.
    """
    asked = call.body
    new = NewOrder(
        verb=asked.verb,
        selector=Selector(**asked.selector.model_dump()),
        reason=asked.reason,
        seconds=asked.seconds,
        arguments=OrderArguments(
            **{**asked.arguments.model_dump(), "rate": _rate(asked.arguments.rate)}
        ),
        confirm=asked.confirm,
    )
    order = add_order(new, order_ports(call), actor=call.actor)
    return {**dump_order(order), "job": at_once(order, call)}


def read(call: Call) -> Any:
    """Read an order that is in force."""
    return dump_order(read_order(call.path["order"], order_ports(call)))


def cancel(call: Call) -> Answer:
    """Take an order back. What was done by it stays done."""
    cancel_order(call.path["order"], order_ports(call), actor=call.actor)
    return Answer()


def ask(call: Call) -> Answer:
    """Have a host speak with a receiver, and write down what is said.

    One that holds the source address runs it, any if none is named.
    """
    wanted = TraceRequest(id="", author="", created_at=0.0, **call.body.model_dump())
    trace = ask_trace(wanted, _traces(call), actor=call.actor)
    where = {"location": f"{ROOT}/egress/traces/{trace.request.id}"}
    return Answer(_view(trace), 202, where)


def read_dialogue(call: Call) -> Any:
    """Read a dialogue as far as it is known."""
    return _view(read_trace(call.path["trace"], _traces(call)))


def _rate(text: str) -> Rate | None:
    try:
        return parse_rate(text) if text else None
    except ValueError as error:
        raise invalid("arguments.rate", str(error)) from error


def _traces(call: Call) -> TracePorts:
    return TracePorts(control_of(call), call.desk.registrar)


def _view(trace: Trace) -> dict[str, Any]:
    request = trace.request
    return {
        "id": request.id,
        "state": str(trace.state),
        "depth": str(request.depth),
        "domain": request.domain,
        "address": request.address,
        "host": request.host,
        "recipient": request.recipient,
        "sender": request.sender,
        "process": trace.process or request.process,
        "author": request.author,
        "created_at": request.created_at,
        "finished_at": trace.finished_at,
        "error": trace.error,
        "lines": [{"at": each.at, "who": each.who, "text": each.text} for each in trace.lines],
    }


_DOES = Scope.PLATFORM
_ORDER = "/egress/orders/{order}"

OPERATIONS = (
    Operation("egress.orders.list", "GET", "/egress/orders", "List orders in force", list_all,
              _DOES, answer=Page[OrderView], query=Listing),
    Operation("egress.orders.create", "POST", "/egress/orders", "Give an order", create, _DOES,
              answer=OrderView, body=OrderCreate, status=201),
    Operation("egress.orders.read", "GET", _ORDER, "Read an order", read, _DOES, answer=OrderView),
    Operation("egress.orders.cancel", "DELETE", _ORDER, "Take an order back", cancel, _DOES,
              status=204),
    Operation("egress.traces.create", "POST", "/egress/traces", "Ask for a dialogue", ask, _DOES,
              answer=TraceView, body=TraceCreate, status=202),
    Operation("egress.traces.read", "GET", "/egress/traces/{trace}", "Read a dialogue",
              read_dialogue, _DOES, answer=TraceView),
)  # fmt: skip
