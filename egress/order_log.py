"""What a `trace` order asks for: each attempt of the mail it selects, whole, in the host's log."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from egress.core.engine.work import Grant
from egress.sender.exchange import Exchanged
from mailroom.domain.sending.order import OrderVerb
from mailroom.domain.sending.order_book import OrderBook

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """Logs attempts that an order wants to see. `now` is Unix seconds."""

    book: Callable[[], OrderBook]
    now: Callable[[], float]

    def concluded(self, grant: Grant, exchanged: Exchanged) -> None:
        """Log the reply to a job with all that is known of its way, if an order says so."""
        book = self.book()
        if not any(each.verb is OrderVerb.TRACE for each in book.orders):
            return
        site, path = grant.connection.site, grant.connection.path
        effects = book.effects(
            grant.job, provider=site.provider, site=site.key, address=path.address, now=self.now()
        )
        if not effects.trace:
            return
        reply, judgement = exchanged.reply, exchanged.judgement
        log.info(
            "an attempt that an order traces",
            extra={
                "delivery": str(grant.job.key),
                "orders": effects.orders,
                "path": str(path),
                "connection": grant.connection.number,
                "carried": grant.connection.carried,
                "mx": exchanged.mx,
                "tls": exchanged.version or exchanged.tls,
                "cipher": exchanged.cipher,
                "phase": str(reply.phase),
                "code": reply.code,
                "reply": reply.text,
                "rule": judgement.rule,
                "category": str(judgement.category),
            },
        )
