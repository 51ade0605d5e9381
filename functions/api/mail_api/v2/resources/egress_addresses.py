"""Source addresses as operators see them, their warm-up, and why a delivery waits."""

from dataclasses import asdict
from typing import Any

from mail_api.v2.models.base import Page
from mail_api.v2.models.egress import EgressIp, IpListing, WarmUpListing, WarmUpView, WhyView
from mail_api.v2.operation import ApiError, Call, Operation
from mail_api.v2.resources.egress_calls import (
    all_addresses,
    brief,
    control_of,
    now_of,
    path_view,
    paths_of,
    sliced,
    views_of,
)
from mailroom.domain.event import Event
from mailroom.domain.message import DeliveryKey
from mailroom.domain.sending.lease import Lease
from mailroom.domain.sending.view import NORMAL, PathView
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.resource import Resource
from mailroom.errors import MessageNotFoundError
from mailroom.usecases.explain import ExplainPorts, explain_delivery
from mailroom.usecases.leases import all_leases
from mailroom.usecases.warmup import WarmUpPorts, progresses
from mailroom.usecases.warmup_care import WarmUpCarePorts, warmup_report


def list_ips(call: Call) -> Any:
    """List source addresses with who holds them and what they do."""
    control, now = control_of(call), now_of(call)
    leases = all_leases(control)
    paths: dict[str, list[PathView]] = {}
    for _, path in paths_of(views_of(call)):
        paths.setdefault(path.address, []).append(path)
    page = sliced(call, list(all_addresses(call, call.query.pool)))
    warm = WarmUpPorts(control)
    page["data"] = [
        _ip(each, leases.get(each.id), paths.get(each.id, []), now)
        | {
            "warm_up": [
                f"{group}: day {progress.day_index + 1} of {len(progress.steps)}"
                for group, progress, _ in progresses(each.id, warm)
            ]
        }
        for each in page["data"]
    ]
    return page


def list_warm_up(call: Call) -> Any:
    """See how far addresses are with their warm-up: plan, day, cap, used, and why they did or did
    not go a day further."""
    ports = WarmUpCarePorts(control_of(call), call.desk.registrar)
    lines = warmup_report(call.query.address or None, now_of(call), ports)
    page = sliced(call, lines)
    page["data"] = [
        {**asdict(line), "progress": str(line.progress), "history": list(line.history)}
        for line in page["data"]
    ]
    return page


def why(call: Call) -> Any:
    """Say why a delivery is where it is: state, last attempt, next try, paths and orders.

    Deliveries are named SERVER.NUMBER.INDEX, as logs and events name them.
    """
    try:
        key = DeliveryKey.parse(call.path["delivery"])
    except ValueError:
        raise _unknown() from None
    ports = ExplainPorts(call.desk.api().ports.ledger, control_of(call), call.desk.registry)
    try:
        found = explain_delivery(key, now_of(call), ports)
    except MessageNotFoundError:
        raise _unknown() from None
    delivery = found.delivery
    return {
        "delivery": str(key),
        "recipient": delivery.recipient,
        "state": str(delivery.state),
        "attempts": delivery.attempts,
        "accepted_at": delivery.accepted_at,
        "expires_at": delivery.expires_at,
        "next_try_at": delivery.due_at,
        "claimed_until": delivery.claim_until,
        "last": _last(found.last) if found.last else None,
        "provider": found.provider,
        "orders": [brief(order) for order in found.orders],
        "paths": [path_view(view, path) for view, path in found.paths],
        "explanation": found.text,
    }


def _unknown() -> ApiError:
    return ApiError(404, "not_found", "there is no delivery of that name")


def _last(event: Event) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": str(event.type), "at": event.at}
    if event.attempt is not None:
        facts = event.attempt
        shown |= {
            "details": facts.details,
            "reply": facts.reply,
            "code": facts.code,
            "phase": facts.phase,
            "mx": facts.mx,
        }
    return shown


def _ip(address: Resource, lease: Lease | None, paths: list[PathView], now: float) -> Any:
    fields = address.fields
    is_held = lease is not None and bool(lease.owner) and lease.expires_at > now
    return {
        "id": address.id,
        "pool": address.parent.partition("#")[2],
        "ipv4": fields.get("ipv4"),
        "ipv6": fields.get("ipv6"),
        "hostname": fields.get("hostname", ""),
        "state": fields.get("state", ""),
        "weight": fields.get("weight"),
        "owner": lease.owner if lease and is_held else "",
        "leased_until": lease.expires_at if lease and is_held else None,
        "paths": len(paths),
        "in_trouble": sum(path.state != NORMAL for path in paths),
        "waiting": sum(path.ready for path in paths),
    }


_SEES = Scope.PLATFORM

OPERATIONS = (
    Operation("egress.ips.list", "GET", "/egress/ips", "List source addresses", list_ips, _SEES,
              answer=Page[EgressIp], query=IpListing),
    Operation("egress.ips.warm", "GET", "/egress/ips/warm", "See how far warm-up is",
              list_warm_up, _SEES, answer=Page[WarmUpView], query=WarmUpListing),
    Operation("egress.why", "GET", "/egress/why/{delivery}", "Say why a delivery waits", why,
              _SEES, answer=WhyView),
)  # fmt: skip
