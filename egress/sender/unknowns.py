"""Counts replies that no rule knows, and adds them to what all hosts have met today."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from mailroom.domain.provider import OTHER
from mailroom.domain.replies.unknown import UnknownReplies
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.judgement import Judgement
from mailroom.ports.control import Control
from mailroom.usecases.unknown_replies import UnknownPorts, note

EVERY = 60.0
_MOST = 500  # kinds of replies between two looks

log = logging.getLogger(__name__)


class Unknowns:
    """The unknown replies of one process."""

    def __init__(self, control: Control, *, now: Callable[[], float]) -> None:
        """Take the clock in Unix seconds."""
        self._ports = UnknownPorts(control)
        self._now = now
        self._counted = UnknownReplies(_MOST)

    def met(self, reply: SmtpReply, judgement: Judgement, provider: str = OTHER) -> None:
        """Count a reply if no rule knew it."""
        if not judgement.rule and reply.code >= 400:
            self._counted.note(reply, provider)

    async def run(self) -> None:
        """Add what was counted now and again, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Add what was counted. Trouble is logged; what it was is forgotten, being statistics."""
        found = self._counted.drain()
        if not found:
            return
        now = self._now()
        day = datetime.fromtimestamp(now, UTC).date()
        try:
            await asyncio.to_thread(lambda: note(self._ports, day, found, now=now))
        except Exception:
            log.exception("unknown replies are not counted")
