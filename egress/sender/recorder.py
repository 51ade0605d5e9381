"""Writes verdicts, and goes on trying: a verdict that is known must not be forgotten."""

import logging
from collections.abc import Awaitable, Callable

from egress.journal import Journal
from egress.sender.attempt import Book
from egress.sender.persist import until_done, wake
from mailroom.domain.message import WakeUp
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

        Tries until then. If the process dies first, the journal has the verdict.
        """
        ours = await until_done(
            lambda: self._book.settle(claim, settlement.after, settlement.event)
        )
        self._journal.settled(claim)
        if not ours:
            log.warning("claim was taken over", extra={"claim": claim})
            return
        after = settlement.after
        if after.due_at is not None:
            wake_up = WakeUp(after.key, after.generation, after.recipient)
            await wake(wake_up, after.due_at - self._now(), self._wake)
