"""What the engine knows: desks, paths, connections, and the questions that all its parts ask."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from egress.core.engine.bars import Bars
from egress.core.engine.desk import Desk, Line, whose
from egress.core.engine.paths import Path, Paths
from egress.core.engine.work import Connection, DeskKey, Move, Stage, Work
from egress.core.engine.world import World
from mailroom.domain.message import DeliveryKey
from mailroom.domain.sending.job import JobFacts
from mailroom.domain.sending.path import PathKey, Site

NEVER = float("inf")
_MOST_READY, _LEAST_READY = 500, 10
_READY_MINUTES = 1.5
PATIENCE = 30.0  # mail waits here for a path that opens within so many seconds


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`slots` bounds connections, `ready` the jobs waiting in memory.

    `urgent_share` of the slots is kept for transactional mail. `dead_seconds` is how long hosts
    that cannot be connected to are left alone, times the square of how often.
    """

    slots: int = 200
    ready: int = 2_000
    urgent_share: float = 0.25
    dead_seconds: float = 15.0
    dead_most: float = 1_800.0


class Ground:
    """The state of the engine, and what can be asked of it."""

    def __init__(self, world: World, settings: EngineSettings, bars: Bars) -> None:
        self._world = world
        self._settings = settings
        self.bars = bars
        self.paths = Paths(world)
        self._desks: dict[DeskKey, Desk] = {}
        self._keys: set[DeliveryKey] = set()
        self._waiting = [0, 0]  # by lane
        self._dirty: dict[DeskKey, None] = {}
        self._starved: dict[DeskKey, None] = {}
        self._timers: list[tuple[float, DeskKey]] = []
        self._moves: list[Move] = []
        self._connections: dict[int, Connection] = {}
        self._bulk_busy = 0
        self._numbers = count(1)

    def _pool(self, job: JobFacts) -> str | None:
        """Return the pool at whose desk a job waits here; None if other processes have its pool.

        A pool that nobody can send from is passed over.
        """
        for pool in job.pools:
            if self._world.sources(pool):
                return pool
            if self._world.is_elsewhere(pool):
                return None
        return None

    def _desk(self, key: DeskKey, site: Site) -> Desk:
        desk = self._desks.get(key)
        if desk is None:
            desk = self._desks[key] = Desk(key, site)
        return desk

    def _is_full(self, desk: Desk, now: float) -> bool:
        waiting = desk.waiting
        return waiting >= _LEAST_READY and waiting >= self._room(desk, now)

    def _room(self, desk: Desk, now: float) -> int:
        """Return how many jobs may wait at a desk: what goes out in 90 seconds."""
        total = 0.0
        for path in self._of_pool(desk.key.pool, desk.site, now):
            rate = path.control.rate
            total += _MOST_READY if rate is None else rate * _READY_MINUTES
            if total >= _MOST_READY:
                break
        return int(min(_MOST_READY, max(_LEAST_READY, total)))

    def _opens(self, desk: Desk, now: float, group: str) -> tuple[float, str]:
        """Return when the first of a desk's paths lets mail of a line go, and why not before."""
        line = desk.lines.get(group)
        if line is not None and line.dead_until > now:
            return line.dead_until, "its hosts cannot be connected to"
        soonest, reason = NEVER, "no source address may be used"
        for pool in self._chain(desk.key.pool):
            for path in self._of_pool(pool, desk.site, now):
                when, why = self._usable(path, now)
                if when <= now:
                    return now, ""
                if when < soonest:
                    soonest, reason = when, why
        return soonest, reason

    def _usable(self, path: Path, now: float) -> tuple[float, str]:
        permit = path.control.permit(now)
        bar = self.bars.of_address(path.source.id, whose(path.site), now)
        if bar is not None:
            return bar.until, bar.reason
        if not permit.may_send:
            return permit.until or NEVER, permit.reason
        stopped = self._world.stopped(path.source, path.site, now)
        if stopped is not None:
            return stopped, "stopped by an order"
        room = self._world.room(path.source, path.site.provider, now)
        return (room, "the address is being warmed up") if room > now else (now, "")

    def _may_come(self, address: str, site: Site, now: float) -> bool:
        """Say whether a greylisted job may hope for the address that was told to wait."""
        if not self._world.holds(address, now):
            return False
        path = self.paths.find(PathKey(address, site.key))
        return path is None or self._usable(path, now)[0] <= now + PATIENCE

    def _most(self, path: Path, now: float) -> int:
        """Return how many connections a path may have."""
        most = path.control.permit(now).connections
        warming = self._world.connections(path.source, path.site.provider)
        return most if warming is None else min(most, warming)

    def _chain(self, pool: str) -> Iterator[str]:
        seen: set[str] = set()
        while pool and pool not in seen:
            seen.add(pool)
            yield pool
            pool = self._world.overflow(pool)

    def _of_pool(self, pool: str, site: Site, now: float) -> Iterator[Path]:
        for source in self._world.sources(pool):
            if source.weight > 0 and self._world.holds(source.id, now):
                yield self.paths.of(source, site, now)

    def closed(self, connection: Connection) -> None:
        """Note that a connection is gone, whoever ended it. May be said twice."""
        if self._connections.pop(connection.number, None) is None:
            return
        connection.stage = Stage.CLOSED
        if (line := self._line(connection)) is not None:
            line.connections.pop(connection.number, None)
        self.paths.closed(self.paths.known(connection.path), connection)
        self._dirty[connection.desk] = None
        self._feed_starved()

    def _feed_starved(self) -> None:
        """Have a desk looked at that waits for a place, the one that waits longest."""
        if self._starved:
            key = next(iter(self._starved))
            del self._starved[key]
            self._dirty[key] = None

    def _hang_up(self, connection: Connection, work: Work) -> None:
        work.closes.append(connection)
        self.closed(connection)

    def _leave(self, move: Move) -> None:
        self._moves.append(move)
        self._waiting[move.job.lane] -= 1
        self._keys.discard(move.job.key)

    def _line(self, connection: Connection) -> Line | None:
        desk = self._desks.get(connection.desk)
        return desk.lines.get(connection.line.group) if desk else None
