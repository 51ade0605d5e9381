"""An Elastic IP comes to the machine whose process has the lease."""

from dataclasses import replace

import pytest

from egress.elastic_binding import QUIET_SECONDS, ElasticBinder
from egress.leases import Bound
from mailroom.domain.sending.source import SourceAddress
from mailroom.fakes.elastic_ips import MemoryElasticIps
from mailroom.ports.elastic_ips import ElasticIp

ONE = SourceAddress("ip_1", "p", "one.mail.test", "192.0.2.1")
TWO = SourceAddress("ip_2", "p", "two.mail.test", "192.0.2.2", "2001:db8::2")
OWN = SourceAddress("ip_3", "p", "own.mail.test", "127.0.0.9")
AWAY = SourceAddress("ip_4", "p", "away.mail.test", "198.51.100.1")
HERE = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "127.0.0.9", "2001:db8::2"}


class Machine:
    def __init__(self):
        self.at = 0.0
        self.ec2 = MemoryElasticIps(
            {each.ipv4: ElasticIp(each.ipv4, f"eipalloc-{each.id}") for each in (ONE, TWO)},
            {"eni-1": ["10.0.0.1", "10.0.0.2", "10.0.0.3"], "eni-2": ["10.0.9.1", "10.0.9.2"]},
        )
        self.here = set(HERE)
        self.binder = ElasticBinder(
            self.ec2, "eni-1", clock=lambda: self.at, can_bind=lambda ip: ip in self.here
        )


@pytest.fixture
def machine():
    return Machine()


async def test_it_is_brought_to_a_private_address_and_left_quiet(machine):
    bound = await machine.binder.bind(ONE)
    # The first address is how the machine itself is reached.
    assert bound == Bound(replace(ONE, private="10.0.0.2"), QUIET_SECONDS)
    moved = machine.ec2.elastic["192.0.2.1"]
    assert (moved.interface, moved.private) == ("eni-1", "10.0.0.2")
    other = await machine.binder.bind(TWO)
    assert other == Bound(replace(TWO, private="10.0.0.3"), QUIET_SECONDS)


async def test_one_that_is_here_needs_no_move_and_no_quiet(machine):
    await machine.binder.bind(ONE)
    assert await machine.binder.bind(ONE) == Bound(replace(ONE, private="10.0.0.2"), 0.0)


async def test_it_is_taken_from_another_interface(machine):
    machine.ec2.associate(machine.ec2.elastic["192.0.2.1"], "eni-2", "10.0.9.2")
    bound = await machine.binder.bind(ONE)
    assert (bound.source.private, bound.quiet) == ("10.0.0.2", QUIET_SECONDS)
    assert machine.ec2.elastic["192.0.2.1"].interface == "eni-1"


async def test_the_private_address_that_was_asked_for_is_taken(machine):
    bound = await machine.binder.bind(replace(ONE, private="10.0.0.1"))
    assert bound.source.private == "10.0.0.1"
    elsewhere = await machine.binder.bind(replace(TWO, private="10.0.7.7"))
    assert elsewhere.source.private == "10.0.0.2"


async def test_without_a_place_it_stays_where_it_is(machine):
    machine.ec2.interfaces["eni-1"] = ["10.0.0.1"]
    assert await machine.binder.bind(ONE) is None
    assert machine.ec2.elastic["192.0.2.1"].interface == ""
    machine.ec2.interfaces["eni-1"] = ["10.0.0.1", "10.0.0.8"]  # not configured in the system
    assert await machine.binder.bind(ONE) is None
    assert machine.ec2.elastic["192.0.2.1"].interface == ""


async def test_an_ipv6_address_that_is_not_here_is_done_without(machine):
    machine.here.discard("2001:db8::2")
    bound = await machine.binder.bind(TWO)
    assert bound.source.ipv6 == ""


async def test_the_machines_own_addresses_are_bound_as_they_are(machine):
    assert await machine.binder.bind(OWN) == Bound(OWN)
    assert await machine.binder.bind(AWAY) is None


async def test_trouble_with_ec2_is_no_more_than_an_address_less(machine):
    machine.ec2.broken = True
    assert await machine.binder.bind(ONE) is None


async def test_it_reaches_elastic_ips_and_what_it_has(machine):
    assert await machine.binder.reach([ONE, TWO, OWN, AWAY]) == {"ip_1", "ip_2", "ip_3"}
    machine.ec2.elastic[AWAY.ipv4] = ElasticIp(AWAY.ipv4, "eipalloc-4")
    assert "ip_4" not in await machine.binder.reach([ONE, AWAY])
    machine.at = 600.0
    assert "ip_4" in await machine.binder.reach([ONE, AWAY])
    machine.ec2.broken = True  # all of them are known by now
    assert await machine.binder.reach([ONE, AWAY]) == {"ip_1", "ip_4"}


async def test_one_that_was_moved_away_is_missed(machine):
    one = (await machine.binder.bind(ONE)).source
    assert await machine.binder.missing([one, OWN]) == frozenset()
    machine.ec2.associate(machine.ec2.elastic["192.0.2.1"], "eni-2", "10.0.9.2")
    assert await machine.binder.missing([one, OWN]) == {"ip_1"}
    machine.here.discard(OWN.ipv4)
    assert await machine.binder.missing([OWN]) == {"ip_3"}
