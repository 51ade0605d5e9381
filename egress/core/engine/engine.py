"""READ FIRST: which mail goes when, from which address, over how many connections.

    offer -> desk (pool x site) -> line (same hosts) -> ready queue
    pump  -> grants a waiting job to an idle connection, or asks for a new connection
    concluded / not_opened -> the path learns; bars learn what is beyond a path

The source address is chosen when a job is granted, not when it comes in. The engine waits for
nothing and knows no clock: whoever runs it does what `pump` says, and calls again at `Work.at` or
when something has happened. Times are Unix seconds of a clock that never jumps.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import replace

from egress.core.engine.desk import Desk, Line
from egress.core.engine.fitting import Fitting
from egress.core.engine.ground import NEVER, PATIENCE, EngineSettings
from egress.core.engine.outcomes import Outcomes
from egress.core.engine.paths import Path
from egress.core.engine.ready import ReadyQueue
from egress.core.engine.work import (
    Appetite,
    Connection,
    DeskKey,
    Grant,
    LineKey,
    Move,
    MoveKind,
    Offer,
    Parked,
    Stage,
    Work,
)
from mailroom.domain.message import DeliveryKey
from mailroom.domain.sending.job import JobFacts, LaneClass
from mailroom.domain.sending.path import PathKey, Site

__all__ = ["Engine", "EngineSettings"]

_PROBED = 5


class Engine(Outcomes):
    """One process's mail and connections. Not thread-safe: all calls come from one place."""

    # Mail comes in.

    def credits(self, lane: LaneClass) -> int:
        """Return how many more jobs of a lane may be fetched: what is not fetched stays stored."""
        most = self._settings.ready
        if lane is LaneClass.BULK:
            most = int(most * (1 - self._settings.urgent_share))
            return max(0, min(most - self._waiting[lane], self._settings.ready - self.waiting))
        return max(0, most - self._waiting[lane])

    @property
    def waiting(self) -> int:
        """How many jobs wait in memory."""
        return sum(self._waiting)

    def has(self, key: DeliveryKey) -> bool:
        """Say whether a delivery waits here or is under way."""
        return key in self._keys

    def offer(self, offer: Offer, now: float) -> Move | None:
        """Take a job in. None if it waits here now, else how it leaves at once."""
        job, site = offer.job, offer.site
        pool = self._pool(job)
        if pool is None:
            reason = "no source address of its pool is held here"
            return Move(job, MoveKind.PARK, site, job.pools[0], reason, group=offer.group)
        desk = self._desk(DeskKey(pool, site.key), site)
        if (leaving := self._leaves(desk, offer, now)) is not None:
            return leaving
        line = desk.lines.get(offer.group)
        if line is None:
            key = LineKey(pool, site.key, offer.group)
            line = desk.lines[offer.group] = Line(key, ReadyQueue(self._world.weight))
        priority = self._world.priority(job, site, now)
        line.queue.push(job if priority is None else replace(job, priority=priority))
        desk.saw(job, now)
        self._waiting[job.lane] += 1
        self._keys.add(job.key)
        self._dirty[desk.key] = None
        return None

    def _leaves(self, desk: Desk, offer: Offer, now: float) -> Move | None:
        job, site, pool = offer.job, desk.site, desk.key.pool
        fitting = Fitting(self._world, self.bars, site, pool)
        if (leaving := fitting.leaves(job, now)) is not None:
            return leaving
        opens, reason = self._opens(desk, now, offer.group)
        if opens > now + PATIENCE:
            return self._parked(job, desk, offer.group, opens, reason)
        if self._is_full(desk, now):
            reason = "enough mail for it waits on the host"
            return Move(job, MoveKind.PARK, site, pool, reason, group=offer.group)
        return None

    def _parked(self, job: JobFacts, desk: Desk, group: str, opens: float, reason: str) -> Move:
        """Return how a job leaves that no path takes before `opens`."""
        until = None if opens == NEVER else opens
        pool = desk.key.pool
        return Move(
            job, MoveKind.PARK, desk.site, pool, reason, until, group=group, is_trouble=True
        )

    # What is to be done.

    def pump(self, now: float) -> Work:
        """Return what is to be done now."""
        work = Work()
        while self._timers and self._timers[0][0] <= now:
            at, key = heapq.heappop(self._timers)
            desk = self._desks.get(key)
            if desk is not None and desk.due == at:  # else it was due before, and seen
                desk.due = NEVER
                self._dirty[key] = None
        while self._dirty:
            key = next(iter(self._dirty))
            del self._dirty[key]
            if (desk := self._desks.get(key)) is not None:
                self._serve(desk, now, work)
        work.moves.extend(self._moves)
        self._moves.clear()
        work.at = self._timers[0][0] if self._timers else None
        return work

    def _serve(self, desk: Desk, now: float, work: Work) -> None:
        soonest = NEVER
        for line in desk.turns():
            barren: set[PathKey] = set()  # nothing that waits may take them now
            for connection in line.idle():
                if not line.queue:
                    break
                when = self._feed(desk, line, connection, now, work, barren)
                soonest = min(soonest, when)
            while line.queue:
                when = self._open(desk, line, now, work)
                if when > now:
                    soonest = min(soonest, when)
                    break
        if desk.waiting and soonest > now + PATIENCE:
            soonest = min(soonest, self._park_unless_open(desk, now))
        soonest = min(soonest, self._close_idle(desk, now, work))
        soonest = min(soonest, desk.tidy(now))
        if soonest < desk.due:
            desk.due = soonest
            heapq.heappush(self._timers, (soonest, desk.key))
        elif soonest == NEVER and not desk.lines:
            self._desks.pop(desk.key, None)

    def _feed(
        self,
        desk: Desk,
        line: Line,
        connection: Connection,
        now: float,
        work: Work,
        barren: set[PathKey],
    ) -> float:
        """Give an idle connection its next job; return when to try again if there is none."""
        path = self.paths.known(connection.path)
        control = path.control
        worn = (
            connection.carried >= control.messages_per_connection
            or now - connection.opened_at > path.settings.age
            or len(path.flight.open) > self._most(path, now)
            or not self._world.holds(path.source.id, now)
        )
        when = NEVER if worn else path.earliest(now, self._usable(path, now)[0])
        if when > now:
            if when - now > path.settings.idle:
                self._hang_up(connection, work)
            return when
        if path.key in barren:
            return NEVER  # said before
        fitting = Fitting(self._world, self.bars, desk.site, desk.key.pool, self._may_come)
        bulk = self._bulk_may(desk, path, now)
        job = line.queue.pick(lambda each: fitting.judge(each, path, line.queue, now), bulk=bulk)
        for move in fitting.leaving:
            self._leave(move)
        if job is None:
            if not bulk:
                self._starved[desk.key] = None
            barren.add(path.key)
            return fitting.soonest
        self._waiting[job.lane] -= 1
        self._begin(connection, path, job, now)
        self._world.shared_take(job, desk.site, now)
        work.grants.append(Grant(connection, job))
        return now

    def _bulk_may(self, desk: Desk, path: Path, now: float) -> bool:
        """Say whether bulk may take one more of the places, some of which are for urgent mail."""
        if self._bulk_busy >= self._bulk_most:
            return False
        if not desk.keeps_places(now):
            return True
        free = path.control.permit(now).connections * (1 - self._settings.urgent_share)
        return path.flight.bulk < max(1.0, free)

    @property
    def _hot(self) -> int:
        if len(self._connections) < self._settings.slots:
            return len(self._connections)
        return sum(each.stage is not Stage.SLOW for each in self._connections.values())

    @property
    def _bulk_most(self) -> float:
        return max(1.0, self._settings.slots * (1 - self._settings.urgent_share))

    def _begin(self, connection: Connection, path: Path, job: JobFacts, now: float) -> None:
        path.take(now, job.size)
        path.flight.began(job)
        self._world.started(path.source, path.site.provider, now)
        connection.job, connection.stage, connection.since = job, Stage.BUSY, now
        self._bulk_busy += job.lane is LaneClass.BULK

    def _open(self, desk: Desk, line: Line, now: float, work: Work) -> float:
        """Ask for one more connection if the line's mail is worth it.

        Returns `now` if one was asked for, else when to look again.
        """
        on_hand = line.on_hand()
        bulk = self._bulk_busy + on_hand < self._bulk_most
        if line.need(bulk=bulk) <= on_hand:
            if not bulk:
                self._starved[desk.key] = None
            return NEVER
        if line.dead_until > now:
            return line.dead_until
        if self._hot >= self._settings.slots and not self._spare_one(line, work):
            self._starved[desk.key] = None
            return NEVER
        soonest = NEVER
        for pool in self._chain(desk.key.pool):
            best, when, works = self._best(pool, desk.site, now)
            soonest = min(soonest, when)
            if best is not None:
                work.opens.append(self._opening(best, line, desk.site, now))
                return now
            if works:
                break  # it is busy or at its limits, not out: nothing overflows
        return soonest

    def _best(self, pool: str, site: Site, now: float) -> tuple[Path | None, float, bool]:
        """Return the path of a pool to open a connection on, else when, and whether one works."""
        best, soonest, works = None, NEVER, False
        for path in self._of_pool(pool, site, now):
            if best is not None and path.load >= best.load:
                continue
            usable, _ = self._usable(path, now)
            if usable > now:
                soonest = min(soonest, usable)
                continue
            works = True
            if len(path.flight.open) >= self._most(path, now):
                continue
            if not self.paths.may_connect(path.source):
                continue
            when = max(path.control.earliest_connection(now), path.earliest(now, now))
            if when > now:
                soonest = min(soonest, when)
            else:
                best = path
        return best, soonest, works

    def _opening(self, path: Path, line: Line, site: Site, now: float) -> Connection:
        path.control.take_connection(now)
        connection = Connection(next(self._numbers), path.key, line.key, site, since=now)
        self._connections[connection.number] = connection
        line.connections[connection.number] = connection
        self.paths.opened(path, connection)
        return connection

    def _spare_one(self, line: Line, work: Work) -> bool:
        """Close an idle connection of another line, to make room for one of this."""
        for connection in self._connections.values():
            if connection.stage is Stage.IDLE and connection.line != line.key:
                self._hang_up(connection, work)
                return True
        return False

    def _park_unless_open(self, desk: Desk, now: float) -> float:
        """Send waiting mail away that no path will take soon; return when one takes the rest."""
        soonest = NEVER
        for line in desk.lines.values():
            if not line.queue:
                continue
            opens, reason = self._opens(desk, now, line.key.group)
            if opens <= now + PATIENCE:
                soonest = min(soonest, opens if opens > now else NEVER)
                continue
            for job in line.queue.remove(lambda _: True):
                self._leave(self._parked(job, desk, line.key.group, opens, reason))
        return soonest

    def _close_idle(self, desk: Desk, now: float, work: Work) -> float:
        soonest = NEVER
        for line in desk.lines.values():
            for connection in line.idle():
                path = self.paths.known(connection.path)
                until = connection.since + path.settings.idle
                useless = not path.control.permit(now).may_send
                if until <= now or useless or not self._world.holds(path.source.id, now):
                    self._hang_up(connection, work)
                else:
                    soonest = min(soonest, until)
        return soonest

    def holds(self, connection: Connection, now: float) -> bool:
        """Say whether the address of a connection is still ours."""
        return self._world.holds(connection.path.address, now)

    def may_begin(self, grant: Grant, now: float) -> bool:
        """Say whether a granted job may still be offered: asked before MAIL FROM."""
        connection = grant.connection
        ordered = self._world.ordered(grant.job, connection.site, now)
        return self.holds(connection, now) and ordered is None

    # The world changes.

    def lost(self, address: str) -> None:
        """Look at what used an address that is ours no more: its idle connections go."""
        for connection in self._connections.values():
            if connection.path.address == address:
                self._dirty[connection.desk] = None

    def reconsider(self, now: float) -> None:
        """Look at all waiting mail again: orders, settings or sources have changed."""
        self.paths.reconfigure(now)
        for desk in self._desks.values():
            self._dirty[desk.key] = None
            fitting = Fitting(self._world, self.bars, desk.site, desk.key.pool)
            for line in desk.lines.values():
                moves: dict[DeliveryKey, Move] = {}
                for job in line.queue.jobs():
                    if (move := fitting.leaves(job, now)) is not None:
                        moves[job.key] = move
                for job in line.queue.remove(lambda each: each.key in moves):  # noqa: B023 - at once
                    self._leave(moves[job.key])

    def appetites(self, parked: Iterable[Parked], now: float) -> Sequence[Appetite]:
        """Return how much parked mail may come back, by credit.

        Of what was not tried for a while only a few come back at first.
        """
        found, free = [], self._settings.ready - self.waiting
        for each in parked:
            if not self._world.sources(each.pool):
                continue
            key = DeskKey(each.pool, each.site.key)
            desk = self._desks.get(key) or Desk(key, each.site)
            if self._opens(desk, now, each.group)[0] > now:
                continue
            room = self._room(desk, now) // 2 - desk.waiting
            if not desk.connections:
                room = min(room, _PROBED - desk.waiting)
            if (most := min(room, free)) > 0:
                found.append(Appetite(each, most))
                free -= most
        return found

    def busy(self, parked: Parked) -> int:
        """Return how many jobs of a partition wait here or are under way."""
        desk = self._desks.get(DeskKey(parked.pool, parked.site.key))
        line = desk.lines.get(parked.group) if desk else None
        if line is None:
            return 0
        return len(line.queue) + sum(each.job is not None for each in line.connections.values())

    def drain(self) -> list[Move]:
        """Give up all mail that waits, because this process ends."""
        for desk in self._desks.values():
            for line in desk.lines.values():
                for job in line.queue.remove(lambda _: True):
                    reason = "the host ends"
                    self._leave(Move(job, MoveKind.LATER, desk.site, desk.key.pool, reason, 0.0))
        moves, self._moves = self._moves, []
        return moves

    @property
    def desks(self) -> Sequence[Desk]:
        """All desks with mail or connections."""
        return tuple(self._desks.values())

    @property
    def connections(self) -> Sequence[Connection]:
        """All connections, whatever they do."""
        return tuple(self._connections.values())

    def path_of(self, key: PathKey) -> Path:
        """Return a path that has been used. Raises KeyError."""
        return self.paths.known(key)
