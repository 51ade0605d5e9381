"""Orders: what can be ordered, and what the book of them says of deliveries and paths."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.domain.sending.job import JobFacts, LaneClass
from mailroom.domain.sending.order import (
    Order,
    OrderArguments,
    OrderVerb,
    Selector,
    check_order,
    default_seconds,
    dump_order,
    load_order,
    tidied,
)
from mailroom.domain.sending.order_book import NO_EFFECTS, NO_PATH_EFFECTS, OrderBook
from mailroom.domain.sending.rate import Rate, parse_rate

NOW = 1_800_000_000.0
JOB = JobFacts(
    key=DeliveryKey(ServerId("srvaaaaaaa"), 7, 0),
    generation=1,
    recipient="Ann@Example.org",
    tenant="srvaaaaaaa",
    organisation="org_a",
    lane=LaneClass.BULK,
    sign_domain="a.test",
    from_address="me@a.test",
    size=10,
    pools=("pool_a", "pool_b"),
    accepted_at=NOW - 100,
    expires_at=NOW + 1_000,
    campaign="spring",
)
WAY = {"provider": "gmail", "site": "gmail", "address": "ip_a"}
PATH = {"address": "ip_a", "pool": "pool_a", "site": "gmail", "provider": "gmail"}


def order(verb: str = "pause", id_: str = "ord_1", *, at: float = NOW, **more: Any) -> Order:
    arguments = OrderArguments(**more.pop("arguments", {}))
    made = Order(id_, OrderVerb(verb), Selector(**more), "why", "ann", at, at + 300, arguments)
    return replace(made, selector=tidied(made.selector))


def effects(*orders: Order, job: JobFacts = JOB, now: float = NOW, **way: str) -> Any:
    return OrderBook(orders).effects(job, now=now, **{**WAY, **way})


FITTING: list[dict[str, Any]] = [
    {"tenant": "srvaaaaaaa"},
    {"organisation": "org_a"},
    {"campaign": "spring"},
    {"lane": "bulk"},
    {"pool": "pool_a", "lane": "bulk"},
    {"address": "ip_a", "tenant": "srvaaaaaaa"},
    {"provider": "gmail", "campaign": "spring"},
    {"site": "gmail", "domain": "EXAMPLE.org."},
    {"recipient": "ann@example.ORG"},
    {"delivery": "srvaaaaaaa.7.0"},
    {"older_than": 100.0},
    {},
]
OTHER: list[dict[str, Any]] = [
    {"tenant": "srvbbbbbbb"},
    {"organisation": "org_b"},
    {"campaign": "Spring"},
    {"lane": "transactional"},
    {"pool": "pool_b", "lane": "bulk"},
    {"address": "ip_b", "tenant": "srvaaaaaaa"},
    {"provider": "yahoo", "campaign": "spring"},
    {"site": "other", "domain": "example.org"},
    {"recipient": "bob@example.org"},
    {"delivery": "srvaaaaaaa.7.1"},
    {"older_than": 100.5},
]


@pytest.mark.parametrize("selector", FITTING, ids=str)
def test_an_order_is_for_all_that_fits_every_part_of_its_selector(selector: dict[str, Any]) -> None:
    found = effects(order(**selector))
    assert (found.paused_until, found.orders) == (NOW + 300, ("ord_1",))


@pytest.mark.parametrize("selector", OTHER, ids=str)
def test_what_does_not_fit_one_part_is_left_alone(selector: dict[str, Any]) -> None:
    assert effects(order(**selector)) is NO_EFFECTS


def test_what_is_not_known_yet_fits_no_order_that_asks_for_it() -> None:
    bounce = order("bounce", site="gmail")
    assert effects(bounce, site="") is NO_EFFECTS
    assert effects(bounce).end == bounce


@pytest.mark.parametrize(("now", "counts"), [(-1, False), (0, True), (299, True), (300, False)])
def test_an_order_counts_from_when_it_was_given_until_it_expires(now: float, counts: bool) -> None:
    assert bool(effects(order(tenant=JOB.tenant), now=NOW + now).orders) is counts


def test_the_newest_of_bounce_drop_and_hold_counts() -> None:
    old = order("bounce", "ord_1", tenant=JOB.tenant)
    new = order("hold", "ord_2", at=NOW + 1, organisation="org_a")
    found = effects(old, new, now=NOW + 2)
    assert (found.end, found.orders) == (new, ("ord_2", "ord_1"))


def test_a_release_lifts_older_pauses_and_holds_and_no_bounce() -> None:
    orders = [
        order("pause", "ord_1", campaign="spring"),
        order("hold", "ord_2", tenant=JOB.tenant),
        order("bounce", "ord_3", domain="example.org"),
        order("release", "ord_4", at=NOW + 1, tenant=JOB.tenant),
        order("pause", "ord_5", at=NOW + 2, tenant=JOB.tenant),
    ]
    found = effects(*orders, now=NOW + 3)
    assert found.end is not None
    assert (found.end.id, found.paused_until) == ("ord_3", NOW + 302)


def test_orders_of_other_kinds_add_up() -> None:
    found = effects(
        order("reroute", "ord_1", tenant=JOB.tenant, arguments={"pool": "pool_x"}),
        order("throttle", "ord_2", campaign="spring", arguments={"rate": Rate(5, 60)}),
        order("throttle", "ord_3", tenant=JOB.tenant, arguments={"rate": Rate(9)}),
        order("priority", "ord_4", lane="bulk", arguments={"priority": -3}),
        order("retry-now", "ord_5", domain="example.org"),
        order("trace", "ord_6", recipient="ann@example.org"),
    )
    assert (found.pool, found.priority, found.retry_now, found.trace) == ("pool_x", -3, True, True)
    assert {(t.key, t.rate.amount) for t in found.throttles} == {
        ("order#ord_2", 5), ("order#ord_3", 9)
    }  # fmt: skip
    assert found.end is None
    assert found.paused_until is None


def test_what_selects_paths_only_is_asked_of_paths_and_not_of_deliveries() -> None:
    book = OrderBook([order("pause", provider="gmail"), order("bounce", "ord_2", provider="gmail")])
    found = book.effects(JOB, now=NOW, **WAY)
    assert (found.paused_until, found.orders) == (None, ("ord_2",))
    assert book.path_orders(now=NOW, **PATH).paused_until == NOW + 300
    assert book.path_orders(now=NOW, **{**PATH, "provider": "yahoo"}) == NO_PATH_EFFECTS
    assert book.path_orders(now=NOW + 300, **PATH) == NO_PATH_EFFECTS


def test_a_path_is_stopped_until_its_last_order_ends() -> None:
    book = OrderBook(
        [
            order("suspend", "ord_1", site="gmail"),
            order("disable-address", "ord_2", at=NOW + 5, address="ip_a", provider="gmail"),
            order("throttle", "ord_3", pool="pool_a", arguments={"rate": Rate(1)}),
            order("backoff", "ord_4", pool="pool_a"),
            order("normal", "ord_5", at=NOW + 6, address="ip_a"),
        ]
    )
    found = book.path_orders(now=NOW + 10, **PATH)
    assert (found.suspended_until, found.disabled_until) == (NOW + 300, NOW + 305)
    assert found.stopped_until == NOW + 305
    assert found.mode is not None
    assert found.mode.id == "ord_5"
    assert [each.key for each in found.throttles] == ["order#ord_3"]
    assert NO_PATH_EFFECTS.stopped_until is None


def test_a_host_drains_while_an_order_says_so() -> None:
    drain = order("drain-host", arguments={"process": "host-1"})
    book = OrderBook([drain])
    assert book.draining("host-1", NOW) == drain
    assert book.draining("host-2", NOW) is None
    assert book.draining("host-1", NOW + 300) is None


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("bounce", {}, "all mail of the platform"),
    ("retry-now", {"domain": "example.org"}, "for a delivery"),
    ("retry-now", {"tenant": "srv", "site": "gmail"}, "for a delivery"),
    ("pause", {}, "all mail of the platform"),
    ("suspend", {}, "needs a pool"),
    ("suspend", {"tenant": "srv"}, "about paths"),
    ("backoff", {"site": "x", "campaign": "c"}, "about paths"),
    ("disable-address", {"provider": "gmail"}, "needs the address"),
    ("reroute", {"tenant": "srv"}, "needs a pool"),
    ("reroute", {"pool": "p", "arguments": {"pool": "p"}}, "another pool"),
    ("throttle", {"tenant": "srv"}, "needs a rate"),
    ("drain-host", {}, "needs a process"),
    ("drain-host", {"tenant": "srv", "arguments": {"process": "h"}}, "no selector"),
    ("pause", {"tenant": "srv", "arguments": {"pool": "p"}}, "takes no pool"),
    ("drop", {"tenant": "srv", "arguments": {"quiet": True}}, "takes no quiet"),
    ("priority", {"tenant": "srv", "arguments": {"priority": 11}}, "from -10 to 10"),
    ("pause", {"lane": "slow"}, "transactional or bulk"),
    ("pause", {"tenant": "a\nb"}, "tenant is no name"),
    ("pause", {"tenant": "a" * 321}, "tenant is no name"),
    ("pause", {"delivery": "7"}, "SERVER.NUMBER.INDEX"),
    ("pause", {"older_than": -1.0}, "older_than"),
]


@pytest.mark.parametrize(("verb", "more", "why"), REFUSED)
def test_what_makes_no_sense_is_refused_in_plain_words(
    verb: str, more: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        check_order(order(verb, **more))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"expires_at": NOW}, "30 days"),
        ({"expires_at": NOW + 30 * 86_400 + 1}, "30 days"),
        ({"reason": ""}, "reason"),
    ],
)
def test_every_order_ends_and_has_a_reason(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_order(replace(order(tenant="srv"), **change))


def test_all_mail_of_the_platform_needs_a_confirmation() -> None:
    check_order(order("bounce"), confirm=True)


def test_what_cannot_be_undone_lasts_minutes_unless_somebody_says_more() -> None:
    assert default_seconds(OrderVerb.BOUNCE) == default_seconds(OrderVerb.DROP) == 300
    assert default_seconds(OrderVerb.PAUSE) == 3_600


def test_a_selector_with_a_part_unknown_here_is_not_widened() -> None:
    body = dump_order(order(tenant="srv"))
    body["selector"]["planet"] = "mars"
    with pytest.raises(ValueError, match="planet"):
        load_order(body)


texts = st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]), max_size=3)
selectors = st.builds(
    Selector,
    tenant=texts, campaign=texts, lane=st.sampled_from(["", "bulk", "transactional"]),
    pool=texts, address=texts, provider=texts, site=texts, domain=texts,
    older_than=st.none() | st.floats(0, 1e6),
)  # fmt: skip
arguments = st.builds(
    OrderArguments,
    pool=texts,
    rate=st.none() | st.builds(Rate, st.integers(1, 10**11), st.integers(1, 86_400)),
    priority=st.integers(-10, 10),
    quiet=st.booleans(),
)
orders = st.builds(
    Order,
    id=texts, verb=st.sampled_from(OrderVerb), selector=selectors, reason=texts, author=texts,
    created_at=st.floats(NOW - 500, NOW + 500), expires_at=st.floats(NOW - 500, NOW + 500),
    arguments=arguments,
)  # fmt: skip


@given(orders)
def test_an_order_is_stored_and_read_back_whole(one: Order) -> None:
    assert load_order(dump_order(one)) == one


def fits_plainly(one: Order, job: JobFacts) -> bool:
    """The meaning of a selector, without any index."""
    facts = {
        "tenant": job.tenant, "organisation": job.organisation, "campaign": job.campaign,
        "lane": job.lane.name.lower(), "pool": job.pools[0], "domain": job.domain,
        "recipient": job.recipient.lower(), "delivery": str(job.key), **WAY,
    }  # fmt: skip
    parts = dict(one.selector.parts)
    older = parts.pop("older_than", None)
    return (
        one.created_at <= NOW < one.expires_at
        and all(facts[name] == value for name, value in parts.items())
        and (older is None or NOW - job.accepted_at >= older)
    )


few = st.sampled_from(["", "", "a", "b"])
near = st.builds(
    Selector,
    tenant=few, campaign=few, domain=few, provider=st.sampled_from(["", "gmail"]),
    lane=st.sampled_from(["", "bulk"]), pool=few, older_than=st.sampled_from([None, 50.0, 200.0]),
)  # fmt: skip


@given(
    st.lists(st.builds(lambda o, s: replace(o, selector=s), orders, near), max_size=12),
    st.sampled_from("ab"), st.sampled_from("ab"), st.sampled_from("ab"),
)  # fmt: skip
def test_the_index_finds_what_a_plain_look_at_every_order_finds(
    given_orders: list[Order], tenant: str, campaign: str, domain: str
) -> None:
    numbered = [replace(each, id=f"ord_{n}") for n, each in enumerate(given_orders)]
    lifting = (OrderVerb.PAUSE, OrderVerb.HOLD)  # whose ids a release takes away
    wanted = {
        each.id
        for each in numbered
        if not each.is_of_paths
        and each.verb is not OrderVerb.DRAIN_HOST
        and fits_plainly(each, replace(JOB, tenant=tenant, campaign=campaign,
                                       recipient=f"x@{domain}", pools=("a",)))
    }  # fmt: skip
    job = replace(JOB, tenant=tenant, campaign=campaign, recipient=f"x@{domain}", pools=("a",))
    found = set(OrderBook(numbered).effects(job, now=NOW, **WAY).orders)
    by_id = {each.id: each for each in numbered}
    assert found <= wanted
    assert all(by_id[id_].verb in lifting for id_ in wanted - found)


def test_rates_of_any_size_are_read_back() -> None:
    for rate in (Rate(20_000_000, 86_400), Rate(0.25), Rate(123_456_789)):
        assert parse_rate(str(rate)) == rate
