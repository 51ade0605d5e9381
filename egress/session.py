"""One SMTP session with one receiving host: greeting, STARTTLS, transactions, QUIT.

Whatever the peer does comes back as an `SmtpReply`; exceptions are the caller's mistakes.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

from egress.connecting import Timeouts, TlsPolicy, connect, tls_context
from egress.core.mx import MxTarget
from egress.core.wire import envelope_commands, wire_form
from egress.greeting import Greeting, out_of_step
from egress.pipelined import SERVICE_CLOSING, PipelinedProtocol, Step, first_unlike
from mailroom.domain.relay import Login
from mailroom.domain.reply import Phase, SmtpReply

__all__ = ["Session", "Timeouts", "TlsPolicy"]

MAX_TEXT = 2000  # characters of a reply that are worth keeping
_TAIL = 65_536  # octets written together with the final dot
_MAIL_STEPS = (2, 2, 354)


class Session:
    """An open session. One transaction at a time; replies are data.

    `tls_version` and `tls_cipher` are as OpenSSL names them, "" without TLS; `tls_verified` says
    that the certificate is the host's. `tls_failure` is why there is no TLS although it was
    wanted; with `tls_broken` it was begun and failed, so that plain may be tried first next time.
    """

    def __init__(
        self,
        protocol: PipelinedProtocol,
        target: MxTarget,
        timeouts: Timeouts,
        greeting: Greeting,
        *,
        verified: bool,
    ) -> None:
        """Use `open` instead."""
        self._protocol = protocol
        self._timeouts = timeouts
        self._busy = False
        self._open_transaction = False  # the next MAIL needs an RSET in front
        self.target = target
        self.extensions = greeting.extensions
        self.tls = greeting.tls
        self.tls_version, self.tls_cipher = protocol.tls_facts
        self.tls_verified = verified and self.tls
        self.tls_failure = greeting.tls_failure
        self.tls_broken = False
        self.counted_for: set[str] = set()  # domains whose TLS reports know of this session
        self.transactions = 0
        self.stale = False

    @classmethod
    async def open(
        cls,
        target: MxTarget,
        *,
        ehlo_name: str,
        source_address: str | None,
        tls: TlsPolicy,
        timeouts: Timeouts,
        connect_timeout: float,
        login: Login | None = None,
        authorities: Path | None = None,
        public: bool = False,
    ) -> Self | SmtpReply:
        """Connect to `target` from `source_address` and greet; `connect_timeout` in seconds.

        Returns the session, or the reply (or absence of one) that prevented it, a `TlsTrouble` if
        it was about TLS; refusals of a `login` have phase AUTH. With opportunistic TLS a failed
        handshake leads to one more connection without TLS, and `tls_broken` on its session.
        `authorities` is a PEM file of whom to trust where certificates are checked; the system's
        are when it is left out, or with `public`.
        """
        context = tls_context(tls, authorities, public=public)
        implicit = context if tls is TlsPolicy.IMPLICIT else None
        protocol = await connect(target, source_address, timeouts, connect_timeout, implicit)
        if isinstance(protocol, SmtpReply):
            return _bounded(protocol)
        try:
            greeting = Greeting(protocol, target, ehlo_name, timeouts)
            refusal = await greeting.run(tls, context, login)
        except BaseException:
            protocol.abort()
            raise
        if refusal is None:
            verified = context.verify_mode is ssl.CERT_REQUIRED
            return cls(protocol, target, timeouts, greeting, verified=verified)
        protocol.farewell(timeouts.quit)
        if not greeting.tls_broken or tls is not TlsPolicy.OPPORTUNISTIC:
            return _bounded(refusal)
        plain = await cls.open(
            target,
            ehlo_name=ehlo_name,
            source_address=source_address,
            tls=TlsPolicy.NONE,
            timeouts=timeouts,
            connect_timeout=connect_timeout,
            login=login,
        )
        if isinstance(plain, Session):
            plain.tls_broken = True
            plain.tls_failure = greeting.tls_failure
        return plain

    @property
    def usable(self) -> bool:
        """Say whether another transaction may be tried."""
        return self._protocol.is_connected and self._protocol.in_step and not self._busy

    async def transact(
        self,
        return_path: str,
        recipient: str,
        message: bytes,
        *,
        utf8: bool = False,
        before_dot: Callable[[], Awaitable[None]],
        after_dot: Callable[[], None] = lambda: None,
    ) -> SmtpReply:
        """Offer `message` to one recipient; return the reply that decided.

        `utf8` says that it was submitted with SMTPUTF8 (RFC 6531).
        `before_dot` is awaited once, directly before the octets with the final dot are written,
        and not at all if the server refused before. If it raises, nothing more is sent, the
        connection is closed and the exception goes on. `after_dot` is called when they are written
        and no reply has been read. Only after the dot was written can a
        reply of phase "." be missing (code 0): then the message may have been taken.

        `stale` is set if a kept connection turned out to be dead before any reply, or was ended
        with a 421 to MAIL (so do hosts that take only so many messages a connection): nothing was
        taken, so the caller may try at once on another one. Raises UnfitError (a ValueError) for
        a message with bare CR or LF or an address that cannot stand in a command.
        """
        if self._busy:
            raise RuntimeError("a session carries one transaction at a time")
        commands = envelope_commands(return_path, recipient, message, self.extensions, utf8=utf8)
        if isinstance(commands, SmtpReply):
            return commands
        wire = wire_form(message)
        self._busy = True
        try:
            refusal = await self._offer(*commands)
            reply = refusal or await self._send_body(wire, before_dot, after_dot)
        except BaseException:
            self._protocol.abort()
            raise
        finally:
            self._busy = False
        ended = reply.code in (0, SERVICE_CLOSING) and reply.phase == Phase.MAIL
        self.stale = self.transactions > 0 and ended
        self.transactions += 1
        if reply.code == 503 or (reply is not refusal and reply.phase != Phase.DOT):
            self._protocol.abort()  # out of step with the server
        return _bounded(reply)

    def farewell(self) -> None:
        """Say QUIT and hang up when it is answered. Returns at once."""
        self._protocol.farewell(self._timeouts.quit)

    async def close(self) -> None:
        """Say QUIT, wait for the answer, hang up."""
        self.farewell()
        await self._protocol.lost

    async def _offer(self, mail: bytes, rcpt: bytes) -> SmtpReply | None:
        """Send the envelope; return None when the server waits for the message."""
        if self._open_transaction:
            mail = b"RSET\r\n" + mail  # costs no round trip of its own when pipelined
        waits = self._timeouts
        reset = [Step(Phase.MAIL, waits.mail)] if self._open_transaction else []
        steps = [Step(Phase.MAIL, waits.mail), Step(Phase.RCPT, waits.rcpt)]
        steps.append(Step(Phase.DATA, waits.data))
        pipelining = "pipelining" in self.extensions
        if pipelining:
            replies = await self._protocol.exchange(mail + rcpt + b"DATA\r\n", *reset, *steps)
        else:
            replies = await self._one_by_one((mail, rcpt, b"DATA\r\n"), reset, steps)
        if reset and first_unlike(replies[:1], (2,)):
            self._protocol.abort()
            return SmtpReply(0, f"no clean state to start from: {replies[0]}", Phase.MAIL)
        self._open_transaction = True
        replies = replies[len(reset) :]
        refusal = first_unlike(replies, _MAIL_STEPS)
        if refusal is None and not self._protocol.in_step:
            return out_of_step(Phase.DATA)
        if refusal is not None and len(replies) == 3 and replies[2].code == 354:
            await self._empty_message(replies)
        elif refusal is not None and refusal.phase == Phase.DATA and refusal.code // 100 in (2, 3):
            self._protocol.abort()  # no telling whether it now reads lines as text or commands
        return refusal

    async def _one_by_one(
        self, commands: tuple[bytes, ...], reset: list[Step], steps: list[Step]
    ) -> list[SmtpReply]:
        """Send each command after the reply to the one before; stop at the first refusal."""
        lines = [each for line in commands for each in line.splitlines(keepends=True)]
        replies: list[SmtpReply] = []
        for line, step in zip(lines, reset + steps, strict=True):
            replies += await self._protocol.exchange(line, step)
            wanted = (2,) * len(reset) + _MAIL_STEPS
            if first_unlike(replies, wanted) or not self._protocol.in_step:
                break
        return replies

    async def _empty_message(self, replies: list[SmtpReply]) -> None:
        """Get out of a DATA that the server granted although it refused the envelope.

        A lone dot, as RFC 2920 section 3.1 asks for; unless a recipient stands, who would then
        get an empty message.
        """
        if replies[1].code // 100 == 2 or not self._protocol.in_step:
            self._protocol.abort()
            return
        await self._protocol.exchange(b".\r\n", Step(Phase.DOT, self._timeouts.data))

    async def _send_body(
        self,
        wire: bytes,
        before_dot: Callable[[], Awaitable[None]],
        after_dot: Callable[[], None],
    ) -> SmtpReply:
        protocol = self._protocol
        done = protocol.expect(Step(Phase.DOT, self._timeouts.dot))  # it may object half-way
        head, tail = wire[:-_TAIL], wire[-_TAIL:]
        for start in range(0, len(head), _TAIL):
            protocol.write(head[start : start + _TAIL])
            if not await protocol.drain(self._timeouts.block) or done.done():
                return self._before_the_dot(done)
        await before_dot()
        if done.done() or not protocol.is_connected:
            return self._before_the_dot(done)
        protocol.write(tail)
        after_dot()
        protocol.arm()
        (reply,) = await protocol.outcome(done)
        self._open_transaction = reply.code == 0
        return reply

    def _before_the_dot(self, done: asyncio.Future[list[SmtpReply]]) -> SmtpReply:
        """Tell what stopped the message before its end was sent: it cannot have been taken."""
        early = done.result()[0] if done.done() else SmtpReply(0, "", Phase.DATA)
        if early.code // 100 in (4, 5):
            return replace(early, phase=Phase.DATA)
        return SmtpReply(0, early.text or "connection lost within the message", Phase.DATA)


def _bounded(reply: SmtpReply) -> SmtpReply:
    return reply if len(reply.text) <= MAX_TEXT else replace(reply, text=reply.text[:MAX_TEXT])
