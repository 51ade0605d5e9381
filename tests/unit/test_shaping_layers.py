"""Layers laid over each other: the narrower wins, what replaces cuts, and twins stay below."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import AddressLimits, PathSettings, SharedScope, TlsUse
from mailroom.domain.shaping.layer import Layer
from mailroom.domain.shaping.layers import (
    ShapingSet,
    address_limits_for,
    combined,
    effective,
    is_above,
    plan_in,
    plan_name_for,
    shared_limits_for,
)
from mailroom.domain.shaping.loading import load

EVERYTHING = load(
    {
        "defaults": {"connections": 9, "idle": 1, "pools": {"p": {"idle": 2, "age": 2}}},
        "providers": {
            "gmail": {
                "connections": 8,
                "age": 3,
                "pools": {"p": {"connections": 7}},
                "addresses": {"a": {"connections": 6, "tls": "required"}},
            }
        },
        "sites": {"gmail": {"connections": 5, "retry": "slow"}},
        "domains": {"big.example": {"connections": 4, "replace": True, "retry": "fast"}},
    }
)


@pytest.mark.parametrize(
    ("where", "connections", "origin"),
    [
        ({"provider": "other", "site": "mx:x"}, 9, "defaults"),
        ({"provider": "gmail", "site": "g"}, 8, "providers.gmail"),
        ({"provider": "gmail", "site": "g", "pool": "p"}, 7, "providers.gmail.pools.p"),
        (
            {"provider": "gmail", "site": "g", "pool": "p", "address": "a"},
            6,
            "providers.gmail.addresses.a",
        ),
        ({"provider": "gmail", "site": "gmail", "pool": "p", "address": "a"}, 5, "sites.gmail"),
        ({"provider": "gmail", "site": "domain:big.example"}, 4, "domains.big.example"),
        ({"provider": "gmail", "site": "gmail", "domain": "big.example"}, 4, "domains.big.example"),
    ],
)
def test_the_narrowest_layer_that_says_something_counts(
    where: Mapping[str, str], connections: int, origin: str
) -> None:
    found = effective(EVERYTHING, **where)
    assert found.settings.connections == connections
    assert found.origin["connections"] == origin


def test_what_a_narrow_layer_does_not_say_comes_from_wider_ones() -> None:
    found = effective(EVERYTHING, provider="gmail", site="gmail", pool="p", address="a")
    assert (found.settings.idle, found.settings.age) == (2, 3)
    assert found.settings.tls is TlsUse.REQUIRED
    assert found.retry == "slow"
    assert found.origin["idle"] == "defaults.pools.p"
    assert found.origin["ramp_interval"] == "built-in"


def test_a_layer_that_replaces_forgets_the_wider_ones() -> None:
    found = effective(EVERYTHING, provider="gmail", site="domain:big.example", pool="p")
    assert found.settings == PathSettings(connections=4)
    assert found.origin["idle"] == "built-in (domains.big.example replaces)"
    assert found.retry == "fast"


def test_plans_of_one_s_own_are_named_for_a_provider_and_narrowed() -> None:
    shaping = load(
        {
            "plans": {"mine": {"start": 100, "factor": 1.3, "days": 30}},
            "defaults": {"pools": {"cold": {"warmup": "sendgrid"}}},
            "providers": {"yahoo": {"warmup": "gentle", "addresses": {"ip1": {"warmup": "mine"}}}},
        }
    )
    assert plan_name_for(shaping, group="gmail") == ""
    assert plan_name_for(shaping, group="gmail", pool="cold") == "sendgrid"
    assert plan_name_for(shaping, group="yahoo", pool="cold") == "gentle"
    assert plan_name_for(shaping, group="yahoo", pool="cold", address="ip1") == "mine"
    assert plan_in(shaping, "mine").steps[0] == 100
    assert plan_in(shaping, "sendgrid").name == "sendgrid"
    assert plan_in(shaping, "gone").name == "gentle"


def test_paths_under_the_same_layers_share_what_comes_of_them() -> None:
    found = {
        id(effective(EVERYTHING, provider="other", site=f"mx:{n}", address=f"ip{n % 7}"))
        for n in range(500)
    }
    assert len(found) == 1


def test_nothing_said_is_what_is_built_in() -> None:
    assert effective(ShapingSet(), provider="other", site="x").settings == PathSettings()
    assert address_limits_for(ShapingSet()) == AddressLimits()


def test_contradictions_across_layers_are_resolved_to_the_careful_side() -> None:
    shaping = load(
        {
            "defaults": {"start_connections": 8, "backoff": {"connections": 4}},
            "providers": {"gmail": {"connections": 2, "message_rate": "10/hour"}},
        }
    )
    found = effective(shaping, provider="gmail", site="gmail")
    assert found.settings.start_connections == 2
    assert found.settings.backoff.connections == 2
    assert found.settings.backoff.message_rate == Rate(10, 3_600)
    assert found.origin["backoff.message_rate"] == "providers.gmail"


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "connections": st.integers(1, 50),
        "start_connections": st.integers(1, 50),
        "idle": st.floats(0, 300),
        "message_rate": st.none() | st.builds(Rate, st.floats(0.01, 1e6), st.floats(1, 86_400)),
        "backoff.connections": st.integers(1, 50),
        "backoff.message_rate": st.none()
        | st.builds(Rate, st.floats(0.01, 1e6), st.floats(1, 86_400)),
    },
)
LAYERS = st.lists(st.builds(Layer, VALUES, st.booleans()), max_size=8)


@given(LAYERS)
def test_each_setting_is_that_of_the_narrowest_layer_since_one_replaced(
    layers: list[Layer],
) -> None:
    found = combined([(str(n), layer) for n, layer in enumerate(layers)])
    cut = max((n for n, layer in enumerate(layers) if layer.replace), default=0)
    for name in ("connections", "idle", "message_rate"):
        said = [(str(n), each.values[name]) for n, each in enumerate(layers) if name in each.values]
        origin, value = next(
            ((n, v) for n, v in reversed(said) if int(n) >= cut),
            ("built-in", getattr(PathSettings(), name)),
        )
        assert getattr(found.settings, name) == value
        assert found.origin[name].split(" ")[0] == origin


@given(LAYERS)
def test_whatever_the_layers_say_no_path_starts_above_its_most_nor_backs_off_upwards(
    layers: list[Layer],
) -> None:
    settings = combined([("a", layer) for layer in layers]).settings
    assert settings.start_connections <= settings.connections
    assert settings.backoff.connections <= settings.connections
    assert not is_above(settings.backoff.message_rate, settings.message_rate)
    assert not is_above(settings.backoff.connection_rate, settings.connection_rate)


@given(LAYERS, st.builds(Layer, VALUES, st.just(True)))
def test_what_is_wider_than_a_layer_that_replaces_changes_nothing(
    wider: list[Layer], replacing: Layer
) -> None:
    layers = [("wide", layer) for layer in wider]
    both = combined([*layers, ("mine", replacing)])
    assert both == combined([("mine", replacing)])


def test_limits_of_addresses_are_narrowed_by_pool_and_address() -> None:
    shaping = load(
        {
            "address": {
                "connections": 100,
                "message_rate": "20/s",
                "pools": {"cold": {"connections": 10}},
                "addresses": {"ip1": {"message_rate": None}},
            }
        }
    )
    rate = Rate(20, 1)
    assert address_limits_for(shaping) == AddressLimits(100, rate)
    assert address_limits_for(shaping, pool="cold") == AddressLimits(10, rate)
    assert address_limits_for(shaping, pool="cold", address="ip1") == AddressLimits(10, None)


def limit(scope: str, match: list[str], rate: str = "1/s") -> dict[str, Any]:
    return {"scope": scope, "match": match, "rate": rate}


def test_the_first_limit_of_each_scope_that_matches_counts_with_a_key_of_its_own() -> None:
    shaping = load(
        {
            "shared": [
                limit("pool-provider", ["p1", "gmail"], "5/s"),
                limit("pool-provider", ["*", "gmail"], "9/s"),
                limit("dkim-provider", ["*", "yahoo"]),
                limit("tenant", ["*"], "100/min"),
                limit("campaign", ["t1", "*"], "7/min"),
            ]
        }
    )

    def found(pool: str, provider: str, tenant: str = "t1", tag: str = "") -> list[Any]:
        limits = shared_limits_for(
            shaping, pool=pool, provider=provider, sign_domain="d.test", tenant=tenant, campaign=tag
        )
        return [(each.scope, each.rate.per_second, key) for each, key in limits]

    tenant = (SharedScope.TENANT, 100 / 60, ("t1",))
    assert found("p1", "gmail") == [(SharedScope.POOL_PROVIDER, 5, ("p1", "gmail")), tenant]
    assert found("p2", "gmail") == [(SharedScope.POOL_PROVIDER, 9, ("p2", "gmail")), tenant]
    assert found("p2", "yahoo") == [(SharedScope.DKIM_PROVIDER, 1, ("d.test", "yahoo")), tenant]
    assert (SharedScope.CAMPAIGN, 7 / 60, ("t1", "news")) in found("p2", "apple", tag="news")
    assert len(found("p2", "apple", tenant="t2", tag="news")) == 1
    assert found("p1", "gmail") == found("p1", "gmail")


def test_without_limits_nothing_is_counted() -> None:
    where = {"pool": "p", "provider": "gmail", "sign_domain": "d", "tenant": "t"}
    assert shared_limits_for(ShapingSet(), **where) == ()
