"""Orders that change a host or its paths, rather than mail: drain, backoff, normal; and reroute.

What orders say of single deliveries the engine asks when it looks at them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from egress.core.engine.path_record import PathState
from egress.sender.briefing import Pools
from egress.sender.tenants import Tenant
from mailroom.domain.message import BROADCAST, Submission
from mailroom.domain.provider import provider_of
from mailroom.domain.sending.job import JobFacts, LaneClass
from mailroom.domain.sending.order import Order, OrderVerb
from mailroom.domain.sending.order_book import OrderBook
from mailroom.domain.sending.path import PathKey, Site
from mailroom.domain.sending.source import SourceAddress


class Controlled(Protocol):
    """The controller of a path (`PathControl` is one)."""

    def ordered(
        self, now: float, state: PathState, until: float | None, reason: str, author: str
    ) -> None:
        """Put the path into a state."""

    @property
    def state(self) -> PathState:
        """The state it is in."""


class OrderedPath(Protocol):
    """A path of the engine, as far as orders see it."""

    @property
    def key(self) -> PathKey:
        """Its name."""

    @property
    def source(self) -> SourceAddress:
        """Where it sends from."""

    @property
    def site(self) -> Site:
        """Where it sends to."""

    @property
    def control(self) -> Controlled:
        """What steers it."""


class Drained(Protocol):
    """What gives the host's addresses away (`LeaseKeeper` is one)."""

    def drain(self) -> None:
        """Take nothing new and give everything back."""

    def resume(self) -> None:
        """Take part again."""


@dataclass(slots=True)
class OrderActions:
    """Obeys each order once on each path it is about, also on those that are used later.

    `paths` gives those there are now; `now` Unix seconds. `lift` ends what bars an address at the
    provider of a site.
    """

    process: str
    paths: Callable[[], Iterable[OrderedPath]]
    leases: Drained
    now: Callable[[], float]
    lift: Callable[[SourceAddress, Site], object] = lambda _source, _site: None
    _obeyed: dict[PathKey, Order] = field(default_factory=dict)
    _drains: bool = False

    def look(self, book: OrderBook) -> None:
        """Obey what is in force now. To be called every few seconds, and when orders change."""
        now = self.now()
        self._drain(book, now)
        if not self._obeyed and not any(each.is_of_paths for each in book.orders):
            return
        known = set()
        for path in self.paths():
            known.add(path.key)
            self._steer(path, book, now)
        for key in self._obeyed.keys() - known:
            del self._obeyed[key]

    def _drain(self, book: OrderBook, now: float) -> None:
        wanted = book.draining(self.process, now) is not None
        if wanted and not self._drains:
            self.leases.drain()
        elif self._drains and not wanted:
            self.leases.resume()
        self._drains = wanted

    def _steer(self, path: OrderedPath, book: OrderBook, now: float) -> None:
        found = book.path_orders(
            address=path.source.id,
            pool=path.source.pool,
            site=path.site.key,
            provider=path.site.provider,
            now=now,
        ).mode
        obeyed = self._obeyed.get(path.key)
        if found is None:
            if obeyed is not None:
                self._let_go(path, obeyed, now)
                del self._obeyed[path.key]
            return
        if obeyed is not None and obeyed.id == found.id:
            return
        self._obeyed[path.key] = found
        reason = f"order {found.id}: {found.reason}"
        if found.verb is OrderVerb.NORMAL:
            path.control.ordered(now, PathState.NORMAL, None, reason, found.author)
            self.lift(path.source, path.site)
        else:
            until = found.expires_at
            path.control.ordered(now, PathState.BACKOFF, until, reason, found.author)

    def _let_go(self, path: OrderedPath, obeyed: Order, now: float) -> None:
        """End a backoff whose order was taken back; one that is over ends by itself."""
        is_over = now >= obeyed.expires_at or obeyed.verb is not OrderVerb.BACKOFF
        if not is_over and path.control.state is PathState.BACKOFF:
            reason = f"order {obeyed.id} was taken back"
            path.control.ordered(now, PathState.NORMAL, None, reason, obeyed.author)


@dataclass(frozen=True, slots=True)
class ReroutedPools:
    """See briefing.Pools: the pools of `inner`, unless an order sends a message elsewhere.

    It is asked before anything is known of the receiving hosts, so orders that select by site or
    address reroute nothing; the provider is that of the recipient's domain.
    """

    inner: Pools
    book: Callable[[], OrderBook]
    now: Callable[[], float]

    async def of(self, submission: Submission, tenant: Tenant, recipient: str) -> tuple[str, ...]:
        """See briefing.Pools.of."""
        pools = await self.inner.of(submission, tenant, recipient)
        book = self.book()
        if not any(each.verb is OrderVerb.REROUTE for each in book.orders):
            return pools
        facts = _facts(submission, tenant, recipient, pools)
        effects = book.effects(facts, provider=provider_of(recipient), now=self.now())
        return (effects.pool,) if effects.pool else pools


def _facts(
    submission: Submission, tenant: Tenant, recipient: str, pools: tuple[str, ...]
) -> JobFacts:
    return JobFacts(
        key=submission.key(0),
        generation=0,
        recipient=recipient,
        tenant=submission.server,
        organisation=tenant.server.organisation,
        lane=LaneClass.BULK if submission.stream == BROADCAST else LaneClass.TRANSACTIONAL,
        sign_domain=submission.sign_domain,
        from_address=submission.from_address,
        size=submission.size,
        pools=pools,
        accepted_at=submission.accepted_at,
        expires_at=submission.expires_at,
        campaign=submission.tag or "",
        credential=submission.credential,
        stream=submission.stream,
    )
