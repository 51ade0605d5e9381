"""What runs beside the dispatcher: leases, orders, shaping, parked mail, views, dialogues."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from egress.control_http import ControlServer
from egress.draining import follow_drains
from egress.emf import EVERY as EMF_SECONDS
from egress.emf import emf_lines
from egress.metrics import Health
from egress.sender.assembly import Sender
from egress.sender.doors import source_of
from egress.source import Source
from egress.tracing import TraceRunner, TraceTools
from mailroom.domain.sending.view import HostView
from mailroom.usecases.host_views import remove_view, write_view

VIEW_SECONDS = 5.0
_AGAIN = 1.0

log = logging.getLogger(__name__)
metrics = logging.getLogger("mailroom.metrics")

Background = Callable[[], Awaitable[object]]


def background(
    sender: Sender, stop: asyncio.Event, *, divisor: float, authorities: Path | None, name: str
) -> Sequence[Background]:
    """Return what has to run until it is cancelled. `name` is the deployment's, for metrics."""
    quick = max(0.2, 2.0 / divisor)
    return (
        sender.leases.run,
        lambda: follow_drains(sender.leases, lambda: _is_drained(sender), stop),
        lambda: sender.orders.run(stop),
        lambda: sender.shaping.run(stop),
        lambda: sender.memory.run(sender.engine, 5.0),
        lambda: sender.lot.run(quick),
        sender.tls_memory.run,
        sender.tls_reports.run,
        sender.policies.run,
        sender.unknowns.run,
        lambda: TraceRunner(_trace_tools(sender, authorities)).run(stop),
        lambda: _show(sender, name),
    )


async def lasting(work: Background) -> None:
    """Run `work` until it is cancelled, and again if it ends with an error."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("work beside the dispatcher failed")
            await asyncio.sleep(_AGAIN)
        else:
            return


async def served(sender: Sender, address: tuple[str, int] | None) -> ControlServer | None:
    """Answer over HTTP what the host shows, where `address` says. Raises OSError if it is taken."""
    if address is None:
        return None
    server = ControlServer(lambda: view_of(sender), lambda: health_of(sender))
    await server.start(*address)
    return server


def view_of(sender: Sender) -> HostView:
    """Return what the host shows now."""
    return sender.showcase.view(sender.engine)


def health_of(sender: Sender) -> Health:
    """Return whether the host does its work."""
    return Health(
        journal_ok=sender.dispatcher.journal_ok,
        leases=len(sender.leases.held()),
        poll_age=sender.dispatcher.poll_age,
        draining=sender.leases.draining,
        needs_lease=sender.own is None,
    )


async def sign_off(sender: Sender) -> None:
    """Give back what others may have now. Trouble with the table is logged, not raised."""
    await sender.memory.keep(sender.engine)
    await asyncio.gather(
        sender.leases.close(),
        sender.warmup.close(),
        sender.shared.close(),
        sender.tls_reports.flush(),
        sender.unknowns.flush(),
        sender.tls_memory.drain(),
        sender.policies.close(),
        asyncio.to_thread(remove_view, sender.process.id, sender.control),
        return_exceptions=True,
    )


def _is_drained(sender: Sender) -> bool:
    return sender.orders.book.draining(sender.process.id, sender.now()) is not None


def _trace_tools(sender: Sender, authorities: Path | None) -> TraceTools:
    def source(address: str) -> Source | None:
        held = sender.leases.held()
        found = [each for each in held if address in ("", each.id)]
        return source_of(found[0]) if found else None

    return TraceTools(
        sender.control,
        sender.process.id,
        sender.resolver.hosts,
        source,
        sender.now,
        authorities,
    )


async def _show(sender: Sender, name: str) -> None:
    """Write the view every few seconds, and metrics into the log every minute."""
    before: HostView | None = None
    told_at = sender.now()
    while True:
        await asyncio.sleep(VIEW_SECONDS)
        view = view_of(sender)
        try:
            await asyncio.to_thread(write_view, view, sender.control)
        except Exception:
            log.exception("the view is not written")
        if sender.now() - told_at >= EMF_SECONDS:
            for line in emf_lines(view, before, environment=name):
                metrics.info(json.dumps(line))
            before, told_at = view, sender.now()
