"""Runs the engine: fetches mail by credit, opens and feeds connections, sends away what must wait.

All calls to the engine come from here, on one event loop. What the engine says is done at once
(`pump`); what has happened is told to it when it has.
"""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from egress.core.engine.engine import Engine
from egress.core.engine.work import Connection, Grant, Move, Stage
from egress.journal import JournalError
from egress.opening import NotOpened, Opened
from egress.sender.attempt import Desk, Send, attempt, claim
from egress.sender.briefing import Brief, Briefing, Direct
from egress.sender.carrier import Carrier, Judge, Way
from egress.sender.exchange import Exchanged, NoWayError
from egress.sender.intake import Intake, Ticket
from egress.sender.leaving import Leaving
from egress.session import Session
from mailroom.domain.message import DeliveryKey, WakeUp
from mailroom.domain.provider import OTHER
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.job import LaneClass
from mailroom.domain.sending.judgement import Judgement

log = logging.getLogger(__name__)

_POLL_TROUBLE_WAIT = 1.0
_BATCH = 10
_DIRECT = 100  # deliveries that need no connection, at once
_MOST_WAYS = 20_000
_LOOK_AGAIN = 0.2  # seconds until a poller without credit looks again


@dataclass(frozen=True, slots=True)
class Doors:
    """How connections come to be: `open` for a path and what was looked up, else the reply."""

    open: Callable[[Connection, Way], Awaitable[Opened | NotOpened]]
    may_carry: Callable[[Session, Connection, Way], bool]
    closed: Callable[[Session, Connection], None] = lambda _session, _connection: None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a dispatcher works with."""

    intakes: Mapping[LaneClass, Intake]
    desk: Desk
    engine: Engine
    briefing: Briefing
    doors: Doors
    leaving: Leaving
    rules: Callable[[], Judge]
    now: Callable[[], float]
    pollers: int = 2
    met: Callable[[Connection, SmtpReply, Judgement], None] = lambda *_: None
    draining: Callable[[], bool] = lambda: False
    follow: Callable[[WakeUp], AbstractContextManager[object]] = nullcontext
    around: Callable[[Send], Send] = lambda send: send
    concluded: Callable[[Grant, Exchanged], None] = lambda _grant, _exchanged: None


@dataclass(frozen=True, slots=True)
class _Wait:
    """What a job in the engine came with, and the way that was looked up for it."""

    ticket: Ticket
    way: Way | None = None


_NO_WAIT = _Wait(Ticket.none())


class Dispatcher:
    """One process's work, from the queues to the verdicts."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._engine = plan.engine
        self._waits: dict[object, _Wait] = {}  # of jobs in the engine, by key
        self._hand: set[object] = set()  # keys of deliveries being looked at or attempted
        self._ways: dict[tuple[str, str], Way] = {}
        self._sessions: dict[int, Session] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._fetched = dict.fromkeys(LaneClass, 0)  # received, and not yet in the engine
        self._direct = asyncio.Semaphore(_DIRECT)
        self._timer: asyncio.TimerHandle | None = None
        self._soon = False  # the timer is due at once
        self._stop: asyncio.Event | None = None
        self._stopping = False
        self._journal_trouble: JournalError | None = None
        self._polled_at: float | None = None
        # What happened in one attempt's trace must not put the next attempt into it.
        self._context = contextvars.copy_context()

    async def run(self, stop: asyncio.Event, *, grace: float) -> None:
        """Work until `stop`, then finish what is under way, for at most `grace` seconds.

        What waits is given back to the queues. What is not finished then stays claimed in the
        journal and is answered at the next start. A journal that breaks stops the work in the
        same way, and JournalError is raised at the end.
        """
        self._stop = stop
        pollers = [
            asyncio.create_task(self._poll(lane, intake), name=f"poll-{lane.name}-{number}")
            for lane, intake in self._plan.intakes.items()
            for number in range(self._plan.pollers)
        ]
        await stop.wait()
        self._stopping = True
        for poller in pollers:
            poller.cancel()
        await asyncio.gather(*pollers, return_exceptions=True)
        await self._give_back_what_waits()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        await self._say_goodbye()
        if self._journal_trouble is not None:
            raise self._journal_trouble

    @property
    def journal_ok(self) -> bool:
        """Whether the journal takes what it is given."""
        return self._journal_trouble is None

    @property
    def poll_age(self) -> float | None:
        """Seconds since a queue last answered, None before it first did."""
        return None if self._polled_at is None else self._plan.now() - self._polled_at

    @property
    def busy(self) -> int:
        """How many things are under way."""
        return len(self._tasks)

    def bring(self, ticket: Ticket) -> bool:
        """Take a delivery in that waited in the table; False if it is here already."""
        return self._begin(ticket)

    def kick(self) -> None:
        """Have the engine asked soon: something has changed."""
        if self._soon:
            return
        self._soon = True
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(0, self._pump, context=self._context)

    # Queues to engine.

    async def _poll(self, lane: LaneClass, intake: Intake) -> None:
        while True:
            credit = self._engine.credits(lane) - self._fetched[lane]
            if credit <= 0 or self._plan.draining():
                self._polled_at = self._plan.now()  # it was not the queue that did not answer
                await asyncio.sleep(_LOOK_AGAIN)
                continue
            most = min(_BATCH, credit)
            self._fetched[lane] += most
            used = 0
            try:
                for entry in (await intake.receive(most))[:most]:
                    ticket = Ticket(entry.wake_up, intake, entry.receipt, lane)
                    used += self._begin(ticket)
                self._polled_at = self._plan.now()
            except Exception:
                log.exception("queue not readable")
                await asyncio.sleep(_POLL_TROUBLE_WAIT)
            finally:
                self._fetched[lane] -= most - used

    def _begin(self, ticket: Ticket) -> bool:
        """Start to look at a delivery; False for a second copy, which comes again if it must."""
        wake_up = ticket.wake_up
        if wake_up is None:
            log.error("unreadable queue entry dropped")
            self._run(ticket.acknowledge())
            return False
        if wake_up.key in self._hand or self._engine.has(wake_up.key):
            return False
        self._hand.add(wake_up.key)
        self._run(self._look_at(wake_up, ticket))
        return True

    async def _look_at(self, wake_up: WakeUp, ticket: Ticket) -> None:
        try:
            brief = await self._brief(wake_up, ticket)
            if isinstance(brief, Direct):
                await self._directly(wake_up, ticket, brief)
            elif brief is not None and self._stopping:
                await ticket.give_back()
            elif brief is not None and (move := self._offer(brief, ticket)) is not None:
                await self._plan.leaving(move, ticket)
        finally:
            self._hand.discard(wake_up.key)

    async def _brief(self, wake_up: WakeUp, ticket: Ticket) -> Brief | Direct | None:
        try:
            return await self._plan.briefing.of(wake_up)
        except Exception:
            # Nothing is claimed: the queue brings it again.
            log.exception("delivery not looked up", extra={"delivery": str(wake_up.key)})
            return None
        finally:
            if ticket.lane is not None:
                self._fetched[ticket.lane] -= 1

    def _offer(self, brief: Brief, ticket: Ticket) -> Move | None:
        move = self._engine.offer(brief.offer, self._plan.now())
        if move is not None:
            return move
        self._waits[brief.offer.job.key] = _Wait(ticket, brief.way)
        place = (brief.offer.site.key, brief.offer.group)
        self._ways.pop(place, None)
        self._ways[place] = brief.way
        if len(self._ways) > _MOST_WAYS:
            self._forget_ways()
        self.kick()
        return None

    def _forget_ways(self) -> None:
        used = {(each.line.site, each.line.group) for each in self._engine.connections}
        used |= {(desk.key.site, group) for desk in self._engine.desks for group in desk.lines}
        for place in [each for each in self._ways if each not in used][: _MOST_WAYS // 2]:
            del self._ways[place]

    async def _directly(self, wake_up: WakeUp, ticket: Ticket, direct: Direct) -> None:
        async def send(*_: Any, **__: Any) -> Exchanged:
            answer = direct.answer
            if answer is None:
                raise NoWayError
            reply = answer.refusal or SmtpReply(0, "no address to connect to", Phase.CONNECT)
            return Exchanged(reply, judgement=self._plan.rules().judge(reply, OTHER))

        async with self._direct:
            await self._attempt(wake_up, ticket, send)

    async def _attempt(self, wake_up: WakeUp, ticket: Ticket, send: Send) -> None:
        with self._plan.follow(wake_up):
            delivery = await claim(wake_up, self._plan.desk)
            # The claim, or whoever has it, is what matters now: the entry is spent.
            acknowledged = asyncio.create_task(ticket.acknowledge())
            if delivery is not None:
                await attempt(delivery, self._plan.desk, send)
            with suppress(Exception):
                await acknowledged

    # What the engine says.

    def _pump(self) -> None:
        self._timer, self._soon = None, False
        now = self._plan.now()
        work = self._engine.pump(now)
        for connection in work.closes:
            self._hang_up(connection)
        for move in work.moves:
            self._leave(move, self._taken(move.job.key).ticket)
        for connection in work.opens:
            self._run(self._open(connection))
        for grant in work.grants:
            self._run(self._carry(grant))
        if work.at is not None and self._timer is None:
            loop = asyncio.get_running_loop()
            wait = max(0.001, work.at - now)
            self._timer = loop.call_later(wait, self._pump, context=self._context)

    async def _open(self, connection: Connection) -> None:
        try:
            opened = await self._plan.doors.open(connection, self._way(connection))
        except Exception:
            log.exception("connection not opened", extra={"path": str(connection.path)})
            self._engine.crowded(connection, self._plan.now())
            self.kick()
            return
        now = self._plan.now()
        if isinstance(opened, NotOpened) and opened.full:
            self._engine.crowded(connection, now)
        elif isinstance(opened, NotOpened):
            reply = opened.reply
            judgement = self._plan.rules().judge(reply, connection.site.provider)
            self._plan.met(connection, reply, judgement)
            self._engine.not_opened(connection, judgement, reply, now, host=opened.host)
        elif self._stopping:
            opened.session.farewell()
            self._engine.closed(connection)
        else:
            self._sessions[connection.number] = opened.session
            self._engine.opened(connection, now)
        self.kick()

    async def _carry(self, grant: Grant) -> None:
        connection, job = grant.connection, grant.job
        wait, session = self._taken(job.key), self._sessions[connection.number]
        way = wait.way or self._way(connection)
        carrier = Carrier(
            grant,
            session,
            way,
            self._engine,
            self._plan.rules(),
            self._plan.now,
            reopen=lambda: self._reopen(connection, way),
            may_carry=lambda each: self._plan.doors.may_carry(each, connection, way),
        )

        async def send(*given: Any, **named: Any) -> Exchanged:
            exchanged = await carrier(*given, **named)
            self._hand_over(connection)
            self._plan.concluded(grant, exchanged)
            return exchanged

        self._hand.add(job.key)
        ticket = wait.ticket
        wake_up = ticket.wake_up or WakeUp(job.key, job.generation, job.recipient)
        try:
            await self._attempt(wake_up, ticket, self._plan.around(send))
        finally:
            self._hand.discard(job.key)
            self._let_go(carrier)

    def _let_go(self, carrier: Carrier) -> None:
        """Tell the engine about a connection whose job is over, however it ended. Once."""
        connection = carrier.grant.connection
        if not carrier.used:
            carrier.used = True
            usable = carrier.session.usable and not carrier.gone
            self._engine.returned(connection, self._plan.now(), usable=usable)
            self._hand_over(connection)

    def _hand_over(self, connection: Connection) -> None:
        if connection.stage is Stage.CLOSED:
            self._hang_up(connection)
        self.kick()

    async def _reopen(self, connection: Connection, way: Way) -> Opened | NotOpened:
        self._hang_up(connection)  # first: its place may be the only one there is
        opened = await self._plan.doors.open(connection, way)
        if isinstance(opened, Opened):
            self._sessions[connection.number] = opened.session
        return opened

    def _taken(self, key: DeliveryKey) -> "_Wait":
        return self._waits.pop(key, _NO_WAIT)

    def _way(self, connection: Connection) -> Way:
        return self._ways[connection.line.site, connection.line.group]

    def _hang_up(self, connection: Connection) -> None:
        if (session := self._sessions.pop(connection.number, None)) is not None:
            self._plan.doors.closed(session, connection)
            session.farewell()

    def _leave(self, move: Move, ticket: Ticket) -> None:
        async def leave() -> None:
            try:
                await self._plan.leaving(move, ticket)
            finally:
                self._hand.discard(move.job.key)

        self._hand.add(move.job.key)
        self._run(leave())

    # The end.

    async def _give_back_what_waits(self) -> None:
        moves = self._engine.drain()
        tickets = [self._taken(move.job.key).ticket for move in moves]
        await asyncio.gather(*(each.give_back() for each in tickets), return_exceptions=True)

    async def _say_goodbye(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        sessions = list(self._sessions.values())
        self._sessions.clear()
        await asyncio.gather(*(each.close() for each in sessions), return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work, name="dispatch", context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (trouble := task.exception()) is None:
            return
        log.error("work failed", exc_info=trouble)
        if isinstance(trouble, JournalError):
            self._journal_trouble = self._journal_trouble or trouble
            if self._stop is not None:
                self._stop.set()
