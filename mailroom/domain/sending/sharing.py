"""How addresses are shared out over the processes that send.

Every process computes the same shares from the same rows, and takes or gives back its own part.
What it wants: of each pool, and of all addresses together, no two hosts have counts that differ
by more than one, as far as addresses may move; and few addresses move when a host comes or goes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from mailroom.domain.sending.lease import HostBeat
from mailroom.domain.sending.source import AddressState, SourceAddress


@dataclass(frozen=True, slots=True)
class Shares:
    """What one process has to do: ids of addresses to take and to give back, in order."""

    take: tuple[str, ...] = ()
    release: tuple[str, ...] = ()


def share_out(
    addresses: Iterable[SourceAddress],
    hosts: Iterable[HostBeat],
    owners: Mapping[str, str],
    me: str,
) -> Shares:
    """Return what the process `me` takes and releases.

    `owners` are the processes that have leases now, by address; those that are not among the
    live `hosts` count for nothing. An address that is disabled or gone is released, and so is
    all that a draining process has.
    """
    wanted = assigned(addresses, hosts, owners)
    mine = {address for address, owner in owners.items() if owner == me}
    target = {address for address, host in wanted.items() if host == me}
    return Shares(tuple(sorted(target - mine)), tuple(sorted(mine - target)))


def assigned(
    addresses: Iterable[SourceAddress], hosts: Iterable[HostBeat], owners: Mapping[str, str]
) -> dict[str, str]:
    """Return which process each address should belong to; one that no host may have is left out."""
    taking = sorted((host for host in hosts if not host.draining), key=lambda host: host.id)
    table = _Table(tuple(taking))
    usable = [each for each in addresses if each.state is not AddressState.DISABLED]
    orphans = []
    for address in sorted(usable, key=lambda each: each.id):
        owner = owners.get(address.id, "")
        if table.allows(address, owner):
            table.give(address, owner)
        else:
            orphans.append(address)
    # The heaviest first, and those of few hosts before those that any can have.
    orphans.sort(key=lambda each: (len(table.allowed(each)), -each.weight, each.id))
    for address in orphans:
        table.place(address)
    table.level_pools()
    table.level_totals()
    return {id_: host for id_, (_, host) in table.given.items()}


@dataclass(slots=True)
class _Table:
    """Who has what, and how much."""

    hosts: tuple[HostBeat, ...]
    given: dict[str, tuple[SourceAddress, str]] = field(default_factory=dict)
    counts: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    weights: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    totals: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def allowed(self, address: SourceAddress) -> list[str]:
        """Return the hosts that may have an address, full ones included."""
        return [
            host.id
            for host in self.hosts
            if (not address.host or address.host == host.name)
            and (host.reach is None or address.id in host.reach)
        ]

    def allows(self, address: SourceAddress, host: str) -> bool:
        return host in self.allowed(address) and self._has_room(host)

    def give(self, address: SourceAddress, host: str) -> None:
        self.given[address.id] = (address, host)
        self._count(address, host, 1)

    def place(self, address: SourceAddress) -> None:
        """Give an address to the host with the least of its pool, then of all, then by lot."""
        free = [host for host in self.allowed(address) if self._has_room(host)]
        if free:
            self.give(address, min(free, key=lambda host: self._burden(address, host)))

    def level_pools(self) -> None:
        """Move addresses of a pool from who has most to who has least, while they are 2 apart."""
        for pool in sorted({address.pool for address, _ in self.given.values()}):
            while move := self._levelling(pool):
                self._move(*move)

    def level_totals(self) -> None:
        """Move addresses while totals are 2 apart, where the counts of their pool allow it."""
        while move := self._evening():
            self._move(*move)

    def _levelling(self, pool: str) -> tuple[str, str] | None:
        """Return an address and its new host, None if the pool is as level as can be."""
        full = sorted(self.hosts, key=lambda host: self._load(pool, host.id), reverse=True)
        for giver in full:
            for taker in reversed(full):
                gap = self.counts[pool, giver.id] - self.counts[pool, taker.id]
                if gap <= 1:
                    break
                if found := self._movable(giver.id, taker.id, (pool,)):
                    return found, taker.id
        return None

    def _evening(self) -> tuple[str, str] | None:
        full = sorted(self.hosts, key=lambda host: (self.totals[host.id], host.id), reverse=True)
        pools = sorted({address.pool for address, _ in self.given.values()})
        for giver in full:
            for taker in reversed(full):
                if self.totals[giver.id] - self.totals[taker.id] <= 1:
                    break
                richer = [p for p in pools if self.counts[p, giver.id] > self.counts[p, taker.id]]
                if found := self._movable(giver.id, taker.id, richer):
                    return found, taker.id
        return None

    def _movable(self, giver: str, taker: str, pools: Sequence[str]) -> str | None:
        found = [
            address
            for address, host in self.given.values()
            if host == giver and address.pool in pools and self.allows(address, taker)
        ]
        # What the taker would have drawn by lot: so a host that comes back gets what it had.
        best = min(found, key=lambda each: _lot(each.id, taker), default=None)
        return best.id if best else None

    def _move(self, id_: str, host: str) -> None:
        address, before = self.given.pop(id_)
        self._count(address, before, -1)
        self.give(address, host)

    def _count(self, address: SourceAddress, host: str, step: int) -> None:
        self.counts[address.pool, host] += step
        self.weights[address.pool, host] += step * address.weight
        self.totals[host] += step

    def _has_room(self, host: str) -> bool:
        most = next((each.most for each in self.hosts if each.id == host), 0)
        return not most or self.totals[host] < most

    def _load(self, pool: str, host: str) -> tuple[int, int, str]:
        return self.counts[pool, host], self.totals[host], host

    def _burden(self, address: SourceAddress, host: str) -> tuple[int, int, int, str]:
        pool = address.pool
        count, weight = self.counts[pool, host], self.weights[pool, host]
        return count, weight, self.totals[host], _lot(address.id, host)


def _lot(address: str, host: str) -> str:
    return sha256(f"{address}/{host}".encode()).hexdigest()
