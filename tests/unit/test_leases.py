"""Leases of addresses and heartbeats of hosts, over the control table in memory."""

from dataclasses import replace

import pytest

from mailroom.domain.sending.lease import (
    ALIVE_SECONDS,
    FENCE_SECONDS,
    LEASE_SECONDS,
    SKEW_SECONDS,
    HostBeat,
    Lease,
    is_free,
    may_send,
)
from mailroom.domain.tenancy.record import Place, Record
from mailroom.fakes.control import MemoryControl
from mailroom.usecases.leases import (
    HOSTS,
    LEASES,
    acquire,
    all_leases,
    beat,
    leave,
    live_hosts,
    release,
    renew,
)

NOW = 1_700_000_000.0
LEASE = Lease("ip_1", "a", 3, NOW + LEASE_SECONDS)


class Forgetful(MemoryControl):
    """Writes, and now and then loses the answer: the client's own retry finds it written."""

    losing = False

    def put(self, record, expected=None):
        written = super().put(record, expected)
        if self.losing:
            self.losing = False
            return super().put(record, expected)
        return written


@pytest.mark.parametrize(
    ("left", "expected"),
    [(LEASE_SECONDS, True), (FENCE_SECONDS + 0.1, True), (FENCE_SECONDS, False), (-5, False)],
)
def test_the_owner_stops_well_before_its_lease_ends(left, expected):
    assert may_send(LEASE, LEASE.expires_at - left) is expected


def test_what_was_given_back_is_not_used():
    assert not may_send(replace(LEASE, owner=""), NOW)


@pytest.mark.parametrize(
    ("lease", "now", "unchanged", "expected"),
    [
        (LEASE, NOW, 0, False),
        (LEASE, LEASE.expires_at, 59, False),  # by a clock that may be fast
        (LEASE, LEASE.expires_at + SKEW_SECONDS, 0, True),
        (LEASE, NOW, LEASE_SECONDS, True),  # whatever the clocks say
        (replace(LEASE, owner=""), NOW, 0, True),
    ],
)
def test_a_lease_is_free_when_nobody_can_be_using_it(lease, now, unchanged, expected):
    assert is_free(lease, now, unchanged) is expected


def test_a_lease_is_taken_once_and_each_owner_has_a_higher_fence():
    control = MemoryControl()
    first = acquire(control, "ip_1", "a", NOW, None)
    assert (first.owner, first.fence, first.expires_at) == ("a", 1, NOW + LEASE_SECONDS)
    assert acquire(control, "ip_1", "b", NOW, None) is None
    assert release(control, first)
    seen = all_leases(control)["ip_1"]
    assert (seen.owner, seen.fence) == ("", 1)
    second = acquire(control, "ip_1", "b", NOW + 1, seen)
    assert (second.owner, second.fence) == ("b", 2)
    assert acquire(control, "ip_1", "c", NOW + 1, seen) is None
    assert renew(control, first, NOW + 2) is None
    assert not release(control, first)
    assert renew(control, second, NOW + 10).expires_at == NOW + 10 + LEASE_SECONDS


def test_a_row_of_a_lease_never_expires():
    control = MemoryControl()
    release(control, acquire(control, "ip_1", "a", NOW, None))
    assert control.read(Place(LEASES, "ip_1")).expires_at is None


def test_an_answer_that_was_lost_is_not_a_lease_that_was_lost():
    control = Forgetful()
    control.losing = True
    held = acquire(control, "ip_1", "a", NOW, None)
    assert held.fence == 1
    control.losing = True
    again = renew(control, held, NOW + 10)
    assert again is not None
    third = renew(control, held, NOW + 20)  # with the revision of before
    assert (third.fence, third.expires_at) == (1, NOW + 20 + LEASE_SECONDS)
    assert release(control, again)
    assert renew(control, again, NOW + 30) is None


def test_a_process_lives_as_long_as_its_heart_beats():
    control = MemoryControl()
    host = HostBeat(
        "h1-x",
        "h1",
        NOW,
        NOW,
        addresses=("ip_1",),
        version="1.2",
        reach=frozenset({"ip_1"}),
        most=4,
    )
    beat(control, host)
    beat(control, HostBeat("h2-y", "h2", NOW, NOW - ALIVE_SECONDS, draining=True))
    assert live_hosts(control, NOW) == (
        host,
        HostBeat("h2-y", "h2", NOW, NOW - ALIVE_SECONDS, draining=True),
    )
    assert live_hosts(control, NOW + 1) == (host,)
    leave(control, "h1-x")
    assert live_hosts(control, NOW + 1) == ()


def test_a_heartbeat_of_another_release_is_read():
    control = MemoryControl()
    control.put(Record(Place(HOSTS, "h1"), {"beat_at": NOW}))
    assert live_hosts(control, NOW) == (HostBeat("h1", "h1", 0.0, NOW),)


def test_all_leases_are_read_whatever_their_number():
    control = MemoryControl()
    for number in range(1_050):
        acquire(control, f"ip_{number}", "a", NOW, None)
    assert len(all_leases(control)) == 1_050
