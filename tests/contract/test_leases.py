"""Leases and heartbeats: one suite for the control table in memory and for the real one."""

import secrets

import pytest

from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
from mailroom.adapters.tables import bound
from mailroom.domain.sending.lease import LEASE_SECONDS, HostBeat
from mailroom.fakes.control import MemoryControl
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
