"""Leases and heartbeats: one suite for the control table in memory and for the real one."""

import secrets

import pytest

from egress.binding import LocalBinder
from egress.leases import LeaseKeeper, Process
from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
from mailroom.adapters.tables import bound
from mailroom.domain.sending.lease import LEASE_SECONDS, HostBeat
from mailroom.domain.sending.source import Fleet, PoolFacts, SourceAddress
from mailroom.fakes.control import MemoryControl
from mailroom.fakes.sources import MemorySources
from mailroom.ports.control import Control
from mailroom.usecases.leases import (
    acquire,
    all_leases,
    beat,
    leave,
    live_hosts,
    release,
    renew,
)

NOW = 4_000_000_000.0  # to come: the emulator deletes rows whose ttl is over


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def control(request: pytest.FixtureRequest) -> Control:
    if request.param == "memory":
        return MemoryControl()
    cloud = request.getfixturevalue("cloud")
    return DynamoControl(bound(ControlRow, cloud.settings.resource("table", "control")))


@pytest.fixture
def address() -> str:
    return f"ip_{secrets.token_hex(6)}"


def test_one_of_two_gets_a_lease_and_the_next_owner_has_the_next_fence(
    control: Control, address: str
) -> None:
    first = acquire(control, address, "a", NOW, None)
    assert first is not None
    assert acquire(control, address, "b", NOW, None) is None
    assert all_leases(control)[address] == first
    assert release(control, first)
    given_back = all_leases(control)[address]
    second = acquire(control, address, "b", NOW, given_back)
    assert second is not None
    assert (second.owner, second.fence, second.expires_at) == ("b", 2, NOW + LEASE_SECONDS)
    assert acquire(control, address, "a", NOW, given_back) is None


def test_a_lease_is_renewed_by_its_owner_alone(control: Control, address: str) -> None:
    first = acquire(control, address, "a", NOW, None)
    assert first is not None
    again = renew(control, first, NOW + 10)
    assert again is not None
    assert (again.fence, again.expires_at) == (1, NOW + 10 + LEASE_SECONDS)
    late = renew(control, first, NOW + 20)  # the answer to the renewal before was lost
    assert late is not None
    taken = acquire(control, address, "b", NOW + 90, all_leases(control)[address])
    assert taken is not None
    assert taken.fence == 2
    assert renew(control, late, NOW + 91) is None
    assert not release(control, late)
    assert all_leases(control)[address] == taken


def test_heartbeats_are_read_back_whole(control: Control) -> None:
    host = HostBeat(
        "h1-x", "h1", NOW - 5, NOW, True, ("ip_1", "ip_2"), "1.2", frozenset({"ip_2"}), 7
    )
    bare = HostBeat("h2-y", "h2", NOW, NOW)
    for each in (host, bare):
        beat(control, each)
    assert live_hosts(control, NOW) == (host, bare)
    leave(control, bare.id)
    assert live_hosts(control, NOW) == (host,)
    leave(control, host.id)


class Quiet:
    """A LeaseListener whose addresses are idle at once."""

    def __init__(self) -> None:
        self.keeper: LeaseKeeper | None = None

    def gained(self, source: SourceAddress) -> None:
        """Nothing to do."""

    def leaving(self, source: SourceAddress) -> None:
        assert self.keeper is not None
        self.keeper.released(source.id)

    def lost(self, source: SourceAddress) -> None:
        """Nothing to do."""


async def test_two_processes_share_addresses_and_one_takes_over(control: Control) -> None:
    prefix = secrets.token_hex(4)
    addresses = tuple(
        SourceAddress(f"{prefix}-{n}", "p", "h.test", f"127.0.1.{n}") for n in range(1, 5)
    )
    sources = MemorySources(Fleet({"p": PoolFacts("p")}, addresses))
    at = NOW

    def keeper(name: str) -> LeaseKeeper:
        listener = Quiet()
        process = Process(f"{name}-{prefix}", name, NOW)
        listener.keeper = LeaseKeeper(
            control, sources, process, LocalBinder(), listener, clock=lambda: at, wall=lambda: at
        )
        return listener.keeper

    one, two = keeper("one"), keeper("two")
    for each in (one, two) * 4:
        await each.round()
    held = [{source.id for source in each.held()} for each in (one, two)]
    assert [len(ids) for ids in held] == [2, 2]
    assert held[0] | held[1] == {address.id for address in addresses}
    await one.close()
    await two.round()
    assert {source.id for source in two.held()} == {address.id for address in addresses}
    assert {two.holds(id_, at) for id_ in held[1]} == {
        each.fence for each in all_leases(control).values() if each.address in held[1]
    }
    await two.close()
    mine = [each for each in all_leases(control).values() if each.address.startswith(prefix)]
    assert [each.owner for each in mine] == [""] * 4
