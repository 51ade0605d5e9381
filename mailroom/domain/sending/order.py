"""Orders: what an operator wants done with some of the mail, or on some of the paths, for a time.

An order names mail that is there and mail that is still to come: a host asks its book of orders
(`order_book.py`) when mail arrives, before each transaction and when the orders change; it never
touches mail whose DATA has begun. Reference: mta.md 5.9.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from mailroom.domain.message import DeliveryKey
from mailroom.domain.sending.job import LaneClass
from mailroom.domain.sending.rate import Rate, parse_rate

MAX_SECONDS = 30 * 86_400.0
SHORT_SECONDS = 300.0  # what a bounce or a drop lasts if nobody says otherwise
LONG_SECONDS = 3_600.0  # and the others
MAX_ORDERS = 500  # in force at a time
MAX_VALUE = 320  # characters of a part of a selector
MAX_REASON = 500
PRIORITIES = range(-10, 11)


class OrderVerb(StrEnum):
    """What is to be done. Values are stored; never rename them."""

    PAUSE = "pause"  # nothing new is sent; connections end
    SUSPEND = "suspend"  # the path is SUSPENDED; then it probes
    DISABLE_ADDRESS = "disable-address"  # the address sends nothing to the site or provider
    BOUNCE = "bounce"  # fail with an event and a bounce message
    DROP = "drop"  # end without telling the sender
    HOLD = "hold"  # put aside until a person releases it
    RELEASE = "release"  # held mail goes; older pauses and holds do not count for it
    RETRY_NOW = "retry-now"  # mail that waits for its next try is due at once
    REROUTE = "reroute"  # another pool sends it
    THROTTLE = "throttle"  # all it selects together, on each host, is held to a rate
    PRIORITY = "priority"
    NORMAL = "normal"  # the path forgets its strikes
    BACKOFF = "backoff"
    DRAIN_HOST = "drain-host"  # the process takes no new mail and gives its addresses back
    TRACE = "trace"  # each attempt of this mail is logged whole


ENDS = frozenset({OrderVerb.BOUNCE, OrderVerb.DROP, OrderVerb.HOLD})
# What is done to paths alone; pause and throttle are both, depending on what they select.
OF_PATHS = frozenset(
    {OrderVerb.SUSPEND, OrderVerb.DISABLE_ADDRESS, OrderVerb.NORMAL, OrderVerb.BACKOFF}
)
_SHORT = frozenset({OrderVerb.BOUNCE, OrderVerb.DROP, OrderVerb.RETRY_NOW, OrderVerb.NORMAL})
# Mail that waits where no host has it is found by these.
AT_ONCE_FIELDS = frozenset({"delivery", "tenant", "campaign", "recipient", "older_than"})
PATH_FIELDS = frozenset({"pool", "address", "provider", "site"})


@dataclass(frozen=True, slots=True)
class Selector:
    """What an order is about: all that fits every part that is given; "" and None are not given.

    `tenant` is a server's id, `campaign` a tag, `lane` the name of a LaneClass in lower case,
    `pool` and `address` are ids, `site` is a site's key, `domain` and `recipient` the recipient's,
    `delivery` what `str` makes of a DeliveryKey, `older_than` seconds since the acceptance.
    """

    tenant: str = ""
    organisation: str = ""
    campaign: str = ""
    lane: str = ""
    pool: str = ""
    address: str = ""
    provider: str = ""
    site: str = ""
    domain: str = ""
    recipient: str = ""
    delivery: str = ""
    older_than: float | None = None

    @property
    def parts(self) -> Mapping[str, Any]:
        """The parts that are given, by name."""
        found = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: value for name, value in found if value not in ("", None)}

    @property
    def is_of_paths(self) -> bool:
        """Whether it names paths and nothing else, so that it can be applied to them whole."""
        parts = self.parts.keys()
        return bool(parts) and parts <= PATH_FIELDS


@dataclass(frozen=True, slots=True)
class OrderArguments:
    """What some verbs need besides: a pool to reroute to, a rate, a priority, a process's id.

    `quiet` is for a bounce without a message to the sender.
    """

    pool: str = ""
    rate: Rate | None = None
    priority: int = 0
    process: str = ""
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """One order. Times are Unix seconds; it counts from `created_at` until `expires_at`."""

    id: str
    verb: OrderVerb
    selector: Selector
    reason: str
    author: str
    created_at: float
    expires_at: float
    arguments: OrderArguments = OrderArguments()

    @property
    def is_of_paths(self) -> bool:
        """Whether paths are asked, not single deliveries."""
        paths = {OrderVerb.PAUSE, OrderVerb.THROTTLE} | OF_PATHS
        return self.verb in paths and self.selector.is_of_paths


def default_seconds(verb: OrderVerb) -> float:
    """Return how long an order lasts if nobody says: minutes for what cannot be undone."""
    return SHORT_SECONDS if verb in _SHORT else LONG_SECONDS


def tidied(selector: Selector) -> Selector:
    """Return a selector as mail is compared with it: domains and recipients in lower case."""
    found = dict(selector.parts)
    for name in ("domain", "recipient", "lane", "provider", "site"):
        if name in found:
            found[name] = found[name].strip().lower().rstrip(".")
    return Selector(**found)


def check_order(order: Order, *, confirm: bool = False) -> None:
    """See that an order can be obeyed. Raises ValueError with what is wrong in plain words.

    `confirm` says that an order without a selector is meant for the whole platform.
    """
    _check_time(order)
    _check_values(order)
    _check_selector(order, confirm=confirm)
    _check_arguments(order)


def dump_order(order: Order) -> dict[str, Any]:
    """Return the JSON-ready form in which an order is stored and told."""
    arguments = order.arguments
    return {
        "id": order.id,
        "verb": str(order.verb),
        "selector": dict(order.selector.parts),
        "reason": order.reason,
        "author": order.author,
        "created_at": order.created_at,
        "expires_at": order.expires_at,
        "arguments": {
            name: value
            for name, value in (
                ("pool", arguments.pool),
                ("rate", str(arguments.rate) if arguments.rate else ""),
                ("priority", arguments.priority),
                ("process", arguments.process),
                ("quiet", arguments.quiet),
            )
            if value
        },
    }


def load_order(body: Mapping[str, Any]) -> Order:
    """Return what `dump_order` wrote; parts of a later version are left out. Raises ValueError.

    An order whose selector has a part that is unknown here is refused, not widened.
    """
    names = {each.name for each in fields(Selector)}
    given = body.get("selector", {})
    if not given.keys() <= names:
        raise ValueError(f"an order selects by what is not known here: {sorted(given)}")
    told = body.get("arguments", {})
    rate = told.get("rate", "")
    return Order(
        id=str(body["id"]),
        verb=OrderVerb(body["verb"]),
        selector=Selector(**given),
        reason=str(body.get("reason", "")),
        author=str(body.get("author", "")),
        created_at=float(body["created_at"]),
        expires_at=float(body["expires_at"]),
        arguments=OrderArguments(
            pool=str(told.get("pool", "")),
            rate=parse_rate(rate) if rate else None,
            priority=int(told.get("priority", 0)),
            process=str(told.get("process", "")),
            quiet=bool(told.get("quiet", False)),
        ),
    )


def _check_time(order: Order) -> None:
    lasts = order.expires_at - order.created_at
    if not 0 < lasts <= MAX_SECONDS:
        raise ValueError("an order lasts for more than nothing and at most 30 days")


def _check_values(order: Order) -> None:
    if not 0 < len(order.reason) <= MAX_REASON:
        raise ValueError(f"an order has a reason of 1 to {MAX_REASON} characters")
    for name, value in order.selector.parts.items():
        if isinstance(value, str) and (len(value) > MAX_VALUE or not value.isprintable()):
            raise ValueError(f"{name} is no name: too long, or with characters that none has")
    older = order.selector.older_than
    if older is not None and not 0 <= older <= MAX_SECONDS:
        raise ValueError("older_than is a number of seconds up to 30 days")
    if order.selector.lane and order.selector.lane.upper() not in LaneClass.__members__:
        raise ValueError("lane is transactional or bulk")
    if order.selector.delivery:
        _check_delivery(order.selector.delivery)


def _check_delivery(text: str) -> None:
    try:
        DeliveryKey.parse(text)
    except ValueError:
        raise ValueError("delivery is SERVER.NUMBER.INDEX, as logs and events name it") from None


def _check_selector(order: Order, *, confirm: bool) -> None:
    verb, selector = order.verb, order.selector
    if verb is OrderVerb.DRAIN_HOST:
        if selector.parts:
            raise ValueError("drain-host is about a process: give that, and no selector")
        return
    if verb is OrderVerb.DISABLE_ADDRESS and not selector.address:
        raise ValueError("disable-address needs the address that is to send no more")
    if verb in OF_PATHS and not selector.parts.keys() <= PATH_FIELDS:
        raise ValueError(f"{verb} is about paths: select by pool, address, provider or site")
    if verb is OrderVerb.RETRY_NOW and not (
        (selector.delivery or selector.tenant) and selector.parts.keys() <= AT_ONCE_FIELDS
    ):
        raise ValueError(
            "retry-now is for a delivery, or for a tenant's mail, narrowed by campaign, recipient"
            " or older_than"
        )
    if selector.parts:
        return
    if verb in OF_PATHS:
        raise ValueError(f"{verb} needs a pool, an address, a provider or a site")
    if not confirm:
        raise ValueError(f"{verb} without a selector is for all mail of the platform: confirm it")


def _check_arguments(order: Order) -> None:
    verb, given = order.verb, order.arguments
    needs = {
        OrderVerb.REROUTE: ("pool", bool(given.pool)),
        OrderVerb.THROTTLE: ("rate", given.rate is not None),
        OrderVerb.DRAIN_HOST: ("process", bool(given.process)),
    }
    name, is_there = needs.get(verb, ("", True))
    if not is_there:
        raise ValueError(f"{verb} needs a {name}")
    takes = {
        "pool": {OrderVerb.REROUTE},
        "rate": {OrderVerb.THROTTLE},
        "priority": {OrderVerb.PRIORITY},
        "process": {OrderVerb.DRAIN_HOST},
        "quiet": {OrderVerb.BOUNCE},
    }
    for argument, verbs in takes.items():
        if getattr(given, argument) and verb not in verbs:
            raise ValueError(f"{verb} takes no {argument}")
    if given.priority not in PRIORITIES:
        raise ValueError("priority is a whole number from -10 to 10")
    if verb is OrderVerb.REROUTE and given.pool == order.selector.pool:
        raise ValueError("reroute leads to another pool than the one it selects")
