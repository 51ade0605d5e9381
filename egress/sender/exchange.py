"""One SMTP exchange over a pooled session, with one more try where a kept one was dead."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from egress.connections import ConnectionPool, Source
from egress.core.mx import MxAnswer
from egress.sender.copies import Copy
from mailroom.domain.reply import Phase, SmtpReply

_TRIES = 2  # a kept session may turn out dead; a fresh one after it may not


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
        exchanged = Exchanged(SmtpReply(0, "no session could be had", Phase.CONNECT))
        for fresh in (False, True)[:_TRIES]:
            async with self._pool.session(answer, source=self._source, fresh=fresh) as session:
                if isinstance(session, SmtpReply):
                    return Exchanged(session, answer.targets[0].host if answer.targets else "")
                try:
                    reply = await session.transact(
                        copy.return_path,
                        recipient,
                        copy.raw,
                        before_dot=before_dot,
                        after_dot=after_dot,
                    )
                except ValueError as problem:
                    reply = SmtpReply(553, f"5.1.3 {problem}", Phase.RCPT)
                exchanged = Exchanged(reply, session.target.host, session.tls)
                if not session.stale:
                    break
        return exchanged
