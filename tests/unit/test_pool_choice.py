"""Which pool a message goes out through."""

import pytest

from mailroom.domain.sending.pool_choice import (
    MAX_POOLS,
    ChoiceFacts,
    PoolRule,
    PoolRuleSet,
    choose_pools,
    load_rule,
    newest_first,
)
from mailroom.domain.sending.source import HOST_POOL, Fleet, PoolFacts

MAIL = ChoiceFacts(
    organisation="org_1",
    from_address="News+May@Brand.test",
    recipient="ann+x@Gmail.com",
    tags=("welcome", "spring"),
    credential="crd_1",
    stream="transactional",
)


def fleet(*pools):
    named = [PoolFacts(each) if isinstance(each, str) else each for each in pools]
    return Fleet({pool.id: pool for pool in named})


def rule(id_, pool, **conditions):
    return load_rule(id_, {"pool": pool, **conditions})


def test_without_any_pool_a_host_sends_from_its_own_address():
    assert choose_pools(MAIL, PoolRuleSet(), Fleet()) == (HOST_POOL,)
    assert choose_pools(MAIL, PoolRuleSet(), fleet("a", "b")) == (HOST_POOL,)


def test_what_is_nearer_to_the_message_is_asked_first():
    known = fleet("own", "server", "org", "stream", "sdef", "odef", PoolFacts("pdef", default=True))
    rules = PoolRuleSet(
        server=(rule("1", "server", tags=["spring"]),),
        organisation=(rule("2", "org", tags=["welcome"]),),
        streams={"transactional": "stream"},
        server_pool="sdef",
        organisation_pool="odef",
    )
    named = ChoiceFacts(MAIL.organisation, "a@b.test", "c@d.test", pool="own")
    assert choose_pools(named, rules, known) == ("own",)
    chosen = []
    while known.pools:
        (pool,) = choose_pools(MAIL, rules, known)
        if pool == HOST_POOL:
            break
        chosen.append(pool)
        known = fleet(*(each for each in known.pools.values() if each.id != pool))
    assert chosen == ["server", "org", "stream", "sdef", "odef", "pdef"]


@pytest.mark.parametrize(
    "conditions",
    [
        {"from": ["brand.test"]},
        {"from": ["BRAND.test"]},
        {"from": ["news@brand.test"]},
        {"from": ["news+may@brand.test"]},
        {"to": ["gmail.com"]},
        {"to": ["@gmail.com"]},
        {"to": ["ann@gmail.com"]},
        {"tags": ["none", "spring"]},
        {"credentials": ["crd_1"]},
        {"streams": ["transactional"]},
        {"from": ["other.test"], "to": ["gmail.com"]},
    ],
)
def test_any_condition_is_enough(conditions):
    known = fleet("x")
    rules = PoolRuleSet(organisation=(rule("1", "x", **conditions),))
    assert choose_pools(MAIL, rules, known) == ("x",)


@pytest.mark.parametrize(
    "conditions",
    [
        {"from": ["gmail.com"]},
        {"from": ["news@other.test"]},
        {"from": ["sub.brand.test"]},
        {"to": ["mail.com"]},
        {"to": ["brand.test"]},
        {"to": ["ann+y@gmail.com"]},
        {"tags": ["Spring"]},
        {"credentials": ["crd_2"]},
        {"streams": ["broadcast"]},
        {},
    ],
)
def test_what_meets_no_condition_goes_elsewhere(conditions):
    rules = PoolRuleSet(server=(rule("1", "x", **conditions),))
    assert choose_pools(MAIL, rules, fleet("x")) == (HOST_POOL,)


def test_the_newest_rule_is_asked_first():
    rules = newest_first(
        [PoolRule("pr_a", "old"), PoolRule("pr_c", "new"), PoolRule("pr_b", "mid")]
    )
    assert [each.pool for each in rules] == ["new", "mid", "old"]


def test_a_pool_that_is_gone_or_not_for_the_organisation_is_passed_over():
    theirs = PoolFacts("theirs", organisations=frozenset({"org_2"}))
    nobodys = PoolFacts("nobodys", organisations=frozenset())
    ours = PoolFacts("ours", organisations=frozenset({"org_1", "org_2"}))
    every = [rule("1", pool, tags=["spring"]) for pool in ("gone", "theirs", "nobodys", "ours")]
    rules = PoolRuleSet(server=tuple(every))
    assert choose_pools(MAIL, rules, fleet(theirs, nobodys, ours)) == ("ours",)


def test_overflow_is_followed_until_it_ends():
    known = fleet(
        PoolFacts("a", overflow="b"),
        PoolFacts("b", overflow="c", organisations=frozenset()),
        PoolFacts("c", overflow="gone"),
    )
    rules = PoolRuleSet(server_pool="a")
    assert choose_pools(MAIL, rules, known) == ("a", "b", "c")


@pytest.mark.parametrize("length", [1, 2, 3, 9])
def test_overflow_that_comes_round_is_cut(length):
    ring = [PoolFacts(str(n), overflow=str((n + 1) % length)) for n in range(length)]
    chain = choose_pools(MAIL, PoolRuleSet(server_pool="0"), fleet(*ring))
    assert chain == tuple(str(n) for n in range(min(length, MAX_POOLS)))


def test_of_several_default_pools_the_one_made_last_counts():
    known = fleet(PoolFacts("pool_1", default=True), PoolFacts("pool_2", default=True))
    assert choose_pools(MAIL, PoolRuleSet(), known) == ("pool_2",)


def test_the_hosts_own_address_can_be_asked_for():
    known = fleet(PoolFacts("pool_1", default=True))
    assert choose_pools(MAIL, PoolRuleSet(server_pool=HOST_POOL), known) == (HOST_POOL,)
