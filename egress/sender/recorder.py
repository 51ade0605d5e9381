"""Writes verdicts, and goes on trying: a verdict that is known must not be forgotten."""

import logging
from collections.abc import Awaitable, Callable

from egress.journal import Journal
from egress.sender.attempt import Book
from egress.sender.persist import until_done, wake
from mailroom.domain.lifecycle import CLAIMABLE
from mailroom.domain.message import Delivery, WakeUp
from mailroom.domain.settlement import Settlement

log = logging.getLogger(__name__)


class Recorder:
    """Settles claims in the table, closes them in the journal, wakes what is due again."""

    def __init__(
        self,
        book: Book,
        journal: Journal,
        wake: Callable[[WakeUp, float], Awaitable[bool]],
        now: Callable[[], float],
    ) -> None:
        self._book = book
        self._journal = journal
        self._wake = wake
        self._now = now

    async def __call__(self, claim: str, settlement: Settlement) -> None:
        """Write `settlement`; returns when the table has it or the claim is not ours any more.

        Tries until then. If the process dies first, the journal has the verdict. Raises
        JournalError, all else done, when the journal is broken.
        """
        ours = await until_done(
            lambda: self._book.settle(claim, settlement.after, settlement.event)
        )
        try:
            self._journal.settled(claim)
        finally:  # a journal that is broken must not keep the delivery from other hosts
            await self._go_on(claim, settlement.after, ours=ours)

    async def _go_on(self, claim: str, after: Delivery, *, ours: bool) -> None:
        if not ours:
            log.warning("claim was taken over", extra={"claim": claim})
        elif after.due_at is not None and after.state in CLAIMABLE:  # a hold is due to end only
            wake_up = WakeUp(after.key, after.generation, after.recipient)
            await wake(wake_up, after.due_at - self._now(), self._wake)
