"""Tells people of replies that somebody has to act on: a listing, a ban, a PTR that is missing.

An alarm is a log line with `function` "alarm", as the functions write them; a metric filter counts
those. The same rule is told once an hour for each source address and provider.
"""

import logging
from collections.abc import Callable

from egress.core.engine.desk import whose
from egress.core.engine.work import Connection
from egress.remembered import Remembered
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.judgement import Judgement, Verb

QUIET_SECONDS = 3_600.0
_MOST_TEXT = 300

log = logging.getLogger(__name__)


class Alarms:
    """The alarms of one process."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """Take a monotonic `clock` in seconds."""
        self._told: Remembered[tuple[str, str, str], bool] = Remembered(QUIET_SECONDS, clock=clock)

    def met(self, connection: Connection, reply: SmtpReply, judgement: Judgement) -> None:
        """Write an alarm if the rule that matched asks for one and it is not known already."""
        if judgement.action(Verb.ALERT) is None:
            return
        address, provider = connection.path.address, whose(connection.site)
        if self._told.about((judgement.rule, address, provider)):
            return
        self._told.learn((judgement.rule, address, provider), fact=True)
        log.error(
            "a receiver wants something of us",
            extra={
                "function": "alarm",
                "rule": judgement.rule,
                "category": str(judgement.category),
                "address": address,
                "provider": provider,
                "reply": str(reply)[:_MOST_TEXT],
            },
        )
