"""Leases of addresses and heartbeats of processes, in the `control` table.

A lease row is never deleted nor does it expire: its fencing number must go on growing.
"""

from collections.abc import Sequence
from dataclasses import replace

from mailroom.domain.sending.lease import (
    ALIVE_SECONDS,
    LEASE_SECONDS,
    HostBeat,
    Lease,
    dump_beat,
    dump_lease,
    load_beat,
    load_lease,
)
from mailroom.domain.tenancy.record import Place, Record
from mailroom.ports.control import Control

LEASES, HOSTS = "lease", "hosts"
_FORGET_SECONDS = 86_400.0  # after that the heartbeat of a process that ended may vanish


def all_leases(control: Control) -> dict[str, Lease]:
    """Return all leases by their addresses, those that were given back included."""
    return {each.address: each for each in map(_lease, _records(control, LEASES))}


def acquire(
    control: Control, address: str, owner: str, now: float, seen: Lease | None
) -> Lease | None:
    """Take a lease that `seen` says is free (None: there is none); None if another was faster.

    `now` is the time before the call: the lease counts from then.
    """
    fence = seen.fence + 1 if seen else 1
    wanted = Lease(address, owner, fence, now + LEASE_SECONDS)
    written = _put(control, wanted, seen.revision if seen else 0)
    if written is None and (found := _mine(control, wanted)):
        return found  # it was written, and the answer lost
    return written


def renew(control: Control, held: Lease, now: float) -> Lease | None:
    """Renew a lease from `now`; None if it has gone to another."""
    return _rewrite(control, held, replace(held, expires_at=now + LEASE_SECONDS))


def release(control: Control, held: Lease) -> bool:
    """Give a lease back; False if it has gone to another already."""
    return _rewrite(control, held, replace(held, owner="", expires_at=0.0)) is not None


def beat(control: Control, host: HostBeat) -> None:
    """Write a process's heartbeat."""
    place = Place(HOSTS, host.id)
    control.put(Record(place, dump_beat(host), expires_at=host.beat_at + _FORGET_SECONDS))


def leave(control: Control, process: str) -> None:
    """Remove the heartbeat of a process that ends, so that others need not wait."""
    control.delete(Place(HOSTS, process))


def live_hosts(control: Control, now: float) -> tuple[HostBeat, ...]:
    """Return the processes whose heartbeat is at most ALIVE_SECONDS old, in the order of ids."""
    found = (load_beat(each.place.sort, each.body) for each in _records(control, HOSTS))
    return tuple(host for host in found if now - host.beat_at <= ALIVE_SECONDS)


def last_beat(control: Control, process: str) -> float | None:
    """Return when a process last gave a sign of life; None if it has left or is forgotten."""
    record = control.read(Place(HOSTS, process))
    return load_beat(process, record.body).beat_at if record else None


def _records(control: Control, partition: str) -> Sequence[Record]:
    records: list[Record] = []
    after = ""
    while True:
        page = control.page(partition, after=after)
        records += page.records
        after = page.after
        if not after:
            return records


def _put(control: Control, lease: Lease, expected: int) -> Lease | None:
    written = control.put(Record(Place(LEASES, lease.address), dump_lease(lease)), expected)
    return _lease(written) if written else None


def _rewrite(control: Control, held: Lease, wanted: Lease) -> Lease | None:
    written = _put(control, wanted, held.revision)
    if written is None and (found := _mine(control, held)):
        # The answer to the write before was lost, and so its revision.
        written = _put(control, wanted, found.revision)
    return written


def _mine(control: Control, wanted: Lease) -> Lease | None:
    record = control.read(Place(LEASES, wanted.address))
    found = _lease(record) if record else None
    same = found is not None and (found.owner, found.fence) == (wanted.owner, wanted.fence)
    return found if same else None


def _lease(record: Record) -> Lease:
    return load_lease(record.place.sort, record.body, record.revision)
