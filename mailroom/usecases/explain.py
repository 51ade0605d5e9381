"""Why a delivery is where it is: its state, what happened last, its paths, and orders."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mailroom.domain.event import Event
from mailroom.domain.lifecycle import FINAL, State
from mailroom.domain.message import BROADCAST, Delivery, DeliveryKey, Submission
from mailroom.domain.provider import OTHER, provider_of
from mailroom.domain.sending.job import JobFacts, LaneClass
from mailroom.domain.sending.order import ENDS, Order, OrderVerb
from mailroom.domain.sending.order_book import OrderBook
from mailroom.domain.sending.view import NORMAL, HostView, PathView
from mailroom.domain.tenancy.record import Place
from mailroom.errors import MessageNotFoundError
from mailroom.ports import Ledger
from mailroom.ports.control import Control
from mailroom.ports.registry import Registry
from mailroom.usecases.host_views import read_views
from mailroom.usecases.orders import read_orders

_MOST_PATHS = 20


@dataclass(frozen=True, slots=True)
class ExplainPorts:
    """The world of `explain_delivery`."""

    ledger: Ledger
    control: Control
    registry: Registry


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of a delivery's wait. `paths` are those it may go out on, with their hosts;
    orders that select by pool, site or address are shown with the paths, not here."""

    delivery: Delivery
    submission: Submission
    provider: str
    last: Event | None
    orders: Sequence[Order]
    paths: Sequence[tuple[HostView, PathView]]
    text: str


def explain_delivery(key: DeliveryKey, now: float, ports: ExplainPorts) -> Explanation:
    """Say why a delivery is where it is. Raises MessageNotFoundError."""
    submission = ports.ledger.submission(key.server, key.number)
    delivery = ports.ledger.delivery(key)
    if submission is None or delivery is None:
        raise MessageNotFoundError("there is no delivery of that name")
    history = ports.ledger.history(key)
    last = history[-1] if history else None
    server = ports.registry.read(Place(f"server#{key.server}"))
    organisation = str(server.body.get("organisation", "")) if server else ""
    provider = provider_of(delivery.recipient)
    book = OrderBook(read_orders(ports.control, now=now).orders)
    facts = _facts(submission, delivery, organisation)
    touching = set(book.effects(facts, provider=provider, now=now).orders)
    orders = [each for each in book.orders if each.id in touching]
    paths = _paths(read_views(ports.control, now=now), delivery, provider, last)
    text = _text(delivery, last, orders, paths)
    return Explanation(delivery, submission, provider, last, orders, paths, text)


def _facts(submission: Submission, delivery: Delivery, organisation: str) -> JobFacts:
    return JobFacts(
        key=delivery.key,
        generation=delivery.generation,
        recipient=delivery.recipient,
        tenant=delivery.key.server,
        organisation=organisation,
        lane=LaneClass.BULK if submission.stream == BROADCAST else LaneClass.TRANSACTIONAL,
        sign_domain=submission.sign_domain,
        from_address=submission.from_address,
        size=submission.size,
        pools=(),
        accepted_at=delivery.accepted_at,
        expires_at=delivery.expires_at,
        campaign=submission.tag or "",
        credential=submission.credential,
        stream=submission.stream,
        attempts=delivery.attempts,
    )


def _paths(
    views: Sequence[HostView], delivery: Delivery, provider: str, last: Event | None
) -> Sequence[tuple[HostView, PathView]]:
    """Return paths to where the recipient's mail goes, as far as that can be told from here.

    Hosts look up the mail exchangers; here the provider, the domain, and the host of the last
    attempt are known.
    """
    mx = last.attempt.mx.partition(" ")[0].lower() if last and last.attempt else ""
    domain = delivery.recipient.rpartition("@")[2].lower()
    found = [
        (view, path)
        for view in views
        for path in view.paths
        if (provider != OTHER and path.provider == provider)
        or domain == path.site
        or (mx and mx in path.site)
    ]
    return sorted(found, key=lambda e: (e[1].state == NORMAL, -e[1].ready, e[1].name))[:_MOST_PATHS]


def _text(
    delivery: Delivery,
    last: Event | None,
    orders: Sequence[Order],
    paths: Sequence[tuple[HostView, PathView]],
) -> str:
    """Return one or two plain sentences."""
    said = last.attempt.details if last and last.attempt else ""
    state = delivery.state
    if state in FINAL:
        return f"It is done with: {state}. {said}".strip()
    if state is State.HELD:
        return f"It is held until a person releases it. {said}".strip()
    if state is State.ATTEMPTING:
        return "A host is sending it now, or died while it did: the claim ends by itself."
    decisive = next((e for e in orders if e.verb in ENDS or e.verb is OrderVerb.PAUSE), None)
    if decisive is not None:
        return f"An order says {decisive.verb} until {_at(decisive.expires_at)}: {decisive.reason}"
    if state is State.SCHEDULED:
        return f"It is to be sent at {_at(delivery.due_at)}."
    if state is State.DEFERRED:
        return f"It is tried again at {_at(delivery.due_at)} at the latest. {said}".strip()
    return _waiting(paths)


def _waiting(paths: Sequence[tuple[HostView, PathView]]) -> str:
    for _, path in paths:
        if path.state != NORMAL:
            until = f" until {_at(path.until)}" if path.until else ""
            return f"It waits. The path {path.name} is in {path.state}{until}: {path.cause}"
        if path.binding:
            return f"It waits. The path {path.name} is at its limit: {path.binding}"
    return "It waits for its turn; nothing that hosts show holds it up."


def _at(moment: float | None) -> str:
    if moment is None:
        return "a time not set yet"
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
