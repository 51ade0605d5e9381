"""What hosts show: how they stand, what waits, on which paths it goes out, and why not."""

from collections import Counter, defaultdict
from typing import Any

from mail_api.v2.models.base import Listing, Page
from mail_api.v2.models.egress import (
    EgressHost,
    EgressPath,
    EgressPathDetail,
    EgressQueue,
    EgressSite,
    EgressStatus,
    PathListing,
    QueueListing,
    SiteListing,
)
from mail_api.v2.operation import Call, Operation
from mail_api.v2.resources.egress_calls import (
    brief,
    control_of,
    now_of,
    path_view,
    paths_of,
    sliced,
    views_of,
)
from mail_api.v2.resources.egress_settings import settings_of
from mailroom.domain.sending.view import NORMAL, HostView, PathView
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.record import Place
from mailroom.errors import NotFoundError
from mailroom.usecases.orders import read_orders

_FILTERS = ("state", "provider", "site", "pool", "address")


def status(call: Call) -> dict[str, Any]:
    """How all hosts stand together."""
    views = views_of(call)
    paths = [path for _, path in paths_of(views)]
    lanes: Counter[str] = Counter()
    for view in views:
        lanes.update(view.lanes)
    return {
        "hosts": len(views),
        "draining": sum(view.draining for view in views),
        "waiting": lanes.total(),
        "in_flight": sum(view.in_flight for view in views),
        "parked": sum(sum(view.parked.values()) for view in views),
        "lanes": dict(lanes),
        "paths": dict(Counter(path.state for path in paths)),
        "sent": sum(path.sent for path in paths),
        "deferred": sum(path.deferred for path in paths),
        "bounced": sum(path.bounced for path in paths),
        "orders": len(read_orders(control_of(call), now=now_of(call)).orders),
        "oldest_at": min((view.at for view in views), default=None),
    }


def list_hosts(call: Call) -> Any:
    """List the hosts that showed themselves within the last minute."""
    return sliced(call, [_host(view) for view in views_of(call)])


def list_queues(call: Call) -> Any:
    """Count mail that waits on hosts, by receiving site, server or class; the most first."""
    waiting: Counter[str] = Counter()
    hosts: Counter[str] = Counter()
    for view in views_of(call):
        counts = {
            "site": view.waiting,
            "tenant": view.tenants,
            "lane": view.lanes,
            "parked": view.parked,
        }[call.query.by]
        waiting.update(counts)
        hosts.update(counts.keys())
    rows = [{"name": n, "waiting": c, "hosts": hosts[n]} for n, c in waiting.items()]
    return sliced(call, sorted(rows, key=lambda row: (-row["waiting"], row["name"])))


def list_paths(call: Call) -> Any:
    """List paths, those in trouble first, then those with the most mail.

    Each host shows at most 200 of its paths.
    """
    wanted = {name: value for name in _FILTERS if (value := getattr(call.query, name))}
    rows = [
        path_view(view, path)
        for view, path in paths_of(views_of(call))
        if call.query.process in ("", view.process)
        and all(getattr(path, name) == value for name, value in wanted.items())
    ]
    return sliced(call, rows)


def read_path(call: Call) -> dict[str, Any]:
    """Say why a path is as it is: its state with cause and sample reply, what limits it now.

    A path that no host shows is told from the table, if its state was ever other than normal.
    """
    address, site = call.path["address"], call.path["site"]
    found = [(v, p) for v, p in paths_of(views_of(call)) if (p.address, p.site) == (address, site)]
    record = control_of(call).read(Place(f"path#{address}", site))
    if not found and record is None:
        raise NotFoundError("no host shows that path, and none has kept its state")
    view, path = max(
        found, key=lambda each: each[0].at, default=(HostView("", 0.0), PathView(address, site))
    )
    touching = [
        order
        for order in read_orders(control_of(call), now=now_of(call)).orders
        if order.id in path.orders or (order.is_of_paths and _touches(order.selector.parts, path))
    ]
    return {
        **path_view(view, path),
        "orders": [brief(order) for order in touching],
        "settings": settings_of(
            call, address=address, site=site, provider=path.provider, pool=path.pool
        ),
        "stored": dict(record.body) if record else None,
        "shown_at": view.at or None,
    }


def list_sites(call: Call) -> Any:
    """List receiving sites that mail goes to or waits for, the most waiting first."""
    views = views_of(call)
    waiting: Counter[str] = Counter()
    for view in views:
        waiting.update(view.waiting)
    paths: dict[str, list[PathView]] = defaultdict(list)
    for _, path in paths_of(views):
        paths[path.site].append(path)
    rows = [_site(key, paths.get(key, []), waiting[key]) for key in {*paths, *waiting}]
    wanted = [row for row in rows if call.query.provider in ("", row["provider"])]
    return sliced(call, sorted(wanted, key=lambda row: (-row["waiting"], row["site"])))


def _touches(parts: Any, path: PathView) -> bool:
    return all(getattr(path, name) == value for name, value in parts.items())


def _host(view: HostView) -> dict[str, Any]:
    return {
        "process": view.process,
        "at": view.at,
        "version": view.version,
        "started_at": view.started_at,
        "draining": view.draining,
        "addresses": list(view.leases),
        "waiting": sum(view.lanes.values()),
        "in_flight": view.in_flight,
        "parked": sum(view.parked.values()),
        "paths": len(view.paths),
        "lanes": dict(view.lanes),
        "counters": dict(view.counters),
        "rules": view.rules,
        "shaping": view.shaping,
    }


def _site(key: str, paths: list[PathView], waiting: int) -> dict[str, Any]:
    return {
        "site": key,
        "provider": paths[0].provider if paths else "",
        "paths": len(paths),
        "in_trouble": sum(path.state != NORMAL for path in paths),
        "waiting": waiting,
        "connections": sum(path.connections for path in paths),
        "sent": sum(path.sent for path in paths),
        "deferred": sum(path.deferred for path in paths),
        "bounced": sum(path.bounced for path in paths),
    }


_SEES = Scope.PLATFORM

OPERATIONS = (
    Operation("egress.status", "GET", "/egress/status", "See how all hosts stand", status, _SEES,
              answer=EgressStatus),
    Operation("egress.hosts", "GET", "/egress/hosts", "List hosts", list_hosts, _SEES,
              answer=Page[EgressHost], query=Listing),
    Operation("egress.queues", "GET", "/egress/queues", "Count what waits", list_queues, _SEES,
              answer=Page[EgressQueue], query=QueueListing),
    Operation("egress.paths", "GET", "/egress/paths", "List paths", list_paths, _SEES,
              answer=Page[EgressPath], query=PathListing),
    Operation("egress.path", "GET", "/egress/paths/{address}/{site}",
              "Say why a path is as it is", read_path, _SEES, answer=EgressPathDetail),
    Operation("egress.sites", "GET", "/egress/sites", "List receiving sites", list_sites, _SEES,
              answer=Page[EgressSite], query=SiteListing),
)  # fmt: skip
