"""Carries one copy over the connection it was granted, and tells the engine what came of it.

The connection is free for the next message as soon as the reply is there; what the attempt still
has to write down does not keep it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from egress.core.engine.engine import Engine
from egress.core.engine.work import Grant
from egress.core.mx import MxAnswer
from egress.core.tls_policy import HostPolicy
from egress.core.wire import UnfitError
from egress.opening import NotOpened, Opened
from egress.sender.copies import Copy
from egress.sender.exchange import Exchanged, NoWayError
from egress.session import Session
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.judgement import Judgement, Scope

SLOW_DOT_SECONDS = 60.0  # after which a connection that waits for a final reply is not hot

# What a relay answers to MAIL or RCPT when it wants a login or TLS first (RFC 4954 section 6,
# RFC 3207 section 4): our settings are wrong, not the message.
_WANTS_LOGIN = frozenset({530, 534, 535, 538})

log = logging.getLogger(__name__)


class Judge(Protocol):
    """The reply rules (mailroom.domain.replies.book.RuleBook fulfils it)."""

    def judge(self, reply: SmtpReply, provider: str, /) -> Judgement:
        """Say what a reply means."""


@dataclass(frozen=True, slots=True)
class Way:
    """What was looked up for the hosts of a line; `policy` is the domain's that was asked for."""

    answer: MxAnswer
    domain: str = ""
    policy: HostPolicy | None = None


@dataclass(slots=True)
class Carrier:
    """One granted connection. `used` says that the copy was offered and the engine told."""

    grant: Grant
    session: Session
    way: Way
    engine: Engine
    rules: Judge
    now: Callable[[], float]
    reopen: Callable[[], Awaitable[Opened | NotOpened]]
    may_carry: Callable[[Session], bool]
    used: bool = field(default=False)
    gone: bool = field(default=False)  # the session was given up, and no other has its place

    async def __call__(
        self,
        copy: Copy,
        recipient: str,
        *,
        before_dot: Callable[[], Awaitable[None]],
        after_dot: Callable[[], None],
    ) -> Exchanged:
        """See attempt.Send. A session that is dead, or not safe enough, is replaced once."""
        if not self.engine.may_begin(self.grant, self.now()):
            raise NoWayError
        if self.may_carry(self.session):
            reply = await self._offer(copy, recipient, before_dot, after_dot)
            if not self.session.stale:
                return self._concluded(reply)
        self.gone = True
        opened = await self.reopen()
        if isinstance(opened, NotOpened):
            return self._refused(opened)
        self.session, self.gone = opened.session, False
        self.engine.reopened(self.grant.connection, self.now())
        return self._concluded(await self._offer(copy, recipient, before_dot, after_dot))

    async def _offer(
        self,
        copy: Copy,
        recipient: str,
        before_dot: Callable[[], Awaitable[None]],
        after_dot: Callable[[], None],
    ) -> SmtpReply:
        timer: asyncio.TimerHandle | None = None

        async def fenced() -> None:
            # After the dot it would be too late: another host may have the address by then.
            if not self.engine.holds(self.grant.connection, self.now()):
                raise NoWayError
            await before_dot()

        def sent() -> None:
            nonlocal timer
            loop = asyncio.get_running_loop()
            timer = loop.call_later(SLOW_DOT_SECONDS, self._slow)
            after_dot()

        try:
            return await self.session.transact(
                copy.return_path,
                recipient,
                copy.raw,
                utf8=copy.utf8,
                before_dot=fenced,
                after_dot=sent,
            )
        except UnfitError as unfit:
            return unfit.reply
        finally:
            if timer is not None:
                timer.cancel()

    def _slow(self) -> None:
        self.engine.slow(self.grant.connection, self.now())

    def _concluded(self, reply: SmtpReply) -> Exchanged:
        session = self.session
        exchanged = self._told(self._blamed(reply), session.target.host, usable=session.usable)
        return replace(
            exchanged,
            tls=session.tls,
            version=session.tls_version,
            cipher=session.tls_cipher,
        )

    def _refused(self, opened: NotOpened) -> Exchanged:
        if opened.full:
            raise NoWayError  # our own limit: nobody was asked
        return self._told(opened.reply, opened.host, usable=False)

    def _told(self, reply: SmtpReply, host: str, *, usable: bool) -> Exchanged:
        connection = self.grant.connection
        site = connection.site
        accepted = reply.phase == Phase.DOT and reply.code // 100 == 2
        judgement = None if accepted else self.rules.judge(reply, site.provider)
        self.used = True
        self.engine.concluded(
            connection, self.now(), judgement=judgement, reply=reply, usable=usable
        )
        return Exchanged(
            reply,
            host,
            judgement=judgement or Judgement(scope=Scope.MESSAGE),
            address=connection.path.address,
            site=site.key,
        )

    def _blamed(self, reply: SmtpReply) -> SmtpReply:
        """Tell trouble with our login at a relay from refusals of the recipient."""
        if not self.way.answer.relay or reply.code not in _WANTS_LOGIN or reply.phase == Phase.AUTH:
            return reply
        seen = {"relay": self.session.target.host, "reply": str(reply)[:200]}
        log.error("a relay wants another login", extra=seen)
        return replace(reply, phase=Phase.AUTH)
