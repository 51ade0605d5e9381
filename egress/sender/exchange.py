"""One SMTP exchange over a pooled session, with one more try where a kept one was dead."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from egress.connections import ConnectionPool, Source
from egress.core.mx import MxAnswer
from egress.core.wire import UnfitError
from egress.sender.copies import Copy
from mailroom.domain.reply import Phase, SmtpReply

# What a relay answers to MAIL or RCPT when it wants a login or TLS first (RFC 4954 section 6,
# RFC 3207 section 4): our settings are wrong, not the message.
_WANTS_LOGIN = frozenset({530, 534, 535, 538})

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The reply that decided, from which host, and whether over TLS."""

    reply: SmtpReply
    mx: str = ""
    tls: bool = False


class Exchange:
    """Sends copies to whoever `answer` names."""

    def __init__(self, pool: ConnectionPool, source: Source) -> None:
        self._pool = pool
        self._source = source

    async def __call__(
        self,
        answer: MxAnswer,
        copy: Copy,
        recipient: str,
        *,
        before_dot: Callable[[], Awaitable[None]],
        after_dot: Callable[[], None],
    ) -> Exchanged:
        """Offer `copy` to `recipient`. Replies are data; raises what `before_dot` raises."""

        async def once(*, fresh: bool) -> tuple[Exchanged, bool]:
            async with self._pool.session(answer, source=self._source, fresh=fresh) as session:
                if isinstance(session, SmtpReply):
                    host = answer.targets[0].host if answer.targets else ""
                    return Exchanged(session, host), False
                try:
                    reply = await session.transact(
                        copy.return_path,
                        recipient,
                        copy.raw,
                        utf8=copy.utf8,
                        before_dot=before_dot,
                        after_dot=after_dot,
                    )
                except UnfitError as unfit:
                    reply = unfit.reply
                return Exchanged(reply, session.target.host, session.tls), session.stale

        exchanged, stale = await once(fresh=False)
        if stale:  # a kept session turned out dead; a fresh one cannot
            exchanged, _ = await once(fresh=True)
        return _blamed(exchanged, answer)


def _blamed(exchanged: Exchanged, answer: MxAnswer) -> Exchanged:
    """Tell trouble with our login at a relay from refusals of the recipient."""
    reply = exchanged.reply
    if not answer.relay or reply.code not in _WANTS_LOGIN or reply.phase == Phase.AUTH:
        return exchanged
    log.error(
        "a relay wants another login", extra={"relay": exchanged.mx, "reply": str(reply)[:200]}
    )
    return replace(exchanged, reply=replace(reply, phase=Phase.AUTH))
