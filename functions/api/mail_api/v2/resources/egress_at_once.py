"""What an order does at once to mail that no host has: held mail is released, deferred mail tried.

Hosts meet an order when mail comes to them; mail that is held comes to nobody, and deferred mail
only when its time has come.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress

from mail_api.v2.operation import Call
from mail_api.v2.resources.egress_calls import order_ports
from mail_api.v2.resources.jobs import job_ports, new_job_id
from mail_api.v2.resources.message_calls import hold_ports
from mailroom.domain.message import Delivery, DeliveryKey, ServerId
from mailroom.domain.message_filter import MessageFilter
from mailroom.domain.sending.order import AT_ONCE_FIELDS, Order, OrderVerb
from mailroom.domain.tenancy.record import Place
from mailroom.errors import MailroomError, MessageNotFoundError, StateConflictError
from mailroom.usecases.bulk import BulkAction, bulk_target, new_bulk_job
from mailroom.usecases.find_messages import Wanted
from mailroom.usecases.jobs import start
from mailroom.usecases.orders import cancel_order
from mailroom.usecases.release import HoldPorts, release
from mailroom.usecases.retry import retry

_ACTIONS: Mapping[OrderVerb, BulkAction] = {
    OrderVerb.RETRY_NOW: BulkAction.RETRY,
    OrderVerb.RELEASE: BulkAction.RELEASE,
}
_ACTS: Mapping[BulkAction, Callable[[DeliveryKey, str, HoldPorts], Delivery]] = {
    BulkAction.RETRY: retry,
    BulkAction.RELEASE: release,
}


def at_once(order: Order, call: Call) -> str | None:
    """Do what an order asks for at once; return the id of the job that goes on with it, or None.

    If that cannot be, the order is taken back. Raises what starting a job raises.
    """
    action = _ACTIONS.get(order.verb)
    parts = order.selector.parts.keys()
    if action is None or not parts <= AT_ONCE_FIELDS:
        return None
    try:
        if order.selector.delivery:
            _one(action, order, call)
            return None
        return _many(action, order, call) if order.selector.tenant else None
    except MailroomError:
        cancel_order(order.id, order_ports(call), actor=call.actor)
        raise


def _one(action: BulkAction, order: Order, call: Call) -> None:
    key = DeliveryKey.parse(order.selector.delivery)
    # It may have been sent meanwhile: then there is nothing to do.
    with suppress(MessageNotFoundError, StateConflictError):
        _ACTS[action](key, _by(order), hold_ports(call))


def _many(action: BulkAction, order: Order, call: Call) -> str | None:
    selector = order.selector
    if call.desk.registry.read(Place(f"server#{selector.tenant}")) is None:
        return None
    now = call.desk.registrar.clock.now()
    wanted = Wanted(
        ServerId(selector.tenant),
        MessageFilter(recipient=selector.recipient, tag=selector.campaign),
        until=now - selector.older_than if selector.older_than else None,
    )
    target = bulk_target(action, wanted, now)
    new = new_bulk_job(action, target, _by(order))
    return start(new, new_job_id(call), job_ports(call)).id


def _by(order: Order) -> str:
    return f"order {order.id} of {order.author}"
