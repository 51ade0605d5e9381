"""Addresses are shared out evenly over hosts, and stay where they are if they can."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.sending.lease import HostBeat
from mailroom.domain.sending.sharing import Shares, assigned, share_out
from mailroom.domain.sending.source import AddressState, SourceAddress


def host(id_, **facts):
    return HostBeat(id_, facts.pop("name", id_), 0.0, 0.0, **facts)


def address(id_, pool="p", **facts):
    return SourceAddress(id_, pool, f"{id_}.mail.test", **facts)


@st.composite
def fleets(draw):
    pools = draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    weights = st.sampled_from([100, 100, 50, 0])
    return [
        address(f"ip{pool}-{n}", f"pool{pool}", weight=draw(weights))
        for pool, count in enumerate(pools)
        for n in range(count)
    ]


HOSTS = st.sets(st.integers(0, 9), min_size=1, max_size=6).map(
    lambda found: [host(f"h{n}") for n in sorted(found)]
)


def spread(addresses, wanted, hosts):
    """How far the counts of any pool, and of all, are apart."""
    pools = {each.pool for each in addresses}
    gaps = []
    for pool in (*pools, None):
        counts = Counter(wanted[each.id] for each in addresses if pool is None or each.pool == pool)
        found = [counts[each.id] for each in hosts]
        gaps.append(max(found) - min(found))
    return max(gaps)


def moves(before, after):
    return sum(after.get(id_) != owner for id_, owner in before.items())


@given(addresses=fleets(), hosts=HOSTS, data=st.data())
def test_every_address_has_one_host_and_the_counts_are_even(addresses, hosts, data):
    some = st.sampled_from([*(each.id for each in hosts), "dead", ""])
    owners = {each.id: data.draw(some) for each in addresses}
    wanted = assigned(addresses, hosts, owners)
    assert wanted.keys() == {each.id for each in addresses}
    assert spread(addresses, wanted, hosts) <= 1
    # All processes come to the same, whatever the order in which they read.
    assert assigned(addresses[::-1], hosts[::-1], owners) == wanted
    # What is shared out stays.
    assert assigned(addresses, hosts, wanted) == wanted
    mine = [share_out(addresses, hosts, owners, each.id) for each in hosts]
    taken = [id_ for shares in mine for id_ in shares.take]
    assert len(taken) == len(set(taken))
    kept = {id_ for id_, owner in owners.items() if owner == wanted[id_]}
    assert set(taken) == wanted.keys() - kept


@given(addresses=fleets(), hosts=HOSTS)
def test_a_host_that_joins_gets_its_share_and_little_else_moves(addresses, hosts):
    before = assigned(addresses, hosts, {})
    joined = [*hosts, host("new")]
    after = assigned(addresses, joined, before)
    fair = -(-len(addresses) // len(joined))
    pools = len({each.pool for each in addresses})
    assert Counter(after.values())["new"] <= fair
    assert moves(before, after) <= fair + pools


@given(addresses=fleets(), hosts=HOSTS, data=st.data())
def test_a_host_that_leaves_gives_up_its_share_and_little_else_moves(addresses, hosts, data):
    gone = data.draw(st.sampled_from(hosts))
    before = assigned(addresses, hosts, {})
    left = [each for each in hosts if each != gone]
    after = assigned(addresses, left, before)
    orphans = sum(owner == gone.id for owner in before.values())
    pools = len({each.pool for each in addresses})
    assert moves(before, after) <= (orphans + pools if left else len(addresses))


def test_a_host_that_comes_back_gets_no_more_than_its_share():
    addresses = [address(f"ip{n}", f"pool{n % 2}") for n in range(8)]
    alone = assigned(addresses, [host("a")], {})
    both = assigned(addresses, [host("a"), host("b")], alone)
    assert Counter(both.values()) == {"a": 4, "b": 4}
    assert moves(alone, both) == 4


def test_pools_of_one_address_are_spread_too():
    addresses = [address(f"ip{n}", f"pool{n}") for n in range(6)]
    alone = dict.fromkeys((each.id for each in addresses), "a")
    wanted = assigned(addresses, [host("a"), host("b"), host("c")], alone)
    assert Counter(wanted.values()) == {"a": 2, "b": 2, "c": 2}
    assert moves(alone, wanted) == 4


def test_the_heaviest_addresses_of_a_pool_are_spread():
    addresses = [address(f"ip{n}", weight=w) for n, w in enumerate((10, 100, 10, 100))]
    wanted = assigned(addresses, [host("a"), host("b")], {})
    assert wanted["ip1"] != wanted["ip3"]


def test_an_address_of_one_host_stays_there():
    addresses = [address("ip1", host="box"), *(address(f"ip{n}") for n in range(2, 5))]
    hosts = [host("a", name="box"), host("b", name="other")]
    wanted = assigned(addresses, hosts, {"ip1": "b"})
    assert wanted["ip1"] == "a"
    assert Counter(wanted.values()) == {"a": 2, "b": 2}
    assert "ip1" not in assigned(addresses, hosts[1:], {"ip1": "b"})


def test_an_address_goes_only_where_it_can_be_bound_to():
    addresses = [address(f"ip{n}") for n in range(4)]
    hosts = [host("a", reach=frozenset({"ip0", "ip1", "ip2"})), host("b", reach=frozenset())]
    wanted = assigned(addresses, hosts, {})
    assert wanted == {"ip0": "a", "ip1": "a", "ip2": "a"}
    assert assigned(addresses, [*hosts, host("c")], wanted)["ip3"] == "c"


def test_a_host_takes_no_more_than_it_may():
    addresses = [address(f"ip{n}") for n in range(6)]
    wanted = assigned(addresses, [host("a", most=1), host("b", most=3)], {})
    assert Counter(wanted.values()) == {"a": 1, "b": 3}
    crowded = dict.fromkeys((each.id for each in addresses), "a")
    shares = share_out(addresses, [host("a", most=2)], crowded, "a")
    assert len(shares.release) == 4


@pytest.mark.parametrize("me", ["a", "b"])
def test_a_draining_host_takes_nothing_and_gives_all(me):
    addresses = [address("ip1"), address("ip2")]
    hosts = [host("a", draining=True), host("b")]
    shares = share_out(addresses, hosts, {"ip1": "a"}, me)
    expected = {"a": Shares(release=("ip1",)), "b": Shares(take=("ip1", "ip2"))}
    assert shares == expected[me]


def test_what_is_disabled_or_gone_is_given_back():
    addresses = [address("ip1", state=AddressState.DISABLED), address("ip2")]
    owners = {"ip1": "a", "ip2": "a", "ip3": "a"}
    assert share_out(addresses, [host("a")], owners, "a") == Shares(release=("ip1", "ip3"))


def test_with_no_host_nobody_has_anything():
    assert assigned([address("ip1")], [], {"ip1": "a"}) == {}
