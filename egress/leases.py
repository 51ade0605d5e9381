"""Keeps this process's leases of addresses: takes its share, renews it, gives it back, stops alone.

The engine asks `holds` before every MAIL FROM and draws from `held`; it is told of what comes and
goes through a `LeaseListener`. Works on when the table cannot be reached: what is not renewed is
fenced by the clock alone.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from egress.core.holdings import Holding, Holdings, Phase
from mailroom.domain.sending.lease import BEAT_SECONDS, HostBeat, Lease, is_free
from mailroom.domain.sending.sharing import share_out
from mailroom.domain.sending.source import Fleet, SourceAddress
from mailroom.ports.control import Control
from mailroom.ports.sources import Sources
from mailroom.usecases import leases

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0  # how often it is looked whether a lease was not renewed in time
MAX_TAKEN = 8  # addresses taken in one round
MAX_LEAVING = 4  # addresses being given back at once, so that a pool never stands still
LEAVING_SECONDS = 600.0  # then sessions of a leaving address have had their time
LOOK_ROUNDS = 6  # every so many rounds it is looked whether held addresses are still here
REFUSED_SECONDS = 60.0  # an address that could not be bound to is left alone for so long
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Process:
    """Who we are: `id` is new at each start, `name` is the host's; `most` addresses, 0 any."""

    id: str
    name: str
    started_at: float
    version: str = ""
    most: int = 0


@dataclass(frozen=True, slots=True)
class Bound:
    """A source that can be bound to now, and for how many seconds it must be left quiet first."""

    source: SourceAddress
    quiet: float = 0.0


class Binder(Protocol):
    """What makes an address one of this machine's."""

    def reach(self, addresses: Iterable[SourceAddress]) -> Awaitable[frozenset[str] | None]:
        """Return the ids of addresses this machine can have, None for any."""

    def bind(self, source: SourceAddress) -> Awaitable[Bound | None]:
        """Bring an address that is leased to us here; None, never an error, if it cannot be."""

    def missing(self, sources: Iterable[SourceAddress]) -> Awaitable[frozenset[str]]:
        """Return the ids of those addresses that were brought here and are here no more."""


class LeaseListener(Protocol):
    """Who has to know. Called in the event loop; must return at once and not raise."""

    def gained(self, source: SourceAddress) -> None:
        """`source` may be used from now on, or facts of it have changed."""

    def leaving(self, source: SourceAddress) -> None:
        """Begin nothing new from `source`; call `LeaseKeeper.released` when nothing is left."""

    def lost(self, source: SourceAddress) -> None:
        """Stop at once: abort what has not sent its final dot, let the rest end."""


