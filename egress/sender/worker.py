"""Pulls work only as fast as it can be done, and stops without losing any."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from egress.aws.lane import Received
from egress.journal import JournalError
from egress.sender.attempt import Desk, attempt, claim
from mailroom.domain.message import DeliveryKey, WakeUp

log = logging.getLogger(__name__)

_POLL_TROUBLE_WAIT = 1.0


class Intake(Protocol):
    """The queue (egress.aws.lane fulfils it)."""

    def receive(self, most: int) -> Awaitable[Sequence[Received]]:
        """Wait for at most `most` entries."""

    def acknowledge(self, receipt: str) -> Awaitable[bool]:
        """Delete an entry."""

    def give_back(self, receipt: str) -> Awaitable[bool]:
        """Make an entry visible to others at once."""


class Worker:
    """Runs up to `slots` attempts at once; a free slot is the credit to receive one entry."""

    def __init__(
        self,
        intake: Intake,
        desk: Desk,
        *,
        slots: int,
        pollers: int = 2,
        follow: Callable[[WakeUp], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Take the queue and the desk; `follow` opens the trace segment of each attempt."""
        self._intake = intake
        self._desk = desk
        self._credit = asyncio.Semaphore(slots)
        self._slots = slots
        self._pollers = pollers
        self._follow = follow
        self._hand: set[DeliveryKey] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop: asyncio.Event | None = None
        self._journal_trouble: JournalError | None = None

    async def run(self, stop: asyncio.Event, *, grace: float) -> None:
        """Work until `stop`, then finish what is in hand, for at most `grace` seconds.

        What is not finished then stays claimed in the journal and is answered at the next start.
        A journal that breaks stops the work in the same way, and JournalError is raised at the
        end: attempts under way have given their claims back or recorded their verdicts.
        """
        self._stop = stop
        pollers = [
            asyncio.create_task(self._poll(), name=f"poll-{number}")
            for number in range(self._pollers)
        ]
        await stop.wait()
        for poller in pollers:
            poller.cancel()
        await asyncio.gather(*pollers, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        if self._journal_trouble is not None:
            raise self._journal_trouble

    @property
    def busy(self) -> int:
        """How many attempts are under way."""
        return len(self._tasks)

    async def _poll(self) -> None:
        while True:
            taken = await self._take_credit()
            used = 0
            try:
                entries = await self._intake.receive(taken)
                for entry in entries[:taken]:
                    self._begin(entry)
                    used += 1
            except Exception:
                log.exception("queue not readable")
                await asyncio.sleep(_POLL_TROUBLE_WAIT)
            finally:
                for _ in range(taken - used):
                    self._credit.release()

    async def _take_credit(self) -> int:
        """Wait for one free slot, then take what else is free, up to ten."""
        await self._credit.acquire()
        taken = 1
        while taken < 10 and not self._credit.locked():
            await self._credit.acquire()
            taken += 1
        return taken

    def _begin(self, entry: Received) -> None:
        task = asyncio.create_task(self._work(entry), name="attempt")
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._credit.release()
        if task.cancelled() or (trouble := task.exception()) is None:
            return
        log.error("attempt failed", exc_info=trouble)
        if isinstance(trouble, JournalError):
            self._journal_trouble = self._journal_trouble or trouble
            if self._stop is not None:
                self._stop.set()

    async def _work(self, entry: Received) -> None:
        wake_up = entry.wake_up
        if wake_up is None:
            log.error("unreadable queue entry dropped")
            await self._intake.acknowledge(entry.receipt)
            return
        if wake_up.key in self._hand:
            return  # a second copy; it comes again if the one in hand does not finish it
        self._hand.add(wake_up.key)
        try:
            with self._follow(wake_up):
                await self._carry_out(wake_up, entry.receipt)
        finally:
            self._hand.discard(wake_up.key)

    async def _carry_out(self, wake_up: WakeUp, receipt: str) -> None:
        delivery = await claim(wake_up, self._desk)
        # The claim, or whoever has it, is what matters now: the entry is spent.
        acknowledged = asyncio.ensure_future(self._intake.acknowledge(receipt))
        if delivery is not None:
            await attempt(delivery, self._desk)
        await asyncio.gather(acknowledged, return_exceptions=True)
