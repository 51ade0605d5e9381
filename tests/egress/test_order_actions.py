"""Orders that change a host or its paths, and those that send mail through another pool."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from egress.core.engine.path_record import PathState
from egress.order_actions import OrderActions, ReroutedPools
from egress.sender.tenants import Tenant
from mailroom.domain.message import Server, ServerId
from mailroom.domain.sending.order import Order, OrderArguments, OrderVerb, Selector
from mailroom.domain.sending.order_book import OrderBook
from mailroom.domain.sending.path import PathKey, Site
from mailroom.domain.sending.source import SourceAddress
from tests.support.many_messages import made_submission

NOW = 1_800_000_000.0


@dataclass
class Control:
    state: PathState = PathState.NORMAL
    said: list[tuple[str, float | None, str]] = field(default_factory=list)

    def ordered(
        self, now: float, state: PathState, until: float | None, reason: str, author: str
    ) -> None:
        self.state = state
        self.said.append((str(state), until, reason))


@dataclass
class APath:
    source: SourceAddress
    site: Site
    control: Control = field(default_factory=Control)

    @property
    def key(self) -> PathKey:
        return PathKey(self.source.id, self.site.key)


@dataclass
class Stand:
    paths: list[APath] = field(default_factory=list)
    at: float = NOW
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.actions = OrderActions("host-1", lambda: self.paths, self, lambda: self.at)

    def drain(self) -> None:
        self.said.append("drain")

    def resume(self) -> None:
        self.said.append("resume")

    def look(self, *orders: Order) -> None:
        self.actions.look(OrderBook(orders))


def order(verb: str, id_: str = "ord_1", *, at: float = NOW, **more: Any) -> Order:
    arguments = OrderArguments(**more.pop("arguments", {}))
    return Order(id_, OrderVerb(verb), Selector(**more), "why", "Ann", at, at + 300, arguments)


def path(address: str = "ip_a", site: str = "gmail") -> APath:
    return APath(SourceAddress(address, "pool_a", "mx.test"), Site(site, site))


def test_a_host_drains_while_it_is_ordered_to() -> None:
    stand = Stand()
    drain = order("drain-host", arguments={"process": "host-1"})
    stand.look(order("drain-host", arguments={"process": "host-2"}))
    stand.look(drain)
    stand.look(drain)
    assert stand.said == ["drain"]
    stand.look()
    stand.look()
    assert stand.said == ["drain", "resume"]


def test_an_order_is_obeyed_once_on_each_path_and_on_later_ones() -> None:
    stand = Stand([path(), path(site="yahoo")])
    backoff = order("backoff", site="gmail")
    stand.look(backoff)
    stand.look(backoff)
    first, other = stand.paths
    assert first.control.said == [("backoff", NOW + 300, "order ord_1: why")]
    assert other.control.said == []
    stand.paths.append(path("ip_b"))
    stand.look(backoff)
    assert len(stand.paths[2].control.said) == 1
    assert len(first.control.said) == 1


def test_a_newer_order_takes_the_place_of_an_older_one() -> None:
    stand = Stand([path()])
    backoff = order("backoff", site="gmail")
    normal = order("normal", "ord_2", at=NOW + 1, address="ip_a")
    stand.look(backoff)
    stand.at += 2
    stand.look(backoff, normal)
    assert [each[0] for each in stand.paths[0].control.said] == ["backoff", "normal"]


@pytest.mark.parametrize(
    ("later", "state", "is_told"),
    [
        (10, PathState.BACKOFF, True),
        (10, PathState.SUSPENDED, False),
        (300, PathState.BACKOFF, False),
    ],
)
def test_a_backoff_that_is_taken_back_ends(later: float, state: PathState, is_told: bool) -> None:
    stand = Stand([path()])
    stand.look(order("backoff", site="gmail"))
    control = stand.paths[0].control
    control.state = state  # what became of it meanwhile
    stand.at += later
    stand.look()
    assert (len(control.said) == 2) is is_told
    stand.look()
    assert (len(control.said) == 2) is is_told


def test_paths_that_are_gone_are_forgotten() -> None:
    stand = Stand([path()])
    backoff = order("backoff", site="gmail")
    stand.look(backoff)
    stand.paths = []
    stand.look(backoff)
    stand.paths = [path()]
    stand.look(backoff)
    assert len(stand.paths[0].control.said) == 1


class Pools:
    async def of(self, *_: Any) -> tuple[str, ...]:
        return ("pool_a", "pool_b")


@pytest.mark.parametrize(
    ("selector", "is_rerouted"),
    [
        ({"tenant": "abcdefghij"}, True),
        ({"organisation": "org1", "campaign": "news"}, True),
        ({"provider": "gmail"}, True),
        ({"pool": "pool_a", "domain": "gmail.com"}, True),
        ({"pool": "pool_b"}, False),
        ({"tenant": "other"}, False),
        ({"site": "gmail"}, False),
    ],
)
async def test_mail_is_sent_through_the_pool_of_an_order(
    selector: dict[str, str], is_rerouted: bool
) -> None:  # fmt: skip
    server = Server(ServerId("abcdefghij"), "org1", "Demo", "demo", "abc123")
    tenant = Tenant(server, None, "rp.mail.test")
    orders = [
        order("reroute", arguments={"pool": "pool_x"}, **selector),
        order("pause", "ord_2", tenant="abcdefghij"),
    ]
    pools = ReroutedPools(Pools(), lambda: OrderBook(orders), lambda: NOW)
    submission = made_submission(1, NOW, server=server.id, tag="news")
    found = await pools.of(submission, tenant, "ann@gmail.com")
    assert found == (("pool_x",) if is_rerouted else ("pool_a", "pool_b"))