class LeaseKeeper:
    """Runs in the event loop; the table and the machine are asked in threads."""

    def __init__(
        self,
        control: Control,
        sources: Sources,
        process: Process,
        binder: Binder,
        listener: LeaseListener,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
        own: SourceAddress | None = None,
    ) -> None:
        """Take the host's clock, the time of day, and the host's `own` address, never leased."""
        self._control = control
        self._sources = sources
        self._process = process
        self._binder = binder
        self._listener = listener
        self._clock = clock
        self._wall = wall
        self._holdings = Holdings(own)
        self._fleet: Fleet | None = None
        self._reach: frozenset[str] | None = frozenset()
        self._seen: dict[str, tuple[int, float]] = {}  # revisions of leases, and since when
        self._refused: dict[str, float] = {}
        self._unwanted: frozenset[str] = frozenset()
        self._hosts: tuple[HostBeat, ...] = ()
        self._rounds = 0
        self._draining = False
        self._wake = asyncio.Event()

    @property
    def fleet(self) -> Fleet:
        """All pools and addresses as last read, none before the first time."""
        return self._fleet or Fleet()

    @property
    def draining(self) -> bool:
        """Whether this process gives its addresses away."""
        return self._draining

    @property
    def hosts(self) -> tuple[HostBeat, ...]:
        """The processes that lived when it was last looked, this one included; none before."""
        return self._hosts

    def holds(self, address: str, now: float) -> int | None:
        """Return the fencing number (0 for the host's own address) if `address` may be used.

        `now` is by the host's clock. To be asked before every MAIL FROM.
        """
        return self._holdings.fence(address, now, self._wall())

    def held(self) -> tuple[SourceAddress, ...]:
        """Return the sources that new work may go to."""
        return self._holdings.usable()

    def drain(self) -> None:
        """Take nothing more and give everything back, each address when its work has ended."""
        self._draining = True
        self._wake.set()

    def resume(self) -> None:
        """Take part again after `drain`; what is still leaving stays."""
        self._draining = False
        self._wake.set()

    def released(self, address: str) -> None:
        """Note that nothing of a leaving address is under way any more."""
        if self._holdings.ended(address):
            self._wake.set()

    async def run(self) -> None:
        """Keep the leases until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._check_always(), name="lease-check")
            tasks.create_task(self._round_always(), name="lease-round")

    async def close(self) -> None:
        """Give back what is left and sign off; to be called after `run` was cancelled."""
        left = self._holdings.all()
        for held in left:
            self._holdings.drop(held.source.id)
            self._listener.lost(held.source)
        give = (self._tried("released", leases.release, self._control, h.lease) for h in left)
        await asyncio.gather(*give)
        await self._tried("signed off", leases.leave, self._control, self._process.id)

    def check(self) -> None:
        """Fence what was not renewed in time, and begin with what has been quiet long enough."""
        now = self._clock()
        for held in self._holdings.overdue(now, self._wall()):
            log.error("lease not renewed in time: %s is not used any more", held.source.id)
            self._listener.lost(held.source)
        for held in self._holdings.ripe(now):
            self._listener.gained(held.source)

    async def round(self) -> None:
        """Renew, tell that we live, and move addresses a step towards their shares."""
        await self._renew()
        await self._read_fleet()
        await self._tried("heartbeat", leases.beat, self._control, self._beat())
        await self._share()
        await self._give_back()
        self._rounds += 1
        if self._rounds % LOOK_ROUNDS == 0:
            await self._look()
        await self._prepare()
        self.check()

    async def _check_always(self) -> None:
        while True:
            self.check()
            await asyncio.sleep(CHECK_SECONDS)

    async def _round_always(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.round()
            except Exception:
                log.exception("a round of leases failed")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), BEAT_SECONDS)

    async def _renew(self) -> None:
        await asyncio.gather(*(self._renew_one(held) for held in self._holdings.all()))

    async def _renew_one(self, held: Holding) -> None:
        began = self._clock()
        done, lease = await self._tried(
            "lease renewed", leases.renew, self._control, held.lease, self._wall()
        )
        if not done:
            return
        if lease is not None:
            self._holdings.renewed(held, lease, began)
            return
        log.error("the lease of %s has gone to another process", held.source.id)
        self._holdings.drop(held.source.id)
        self._listener.lost(held.source)

    async def _read_fleet(self) -> None:
        done, fleet = await self._tried("sources read", self._sources.read)
        if not done or fleet is None:
            return
        self._fleet = fleet
        for source in fleet.addresses:
            if changed := self._holdings.learned(source):
                self._listener.gained(changed.source)
        self._reach = await self._reached(fleet)

    async def _reached(self, fleet: Fleet) -> frozenset[str] | None:
        """Return what this machine can have; what it could not bind to lately counts as not."""
        now = self._clock()
        self._refused = {id_: until for id_, until in self._refused.items() if until > now}
        try:
            reach = await self._binder.reach(fleet.addresses)
        except Exception:
            log.exception("what this machine can have is not known")
            return self._reach
        if not self._refused:
            return reach
        near = reach if reach is not None else {each.id for each in fleet.addresses}
        return frozenset(near) - self._refused.keys()

    def _beat(self) -> HostBeat:
        process = self._process
        return HostBeat(
            id=process.id,
            name=process.name,
            started_at=process.started_at,
            beat_at=self._wall(),
            draining=self._draining,
            addresses=tuple(each.source.id for each in self._holdings.all()),
            version=process.version,
            reach=self._reach,
            most=process.most,
        )

    async def _share(self) -> None:
        """Begin to take what should be ours and to give back what should not."""
        if self._draining:  # whatever the table says, and even if it is silent
            self._leave(frozenset(each.source.id for each in self._holdings.all()))
        fleet = self._fleet
        read, found = await self._tried("leases read", leases.all_leases, self._control)
        alive, hosts = await self._tried(
            "hosts read", leases.live_hosts, self._control, self._wall()
        )
        if fleet is None or not read or not alive or found is None or hosts is None:
            return
        free = self._observe(found)
        me = self._beat()
        self._hosts = (*(host for host in hosts if host.id != me.id), me)
        owners = {id_: lease.owner for id_, lease in found.items() if id_ not in free}
        owners |= dict.fromkeys(me.addresses, me.id)
        shares = share_out(fleet.addresses, self._hosts, owners, me.id)
        self._leave(frozenset(shares.release))
        taken = [id_ for id_ in shares.take if id_ not in found or id_ in free][:MAX_TAKEN]
        sources = {each.id: each for each in fleet.addresses}
        await asyncio.gather(*(self._take(sources[id_], found.get(id_)) for id_ in taken))

    def _observe(self, found: dict[str, Lease]) -> frozenset[str]:
        """Return the addresses whose leases are free, by what this process has seen of them."""
        now, wall = self._clock(), self._wall()
        seen = {}
        for id_, lease in found.items():
            revision, since = self._seen.get(id_, (0, now))
            seen[id_] = (lease.revision, since if revision == lease.revision else now)
        self._seen = seen
        return frozenset(
            id_ for id_, lease in found.items() if is_free(lease, wall, now - seen[id_][1])
        )

    def _leave(self, unwanted: frozenset[str]) -> None:
        """Give back what was not ours in the round before either, a few at a time.

        One round alone may have been wrong: two processes see a third one come at other times.
        """
        twice, self._unwanted = unwanted & self._unwanted, unwanted
        leaving = 0
        for held in self._holdings.all():
            if held.source.id not in unwanted:
                if self._holdings.stay(held):
                    self._listener.gained(held.source)
                continue
            leaving += held.phase is Phase.LEAVING
        for held in self._holdings.all():
            goes = self._draining or (held.source.id in twice and leaving < MAX_LEAVING)
            if goes and self._holdings.leave(held, self._clock()):
                self._listener.leaving(held.source)
                leaving += 1

    async def _take(self, source: SourceAddress, seen: Lease | None) -> None:
        began = self._clock()
        done, lease = await self._tried(
            "lease taken",
            leases.acquire,
            self._control,
            source.id,
            self._process.id,
            self._wall(),
            seen,
        )
        if done and lease is not None:
            self._holdings.took(source, lease, began)

    async def _give_back(self) -> None:
        now = self._clock()
        for held in self._holdings.all():
            is_late = held.phase is Phase.LEAVING and now - held.leaving_since >= LEAVING_SECONDS
            if is_late:
                self._listener.lost(held.source)
            if is_late or held.phase is Phase.ENDED:
                self._holdings.drop(held.source.id)
                await self._tried("released", leases.release, self._control, held.lease)

    async def _look(self) -> None:
        """Stop what is bound to addresses that are not here any more, and fetch these anew."""
        settled = {
            each.source.id: each for each in self._holdings.all() if each.usable_at is not None
        }
        try:
            missing = await self._binder.missing([each.source for each in settled.values()])
        except Exception:
            log.exception("whether addresses are still here is not known")
            return
        for id_ in missing:
            log.error("%s was taken away from this host", id_)
            if self._holdings.unsettled(settled[id_]):
                self._listener.lost(settled[id_].source)

    async def _prepare(self) -> None:
        waiting = (each for each in self._holdings.all() if each.phase is Phase.PREPARING)
        for held in waiting:
            if held.usable_at is None:
                await self._prepare_one(held)

    async def _prepare_one(self, held: Holding) -> None:
        bound = await self._binder.bind(held.source)
        now = self._clock()
        if bound is not None:
            self._holdings.prepared(held, bound.source, now + bound.quiet)
            return
        log.warning("%s cannot be bound to on this host", held.source.id)
        self._refused[held.source.id] = now + REFUSED_SECONDS
        self._holdings.drop(held.source.id)
        await self._tried("released", leases.release, self._control, held.lease)

    async def _tried(
        self, what: str, function: Callable[..., T], *arguments: object
    ) -> tuple[bool, T | None]:
        """Call the table in a thread; False if that failed, which is logged."""
        try:
            return True, await asyncio.to_thread(function, *arguments)
        except Exception:
            log.exception("%s: the table cannot be reached", what)
            return False, None
