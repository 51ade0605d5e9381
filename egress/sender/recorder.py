"""Writes verdicts, and goes on trying: a verdict that is known must not be forgotten."""

import logging
from collections.abc import Awaitable, Callable

from egress.journal import Journal
from egress.sender.attempt import Book
from egress.sender.persist import until_done, wake
from mailroom.domain.event import EventType
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

        A claim that was given up because this process seemed dead is not ours any more, but what
        is known now is better than the doubt that took its place, as long as no other copy is
        under way. Tries until then. If the process dies first, the journal has the verdict. Raises
        JournalError, all else done, when the journal is broken.
        """
        ours = await until_done(
            lambda: self._book.settle(claim, settlement.after, settlement.event)
        )
        after = settlement.after if ours else await self._late(claim, settlement)
        try:
            self._journal.settled(claim)
        finally:  # a journal that is broken must not keep the delivery from other hosts
            await self._go_on(claim, after)

    async def _late(self, claim: str, settlement: Settlement) -> Delivery | None:
        if settlement.event.type is EventType.UNCERTAIN:
            return None
        return await until_done(
            lambda: self._book.correct(claim, settlement.after, settlement.event)
        )

    async def _go_on(self, claim: str, after: Delivery | None) -> None:
        if after is None:
            log.warning("claim was taken over", extra={"claim": claim})
        elif after.due_at is not None and after.state in CLAIMABLE:  # a hold is due to end only
            wake_up = WakeUp.of(after)
            await wake(wake_up, after.due_at - self._now(), self._wake)
