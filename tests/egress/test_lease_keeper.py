"""Several keepers over one table: who may send, whatever freezes, breaks or comes and goes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egress.binding import LocalBinder, can_bind
from egress.leases import LEAVING_SECONDS, MAX_LEAVING, Bound, LeaseKeeper, Process
from mailroom.domain.sending.lease import FENCE_SECONDS, LEASE_SECONDS
from mailroom.domain.sending.source import (
    HOST_POOL,
    AddressState,
    Fleet,
    PoolFacts,
    SourceAddress,
)
from mailroom.domain.tenancy.record import Place
from mailroom.fakes.control import MemoryControl
from mailroom.fakes.sources import MemorySources

START = 1_700_000_000.0
POOL = PoolFacts("pool_1")


def fleet(count: int = 2, **facts) -> Fleet:
    addresses = tuple(
        SourceAddress(f"ip_{n}", POOL.id, f"out{n}.mail.test", f"192.0.2.{n}", **facts)
        for n in range(count)
    )
    return Fleet({POOL.id: POOL}, addresses)


@dataclass
class Wire:
    """The table as one host sees it: it may be cut off, and may wait before it writes."""

    table: MemoryControl
    cut: bool = False
    before_put: Callable[[], None] | None = None

    def __getattr__(self, name):
        if self.cut:
            raise ConnectionError("no table")
        return getattr(self.table, name)

    def put(self, record, expected=None):
        if self.cut:
            raise ConnectionError("no table")
        if self.before_put is not None:
            hook, self.before_put = self.before_put, None
            hook()
        return self.table.put(record, expected)


@dataclass
class Machine:
    """A Binder that knows what it was asked; `quiet` is how long its addresses need."""

    quiet: float = 0.0
    near: frozenset[str] | None = None
    broken: set[str] = field(default_factory=set)

    async def reach(self, addresses):
        return self.near

    async def bind(self, source):
        return None if source.id in self.broken else Bound(source, self.quiet)

    async def missing(self, sources):
        return frozenset(each.id for each in sources) & self.broken


class Host:
    """One process with clocks of its own, in a world whose time is `world.at`."""

    def __init__(self, world, name, *, skew=0.0, rate=1.0, own=None, most=0):
        self.world, self.skew, self.rate = world, skew, rate
        self.told: list[tuple[str, str]] = []
        self.wire = Wire(world.table)
        self.sources = MemorySources(world.fleet)
        self.machine = Machine()
        self.lag = 0.0  # how long its own clock stood still
        self.keeper = LeaseKeeper(
            self.wire,
            self.sources,
            Process(f"{name}-1", name, self.wall(), most=most),
            self.machine,
            self,
            clock=self.clock,
            wall=self.wall,
            own=own,
        )

    def clock(self):
        return 50.0 + (self.world.at - self.lag) * self.rate

    def wall(self):
        return START + self.world.at + self.skew

    def gained(self, source):
        self.told.append(("gained", source.id))

    def leaving(self, source):
        self.told.append(("leaving", source.id))
        self.keeper.released(source.id)

    def lost(self, source):
        self.told.append(("lost", source.id))

    def fence(self, address):
        return self.keeper.holds(address, self.clock())

    def held(self):
        return {each.id for each in self.keeper.held()}


class World:
    def __init__(self, count=2):
        self.at = 0.0
        self.table = MemoryControl()
        self.fleet = fleet(count)

    def host(self, name, **facts):
        return Host(self, name, **facts)

    async def rounds(self, *hosts, count=1, seconds=10.0):
        for _ in range(count):
            self.at += seconds
            for host in hosts:
                await host.keeper.round()

    def owners(self):
        rows = self.table.page("lease").records
        return {each.place.sort: each.body["owner"] for each in rows}


@pytest.fixture
def world():
    return World()


async def test_a_host_alone_takes_everything_at_once(world):
    one = world.host("one")
    await one.keeper.round()
    assert one.held() == {"ip_0", "ip_1"}
    assert [one.fence("ip_0"), one.fence("ip_1"), one.fence("ip_2")] == [1, 1, None]
    assert one.told == [("gained", "ip_0"), ("gained", "ip_1")]
    assert one.keeper.fleet == world.fleet


async def test_its_own_address_needs_no_lease_and_no_table(world):
    own = SourceAddress("host-one", HOST_POOL, "one.mail.test")
    one = world.host("one", own=own)
    one.wire.cut = one.sources.broken = True
    await world.rounds(one, count=9)
    assert one.keeper.held() == (own,)
    assert one.fence("host-one") == 0
    assert one.told == []


async def test_a_host_that_joins_gets_its_share_when_the_other_is_done(world):
    one, two = world.host("one"), world.host("two")
    await one.keeper.round()
    await world.rounds(two, one, count=3)
    await two.keeper.round()
    assert [len(one.held()), len(two.held())] == [1, 1]
    assert one.held() | two.held() == {"ip_0", "ip_1"}
    (moved,) = two.held()
    assert one.told[-1] == ("leaving", moved)
    assert (one.fence(moved), two.fence(moved)) == (None, 2)
    before = world.owners()
    await world.rounds(one, two, count=20)
    assert world.owners() == before


async def test_a_host_that_dies_is_replaced_within_its_lease(world):
    one, two = world.host("one"), world.host("two")
    await world.rounds(one, two, count=5)
    await world.rounds(two, count=4)
    assert len(two.held()) == 1
    await world.rounds(two, count=4)
    assert two.held() == {"ip_0", "ip_1"}


async def test_a_host_that_is_cut_off_has_stopped_before_another_begins(world):
    one, two = world.host("one"), world.host("two")
    await one.keeper.round()
    one.wire.cut = True
    both = []
    for _ in range(30):
        await world.rounds(two, seconds=2.5)
        both.append((one.fence("ip_0"), two.fence("ip_0")))
    phases = [(state, len(list(run))) for state, run in groupby(both)]
    assert [state for state, _ in phases] == [(1, None), (None, None), (None, 2)]
    assert phases[1][1] * 2.5 >= LEASE_SECONDS - FENCE_SECONDS


async def test_a_drain_gives_everything_away_and_signs_off(world):
    one, two = world.host("one"), world.host("two")
    await world.rounds(one, two, count=5)
    one.keeper.drain()
    await world.rounds(one, two)
    assert one.held() == set()
    assert two.held() == {"ip_0", "ip_1"}
    await one.keeper.close()
    assert world.table.read(Place("hosts", "one-1")) is None
    await world.rounds(one, two)
    assert one.held() == set()


async def test_a_drain_needs_no_table(world):
    one = world.host("one")
    await one.keeper.round()
    one.wire.cut = one.sources.broken = True
    one.keeper.drain()
    await world.rounds(one)
    assert one.held() == set()
    assert one.told[-2:] == [("leaving", "ip_0"), ("leaving", "ip_1")]
    await one.keeper.close()
    assert (one.fence("ip_0"), one.fence("ip_1")) == (None, None)


async def test_a_drain_that_is_called_off_brings_the_share_back(world):
    one, two = world.host("one"), world.host("two")
    await world.rounds(one, two, count=5)
    one.keeper.drain()
    await world.rounds(one, two, count=2)
    assert {each.id: each.draining for each in two.keeper.hosts} == {"one-1": True, "two-1": False}
    one.keeper.resume()
    await world.rounds(one, two, count=5)
    assert [len(one.held()), len(two.held())] == [1, 1]


async def test_an_address_leaves_when_its_sessions_have_ended_or_their_time_is_over(world):
    one = world.host("one")
    one.leaving = lambda source: one.told.append(("leaving", source.id))
    await one.keeper.round()
    one.keeper.drain()
    await world.rounds(one)
    # Nothing new, but what is under way may go on.
    assert (one.held(), one.fence("ip_0"), one.fence("ip_1")) == (set(), 1, 1)
    one.keeper.released("ip_0")
    await world.rounds(one)
    assert (one.fence("ip_0"), world.owners()["ip_0"]) == (None, "")
    await world.rounds(one, count=int(LEAVING_SECONDS / 10))
    assert (one.fence("ip_1"), world.owners()["ip_1"]) == (None, "")
    assert one.told[-1] == ("lost", "ip_1")


async def test_what_others_need_no_more_stays(world):
    one, two = world.host("one"), world.host("two")
    one.leaving = lambda source: one.told.append(("leaving", source.id))
    await one.keeper.round()
    await world.rounds(two, one, count=2)
    assert len(one.held()) == 1
    two.keeper.drain()
    await world.rounds(two, one)
    assert one.held() == {"ip_0", "ip_1"}
    assert one.told[-1][0] == "gained"


async def test_without_the_table_a_host_fences_itself_and_comes_back(world):
    one = world.host("one")
    await one.keeper.round()
    one.wire.cut = True
    await world.rounds(one, count=2)
    assert one.fence("ip_0") == 1
    await world.rounds(one, seconds=LEASE_SECONDS - FENCE_SECONDS - 20)
    assert one.fence("ip_0") is None
    assert one.held() == set()
    assert one.told[-2:] == [("lost", "ip_0"), ("lost", "ip_1")]
    one.wire.cut = False
    await world.rounds(one)
    assert one.held() == {"ip_0", "ip_1"}
    assert one.fence("ip_0") == 1  # nobody else had it
    assert one.told[-2:] == [("gained", "ip_0"), ("gained", "ip_1")]


async def test_the_question_before_mail_from_needs_nobody_to_look_at_the_clock(world):
    one = world.host("one")
    await one.keeper.round()
    world.at += LEASE_SECONDS - FENCE_SECONDS - 0.1
    assert one.fence("ip_0") == 1
    world.at += 0.1
    assert one.fence("ip_0") is None
    assert one.held()  # nobody has looked yet
    one.keeper.check()
    assert one.held() == set()


async def test_a_machine_that_slept_finds_its_leases_over(world):
    """Its own clock stood still; the time of day tells."""
    one, two = world.host("one"), world.host("two")
    await one.keeper.round()
    world.at += 100
    one.lag = 100
    await world.rounds(two, count=8)
    assert two.held() == {"ip_0", "ip_1"}
    assert one.fence("ip_0") is None
    await world.rounds(one)
    assert one.told[-2:] == [("lost", "ip_0"), ("lost", "ip_1")]
    assert one.held() == set()


async def test_a_process_frozen_while_it_renews_does_not_win(world):
    one, two = world.host("one"), world.host("two")
    await one.keeper.round()
    loop = asyncio.get_running_loop()

    def freeze():
        """Between the decision to renew and the write, two minutes pass for all others."""
        ran = asyncio.run_coroutine_threadsafe(world.rounds(two, count=12), loop)
        ran.result(timeout=20)

    one.wire.before_put = freeze
    await one.keeper.round()
    assert two.held() == {"ip_0", "ip_1"}
    assert (one.fence("ip_0"), two.fence("ip_0")) == (None, 2)


async def test_a_fast_clock_takes_nothing_from_anybody(world):
    one, fast = world.host("one"), world.host("fast", skew=80)
    await one.keeper.round()
    for _ in range(3):
        await world.rounds(one, fast)
    assert one.fence("ip_0") or one.fence("ip_1")
    slow = world.host("slow", skew=-3_600)
    await world.rounds(one, fast, slow, count=10)
    assert sum(host.fence("ip_0") is not None for host in (one, fast, slow)) == 1


async def test_an_address_that_must_be_quiet_first_is_used_after_that(world):
    one = world.host("one")
    one.machine.quiet = 60
    await one.keeper.round()
    await world.rounds(one, count=5)
    assert (one.held(), one.fence("ip_0"), one.told) == (set(), None, [])
    await world.rounds(one)
    assert one.held() == {"ip_0", "ip_1"}


async def test_an_address_that_cannot_be_bound_goes_to_another_host(world):
    one, two = world.host("one"), world.host("two")
    one.machine.broken = {"ip_0", "ip_1"}
    await world.rounds(one)
    assert world.owners() == {"ip_0": "", "ip_1": ""}
    await world.rounds(one, two, count=2)
    assert two.held() == {"ip_0", "ip_1"}
    one.machine.broken = set()
    await world.rounds(one, two, count=10)
    assert [len(one.held()), len(two.held())] == [1, 1]


async def test_an_address_that_vanishes_from_the_machine_is_not_used_any_more(world):
    one, two = world.host("one"), world.host("two")
    await world.rounds(one)
    one.machine.broken = {"ip_0"}
    await world.rounds(one, count=6)
    assert one.held() == {"ip_1"}
    assert one.told[-1] == ("lost", "ip_0")
    await world.rounds(two, one, count=2)
    assert two.held() == {"ip_0"}


async def test_a_machine_that_cannot_tell_what_it_has_keeps_what_it_had(world):
    one = world.host("one")
    await world.rounds(one)

    async def broken(_):
        raise ConnectionError("no EC2")

    one.machine.reach = one.machine.missing = broken
    await world.rounds(one, count=20)
    assert one.held() == {"ip_0", "ip_1"}


async def test_what_this_machine_cannot_have_is_left_to_others(world):
    one, two = world.host("one"), world.host("two")
    one.machine.near, two.machine.near = frozenset({"ip_0"}), frozenset({"ip_0", "ip_1"})
    await world.rounds(one, two, count=5)
    assert (one.held(), two.held()) == ({"ip_0"}, {"ip_1"})


async def test_facts_of_a_held_address_change_and_its_binding_stays(world):
    one = world.host("one")
    bind = one.machine.bind

    async def bind_inside(source):
        bound = await bind(source)
        return Bound(replace(bound.source, private="10.0.0.1"))

    one.machine.bind = bind_inside
    await one.keeper.round()
    lighter = replace(world.fleet.addresses[0], weight=5)
    one.sources.fleet = Fleet(world.fleet.pools, (lighter, world.fleet.addresses[1]))
    await world.rounds(one)
    found = {each.id: (each.weight, each.private) for each in one.keeper.held()}
    assert found == {"ip_0": (5, "10.0.0.1"), "ip_1": (100, "10.0.0.1")}
    assert one.told[-1] == ("gained", "ip_0")


async def test_a_draining_address_gets_no_new_work_and_its_sessions_go_on(world):
    one = world.host("one")
    await one.keeper.round()
    rest = replace(world.fleet.addresses[0], state=AddressState.DRAINING)
    one.sources.fleet = Fleet(world.fleet.pools, (rest, world.fleet.addresses[1]))
    await world.rounds(one, count=5)
    assert (one.held(), one.fence("ip_0")) == ({"ip_1"}, 1)
    one.sources.fleet = world.fleet
    await world.rounds(one)
    assert one.held() == {"ip_0", "ip_1"}


async def test_a_disabled_address_is_given_back(world):
    one = world.host("one")
    await one.keeper.round()
    off = replace(world.fleet.addresses[0], state=AddressState.DISABLED)
    one.sources.fleet = Fleet(world.fleet.pools, (off, world.fleet.addresses[1]))
    await world.rounds(one, count=2)
    assert (one.held(), world.owners()["ip_0"]) == ({"ip_1"}, "")


async def test_no_more_than_a_few_addresses_are_under_way_at_once():
    world = World(count=16)
    one, two = world.host("one"), world.host("two")
    one.leaving = lambda source: one.told.append(("leaving", source.id))
    await world.rounds(one, count=3)
    assert len(one.held()) == 16
    await world.rounds(two, one, count=4)
    assert len(one.held()) == 16 - MAX_LEAVING
    for kind, id_ in one.told:
        if kind == "leaving":
            one.keeper.released(id_)
    await world.rounds(one, two)
    assert len(two.held()) == MAX_LEAVING


async def test_it_runs_by_itself_and_ends_when_cancelled(world):
    one, came, went = world.host("one"), asyncio.Event(), asyncio.Event()
    one.gained = lambda _: came.set()
    one.leaving = lambda _: went.set()
    task = asyncio.create_task(one.keeper.run())
    await asyncio.wait_for(came.wait(), 10)
    one.keeper.drain()
    await asyncio.wait_for(went.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


STEP = st.tuples(
    st.sampled_from(["freeze", "cut", "drain", "sleep"]),
    st.integers(0, 2),
    st.integers(5, 120),
)


@settings(max_examples=40, deadline=None)
@given(
    skews=st.lists(st.floats(-30, 30), min_size=3, max_size=3),
    rates=st.lists(st.floats(0.999, 1.001), min_size=3, max_size=3),
    steps=st.lists(STEP, max_size=6),
)
async def test_never_do_two_processes_send_from_one_address(skews, rates, steps):
    world = World(count=3)
    hosts = [
        world.host(f"h{n}", skew=skew, rate=rate)
        for n, (skew, rate) in enumerate(zip(skews, rates, strict=True))
    ]
    until = [0.0] * len(hosts)
    asleep = [0.0] * len(hosts)
    left = list(steps)
    for second in range(0, 600, 2):
        world.at = float(second)
        if second % 80 == 10 and left:
            what, which, length = left.pop()
            host = hosts[which]
            if what == "drain":
                host.keeper.drain()
            else:
                until[which] = world.at + length
                asleep[which] = float(length) if what == "sleep" else 0.0
                host.wire.cut = what == "cut"
        for n, host in enumerate(hosts):
            is_cut = host.wire.cut
            if until[n] and world.at >= until[n]:
                until[n], host.wire.cut = 0.0, False
                host.lag, asleep[n] = host.lag + asleep[n], 0.0
            elif until[n] and not is_cut:
                continue  # frozen
            may = [
                other.fence("ip_0") for k, other in enumerate(hosts) if not _stands(k, until, hosts)
            ]
            assert sum(fence is not None for fence in may) <= 1, (second, may)
            host.keeper.check()
            if (second + 2 * n) % 10 == 0:
                await host.keeper.round()
    assert sum(len(host.held()) for host in hosts) <= 3


def _stands(which, until, hosts):
    """Whether a process stands still: it asks nothing until it goes on."""
    return bool(until[which]) and not hosts[which].wire.cut


async def test_a_local_binder_knows_what_this_machine_has():
    here = SourceAddress("here", "p", "h.test", "127.0.0.9", "2001:db8::1")
    inside = SourceAddress("inside", "p", "h.test", "192.0.2.1", private="127.0.0.8")
    away = SourceAddress("away", "p", "h.test", "192.0.2.1")
    binder = LocalBinder()
    assert await binder.reach([here, inside, away]) == {"here", "inside"}
    assert await binder.bind(here) == Bound(replace(here, ipv6=""))
    assert await binder.bind(away) is None
    assert can_bind("127.0.0.1")
    assert not can_bind("no address")
