"""A sender's desk whose table, queue and receivers are in memory and whose journal is real.

A `World` outlives its processes. A `Life` is one process: when it dies, nothing it still does
has any effect, and its journal is as the disk had it at that instant.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from egress.aws.deliveries import ClaimAsk
from egress.core.journal_log import reopen
from egress.journal import Journal
from egress.sender.attempt import Desk, attempt, claim
from egress.sender.copies import Copy
from egress.sender.exchange import Exchanged
from egress.sender.faults import Moment
from egress.sender.recorder import Recorder
from egress.sender.recovery import recover
from mailroom.domain.claim import claim_name
from mailroom.domain.event import Event
from mailroom.domain.lifecycle import CLAIMABLE, FINAL, State
from mailroom.domain.message import Delivery, DeliveryKey, ServerId, WakeUp
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.retry import RetryPolicy
from mailroom.domain.settlement import lose_claim

START = 1_760_000_000.0
SERVER = ServerId("abcdefghij")
OK = SmtpReply(250, "2.0.0 ok", Phase.DOT)
BUSY = SmtpReply(451, "4.7.1 later", Phase.RCPT)
REFUSED = SmtpReply(550, "5.1.1 no such user", Phase.RCPT)
LOST = SmtpReply(0, "connection lost", Phase.DOT)


class Crash(BaseException):
    """The process was killed here."""


@dataclass
class Book:
    """The table: conditional writes, and trouble on request.

    `trouble[name]` holds what the next calls of a method raise; `late` lets the write happen
    before that, as when only the answer is lost.
    """

    rows: dict[DeliveryKey, Delivery] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    trouble: dict[str, list[Exception]] = field(default_factory=dict)
    late: bool = False
    asked: Counter[str] = field(default_factory=Counter)

    async def claim(self, ask: ClaimAsk) -> Delivery | None:
        claimed: Delivery | None = await self._do("claim", lambda: self._claim(ask))
        return claimed

    async def settle(self, claim: str, after: Delivery, event: Event) -> bool:
        return bool(await self._do("settle", lambda: self._settle(claim, after, event)))

    async def release(
        self,
        claim: str,
        key: DeliveryKey,
        back_to: State,
        generation: int,
        due_at: float | None = None,
    ) -> bool:
        row = self.rows[key]
        due = row.due_at if due_at is None else due_at
        after = replace(row, state=back_to, generation=generation, due_at=due)
        return bool(await self._do("release", lambda: self._close(claim, after)))

    async def get(self, key: DeliveryKey) -> Delivery | None:
        row: Delivery | None = await self._do("get", lambda: self.rows.get(key))
        return row

    async def correct(self, claim: str, after: Delivery, event: Event) -> Delivery | None:
        known: Delivery | None = await self._do(
            "correct", lambda: self._correct(claim, after, event)
        )
        return known

    def give_up(self, key: DeliveryKey, now: float, policy: RetryPolicy) -> None:
        """What the scheduler does with the claim of a process that is gone."""
        lost = lose_claim(self.rows[key], now=now, policy=policy)
        self.rows[key] = lost.after
        self.events.append(lost.event)

    async def _do(self, name: str, act: Callable[[], Any]) -> Any:
        self.asked[name] += 1
        troubles = self.trouble.get(name)
        if troubles and not self.late:
            raise troubles.pop(0)
        answer = act()
        if troubles:
            raise troubles.pop(0)
        return answer

    def _claim(self, ask: ClaimAsk) -> Delivery | None:
        row = self.rows[ask.wake_up.key]
        if row.state not in CLAIMABLE or row.generation != ask.wake_up.generation:
            return None
        claimed = replace(row, state=State.ATTEMPTING, claim=ask.claim, claim_until=ask.until)
        self.rows[row.key] = claimed
        return claimed

    def _settle(self, claim: str, after: Delivery, event: Event) -> bool:
        ours = self._close(claim, after)
        if ours:
            self.events.append(event)
        return ours

    def _correct(self, claim: str, after: Delivery, event: Event) -> Delivery | None:
        row = self.rows[after.key]
        lost = f"{after.key}/{after.generation}/uncertain"
        last = [
            (each.id, each.attempt and each.attempt.log_id)
            for each in self.events
            if each.key == after.key
        ][-1:]
        if (
            row.generation != after.generation
            or row.state is State.ATTEMPTING
            or last != [(lost, claim_name(claim))]
        ):
            return None
        self.rows[after.key] = replace(after, generation=after.generation + 1)
        self.events.append(event)
        return self.rows[after.key]

    def _close(self, claim: str, after: Delivery) -> bool:
        row = self.rows[after.key]
        if row.claim != claim:
            return False
        self.rows[after.key] = replace(after, claim=None, claim_until=None)
        return True


@dataclass
class Receivers:
    """The world's MX hosts. Each recipient has a script of replies, then `OK` for ever.

    `taken` counts the copies each one has. A `LOST` reply may hide a copy that was taken.
    """

    scripts: dict[str, list[SmtpReply]] = field(default_factory=dict)
    takes_when_lost: bool = True
    offered: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)

    async def __call__(
        self, copy: Copy, recipient: str, *, before_dot: Any, after_dot: Any
    ) -> Exchanged:
        self.offered[recipient] += 1
        script = self.scripts.get(recipient)
        reply = script.pop(0) if script else OK
        await asyncio.sleep(0)  # others get their turn on the way
        if reply.phase == Phase.DOT:
            await before_dot()
            if reply.code == 250 or (reply is LOST and self.takes_when_lost):
                self.taken[recipient] += 1
            after_dot()
        await asyncio.sleep(0)
        return Exchanged(reply, "mx.test", tls=True)


@dataclass
class Copier:
    """Makes copies of nothing, or trouble: an exception is raised, a reply returned."""

    answer: Any = None

    async def copy(self, delivery: Delivery) -> Any:
        await asyncio.sleep(0)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer or Copy("b@rp.test", b"From: a@demo.example\r\n\r\nx\r\n")


@dataclass
class World:
    """Everything that outlives a process."""

    folder: Path
    book: Book = field(default_factory=Book)
    receivers: Any = field(default_factory=Receivers)
    copier: Copier = field(default_factory=Copier)
    woken: list[tuple[WakeUp, float]] = field(default_factory=list)
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    now: float = START
    lives: int = 0

    def add(self, number: int = 1, **more: Any) -> Delivery:
        """A delivery that waits to be claimed."""
        key = DeliveryKey(SERVER, number, 0)
        row = Delivery(key, f"r{number}@example.org", State.QUEUED, START, START + 172_800)
        self.book.rows[key] = replace(row, **more)
        return self.book.rows[key]

    def row(self, number: int = 1) -> Delivery:
        return self.book.rows[DeliveryKey(SERVER, number, 0)]

    def wake_up(self, number: int = 1) -> WakeUp:
        row = self.row(number)
        return WakeUp(row.key, row.generation, row.recipient)

    def take_woken(self) -> list[WakeUp]:
        """Empty the queue."""
        found, self.woken = [wake_up for wake_up, _ in self.woken], []
        return found

    def journal_path(self) -> Path:
        return self.folder / f"life-{self.lives}" / "sender.journal"


@dataclass
class Faults:
    """Kills the process at the n-th visit to a moment, and every time from then on."""

    moment: Moment | None = None
    visit: int = 1
    died: Callable[[], None] = lambda: None
    dead: bool = False

    def reach(self, moment: Moment) -> None:
        if moment == self.moment and not self.dead:
            self.visit -= 1
            if self.visit == 0:
                self.dead = True
                self.died()
        if self.dead:
            raise Crash(moment)


class Mortal:
    """A port as one life sees it: out of reach once that life is over."""

    def __init__(self, port: Any, faults: Faults) -> None:
        self._port, self._faults = port, faults

    def __getattr__(self, name: str) -> Any:
        if self._faults.dead:
            raise Crash(name)
        return getattr(self._port, name)

    async def __call__(self, *given: Any, **named: Any) -> Any:
        if self._faults.dead:
            raise Crash("call")
        return await self._port(*given, **named)


class Life:
    """One process over `world`, from the opening of its journal to its end."""

    def __init__(
        self,
        world: World,
        moment: Moment | None = None,
        visit: int = 1,
        journal: type[Journal] = Journal,
    ) -> None:
        self.world = world
        self.faults = Faults(moment, visit, self._die)
        self._path = world.journal_path()
        self.journal = journal(self._path)
        self.monotonic = 1_000.0
        self._ids = 0
        book: Any = Mortal(world.book, self.faults)
        self._book = book
        wake: Any = Mortal(self._wake, self.faults)
        self.send = Mortal(world.receivers, self.faults)
        self.desk = Desk(
            book=book,
            journal=self.journal,
            copier=Mortal(world.copier, self.faults),  # type: ignore[arg-type]  # the same
            wake=wake,
            settled=Recorder(book, self.journal, wake, lambda: world.now),
            policy=world.policy,
            faults=self.faults,
            now=lambda: world.now,
            monotonic=lambda: self.monotonic,
            jitter=lambda: 0.0,
            new_id=self._new_id,
        )

    async def recover(self) -> None:
        """What a process does first."""
        await recover(self.journal.replay, self.desk, self._book)

    async def work(self, wake_up: WakeUp) -> bool:
        """Claim and attempt; say whether the claim was had."""
        delivery = await claim(wake_up, self.desk)
        if delivery is not None:
            await attempt(delivery, self.desk, self.send)
        return delivery is not None

    async def end(self) -> None:
        """Close the files; a dead life's journal has moved to the next one already."""
        await self.journal.close()

    def open_claims(self) -> int:
        """How many claims the journal has on the disk that are not settled."""
        return len(reopen(self._path.read_bytes().splitlines(keepends=True)).lines)

    def _die(self) -> None:
        self.world.lives += 1
        next_path = self.world.journal_path()
        next_path.parent.mkdir(parents=True)
        shutil.copyfile(self._path, next_path)

    async def _wake(self, wake_up: WakeUp, delay: float) -> bool:
        self.world.woken.append((wake_up, delay))
        return True

    def _new_id(self) -> str:
        self._ids += 1
        return f"claim-{self.world.lives}-{self._ids}"


def all_final(world: World) -> bool:
    """Whether nothing is left to do."""
    return all(row.state in FINAL for row in world.book.rows.values())


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until `condition`; TimeoutError after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - plain state has no event to wait for
            await asyncio.sleep(0)
