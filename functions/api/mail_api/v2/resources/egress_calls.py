"""What the calls about egress share: their ports, what hosts show, and pages of small lists."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mail_api.v2.crud import read_cursor, write_cursor
from mail_api.v2.operation import ApiError, Call
from mailroom.domain.sending.order import Order
from mailroom.domain.sending.view import HostView, PathView
from mailroom.domain.tenancy.kinds.pool import POOL, POOL_ADDRESS
from mailroom.domain.tenancy.resource import PLATFORM, Resource, ResourceKind
from mailroom.ports.control import Control
from mailroom.usecases.host_views import read_views
from mailroom.usecases.orders import OrderPorts

_MAX_OFFSET = 1_000_000
_PAGE = 100


@dataclass(frozen=True, slots=True)
class EgressArea:
    """What this area is plugged in with."""

    control: Control


def control_of(call: Call) -> Control:
    """Return the table that hosts, the API and the scheduler share."""
    area: EgressArea = call.desk.area("egress")
    return area.control


def now_of(call: Call) -> float:
    """Return the time, Unix seconds."""
    return call.desk.registrar.clock.now()


def order_ports(call: Call) -> OrderPorts:
    """Return where orders lie."""
    return OrderPorts(control_of(call), call.desk.registrar)


def views_of(call: Call) -> Sequence[HostView]:
    """Return what hosts show of themselves."""
    return read_views(control_of(call), now=now_of(call))


def paths_of(views: Iterable[HostView]) -> list[tuple[HostView, PathView]]:
    """Return all paths with their hosts; trouble first, then those with much mail."""
    found = [(view, path) for view in views for path in view.paths]
    return sorted(found, key=lambda e: (e[1].state == "normal", -e[1].ready, -e[1].sent, e[1].name))


def path_view(view: HostView, path: PathView) -> dict[str, Any]:
    """Return a path as its view is made from."""
    return {**asdict(path), "process": view.process}


def brief(order: Order) -> dict[str, Any]:
    """Return an order in short."""
    return {
        "id": order.id,
        "verb": str(order.verb),
        "reason": order.reason,
        "author": order.author,
        "expires_at": order.expires_at,
    }


def sliced(call: Call, rows: Sequence[Any]) -> dict[str, Any]:
    """Return the page of a list in memory that a call asks for. Raises ApiError 422."""
    start = _offset(read_cursor(call.query.cursor))
    end = start + call.query.limit
    return {
        "data": list(rows[start:end]),
        "next_cursor": write_cursor(str(end)) if end < len(rows) else None,
    }


def all_addresses(call: Call, pool: str = "") -> Iterator[Resource]:
    """Yield the source addresses of all pools, or of one."""
    for each in _all(call, POOL, PLATFORM):
        if pool in ("", each.id):
            yield from _all(call, POOL_ADDRESS, f"pool#{each.id}")


def _all(call: Call, kind: ResourceKind, parent: str) -> Iterator[Resource]:
    after = ""
    while True:
        found, after = call.desk.registrar.page(kind, parent, limit=_PAGE, after=after)
        yield from found
        if not after:
            return


def _offset(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= _MAX_OFFSET and len(text) < 9):
        raise ApiError(422, "bad_cursor", "The cursor is not one that a page gave")
    return int(text)
