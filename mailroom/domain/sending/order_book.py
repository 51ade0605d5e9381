"""The orders in force, compiled so that to ask them about a delivery costs microseconds.

Each order lies in one index only, under the part of its selector that fits the least mail. Asking
looks up the delivery's value in every index that is not empty and compares the few it finds.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any

from mailroom.domain.sending.job import JobFacts
from mailroom.domain.sending.order import ENDS, Order, OrderVerb, Selector
from mailroom.domain.sending.rate import Rate


@dataclass(frozen=True, slots=True)
class Throttle:
    """A rate that all mail of an order shares on a host; `key` names its limiter."""

    key: str
    rate: Rate


@dataclass(frozen=True, slots=True)
class Effects:
    """What the orders in force mean for one delivery.

    `paused_until` is when the last pause that fits expires (Unix seconds; None: not paused).
    `end` is the order that ends its wait here, the newest of bounce, drop and hold: its verb,
    reason and arguments say how. `pool` is where it is rerouted, "" for nowhere. `orders` are the
    ids of all that fit.
    """

    paused_until: float | None = None
    end: Order | None = None
    pool: str = ""
    throttles: tuple[Throttle, ...] = ()
    priority: int | None = None
    retry_now: bool = False
    trace: bool = False
    orders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PathEffects:
    """What the orders in force mean for one path.

    Each `..._until` is Unix seconds or None. `mode` is the newest order of backoff and normal; it
    is obeyed once, so remember its id.
    """

    paused_until: float | None = None
    suspended_until: float | None = None
    disabled_until: float | None = None
    mode: Order | None = None
    throttles: tuple[Throttle, ...] = ()
    orders: tuple[str, ...] = ()

    @property
    def stopped_until(self) -> float | None:
        """When the path may send again as far as orders go, or None if it may now."""
        found = [
            each
            for each in (self.paused_until, self.suspended_until, self.disabled_until)
            if each is not None
        ]
        return max(found, default=None)


_MOST_JOINED = 1_000

NO_EFFECTS = Effects()
NO_PATH_EFFECTS = PathEffects()

_Where = tuple[str, str, str, float]  # provider, site, address, now
_Test = Callable[[JobFacts, _Where], bool]


def _lane_of(facts: JobFacts) -> str:
    return facts.lane.name.lower()


def _recipient_of(facts: JobFacts) -> str:
    return facts.recipient.lower()


def _pool_of(facts: JobFacts) -> str:
    return facts.pools[0] if facts.pools else ""


def _delivery_of(facts: JobFacts) -> str:
    return str(facts.key)


# From what fits the least mail to what fits the most.
_OF_FACTS: Mapping[str, Callable[[JobFacts], str]] = {
    "delivery": _delivery_of,
    "recipient": _recipient_of,
    "campaign": attrgetter("campaign"),
    "tenant": attrgetter("tenant"),
    "domain": attrgetter("domain"),
    "organisation": attrgetter("organisation"),
}
_OF_WHERE: Mapping[str, Callable[[_Where], str]] = {
    "site": itemgetter(1),
    "address": itemgetter(2),
    "provider": itemgetter(0),
}
_BROAD: Mapping[str, Callable[[JobFacts], str]] = {"pool": _pool_of, "lane": _lane_of}
_ORDER = (*_OF_FACTS, *_OF_WHERE, *_BROAD)


@dataclass(frozen=True, slots=True)
class _Compiled:
    place: int  # among all, newest first
    order: Order
    tests: tuple[_Test, ...]

    def fits(self, facts: JobFacts, where: _Where) -> bool:
        """Say whether the order is in force for a delivery."""
        if not self.order.created_at <= where[3] < self.order.expires_at:
            return False
        return all(test(facts, where) for test in self.tests)


_Index = dict[str, list[_Compiled]]


class OrderBook:
    """The orders of a moment; a changed set of them is another book."""

    def __init__(self, orders: Iterable[Order] = ()) -> None:
        """Compile `orders`; those that expire are left out when they are asked for."""
        # Newest first: where only one can count, the first that fits does.
        self.orders: Sequence[Order] = sorted(orders, key=lambda o: (-o.created_at, o.id))
        self._by_facts: list[tuple[Callable[[JobFacts], str], _Index]] = []
        self._by_where: list[tuple[Callable[[_Where], str], _Index]] = []
        self._rest: list[_Compiled] = []
        self._of_paths = [each for each in self.orders if each.is_of_paths]
        self._drains = [each for each in self.orders if each.verb is OrderVerb.DRAIN_HOST]
        self._joined: dict[tuple[int, ...], Effects] = {}
        self._compile()

    def effects(
        self, facts: JobFacts, *, provider: str = "", site: str = "", address: str = "", now: float
    ) -> Effects:
        """Say what is to be done with a delivery now.

        What is not known of its way yet is ""; orders that select by it do not fit then. What
        `path_orders` says of the path comes on top.
        """
        if not self.orders:
            return NO_EFFECTS
        where = (provider, site, address, now)
        found: list[_Compiled] = []
        for read, index in self._by_facts:
            candidates = index.get(read(facts))
            if candidates:
                found += [each for each in candidates if each.fits(facts, where)]
        for look, index in self._by_where:
            candidates = index.get(look(where))
            if candidates:
                found += [each for each in candidates if each.fits(facts, where)]
        if self._rest:
            found += [each for each in self._rest if each.fits(facts, where)]
        if not found:
            return NO_EFFECTS
        return self._together(tuple(sorted([each.place for each in found])))

    def path_orders(
        self, *, address: str, pool: str, site: str, provider: str, now: float
    ) -> PathEffects:
        """Say what is to be done with a path now."""
        if not self._of_paths:
            return NO_PATH_EFFECTS
        path = {"address": address, "pool": pool, "site": site, "provider": provider}
        found = [
            each
            for each in self._of_paths
            if each.created_at <= now < each.expires_at
            and all(path[name] == value for name, value in each.selector.parts.items())
        ]
        if not found:
            return NO_PATH_EFFECTS
        modes = (e for e in found if e.verb in (OrderVerb.BACKOFF, OrderVerb.NORMAL))
        return PathEffects(
            paused_until=_until(found, OrderVerb.PAUSE),
            suspended_until=_until(found, OrderVerb.SUSPEND),
            disabled_until=_until(found, OrderVerb.DISABLE_ADDRESS),
            mode=next(modes, None),
            throttles=_throttles(found),
            orders=tuple(each.id for each in found),
        )

    def draining(self, process: str, now: float) -> Order | None:
        """Return the order by which a process has to drain, or None."""
        found = (
            each
            for each in self._drains
            if each.arguments.process == process and each.created_at <= now < each.expires_at
        )
        return next(found, None)

    def _together(self, places: tuple[int, ...]) -> Effects:
        """Return what some orders mean together: the same for all mail that they fit."""
        known = self._joined.get(places)
        if known is None:
            if len(self._joined) >= _MOST_JOINED:
                self._joined.clear()
            known = self._joined[places] = _joined([self.orders[place] for place in places])
        return known

    def _compile(self) -> None:
        indexes: dict[str, _Index] = {}
        for place, order in enumerate(self.orders):
            if order.is_of_paths or order.verb is OrderVerb.DRAIN_HOST:
                continue
            parts = order.selector.parts
            key = next((name for name in _ORDER if name in parts), "")
            compiled = _Compiled(place, order, tuple(_tests(order.selector, key)))
            if key:
                indexes.setdefault(key, {}).setdefault(str(parts[key]), []).append(compiled)
            else:
                self._rest.append(compiled)
        for name in _ORDER:
            if name not in indexes:
                continue
            if name in _OF_WHERE:
                self._by_where.append((_OF_WHERE[name], indexes[name]))
            else:
                self._by_facts.append(({**_OF_FACTS, **_BROAD}[name], indexes[name]))


def _tests(selector: Selector, key: str) -> Iterable[_Test]:
    for name, value in selector.parts.items():
        if name == key:
            continue
        if name == "older_than":
            yield _older(float(value))
        elif name in _OF_WHERE:
            yield _where_is(_OF_WHERE[name], value)
        else:
            yield _fact_is({**_OF_FACTS, **_BROAD}[name], value)


def _older(seconds: float) -> _Test:
    return lambda facts, where: where[3] - facts.accepted_at >= seconds


def _where_is(look: Callable[[_Where], str], value: Any) -> _Test:
    return lambda _, where: bool(look(where) == value)


def _fact_is(read: Callable[[JobFacts], str], value: Any) -> _Test:
    return lambda facts, _: bool(read(facts) == value)


def _joined(found: Sequence[Order]) -> Effects:
    """Return what orders that fit mean together; the newest come first."""
    released = next((e.created_at for e in found if e.verb is OrderVerb.RELEASE), None)
    lifted = {OrderVerb.PAUSE, OrderVerb.HOLD}
    left = [
        each
        for each in found
        if released is None or each.verb not in lifted or each.created_at > released
    ]
    reroute = next((e for e in left if e.verb is OrderVerb.REROUTE), None)
    priority = next((e for e in left if e.verb is OrderVerb.PRIORITY), None)
    return Effects(
        paused_until=_until(left, OrderVerb.PAUSE),
        end=next((each for each in left if each.verb in ENDS), None),
        pool=reroute.arguments.pool if reroute else "",
        throttles=_throttles(left),
        priority=priority.arguments.priority if priority else None,
        retry_now=any(each.verb is OrderVerb.RETRY_NOW for each in left),
        trace=any(each.verb is OrderVerb.TRACE for each in left),
        orders=tuple(each.id for each in left),
    )


def _until(orders: Sequence[Order], verb: OrderVerb) -> float | None:
    return max((each.expires_at for each in orders if each.verb is verb), default=None)


def _throttles(orders: Sequence[Order]) -> tuple[Throttle, ...]:
    return tuple(
        Throttle(f"order#{each.id}", each.arguments.rate)
        for each in orders
        if each.verb is OrderVerb.THROTTLE and each.arguments.rate is not None
    )
