"""One submission session on aiosmtpd's protocol.

The library keeps the connection, its streams and its timer. Command loop, DATA and STARTTLS are
ours: its loop takes bare LF, knows no enhanced status codes and reads messages line by line. The
private attributes this touches are aiosmtpd 1.4.6's, and the lock file pins it; docs/smtp.md
lists the methods overridden.
"""

import asyncio
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from aiosmtpd.smtp import SMTP

from egress.core import smtp_answer as say
from egress.core.smtp_answer import Answer, answer
from egress.core.smtp_content import Gathered
from egress.core.smtp_demand import (
    CheckLogin,
    Demand,
    OpenTransaction,
    StartTls,
    TakeChunk,
    TakeContent,
)
from egress.core.smtp_dialogue import Dialogue
from egress.submission.entry import Entry
from egress.submission.intake import Intake
from egress.submission.office import Office
from egress.submission.receive import (
    CHUNK,
    BareNewlineError,
    ClientGoneError,
    LineTooLongError,
    Wire,
)
from egress.submission.tls import SHUTDOWN_SECONDS, upgrade

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """A client that was met before its session: its IP address, whether it was let in among the
    others, and whether it speaks TLS already. Whoever met it counts it out again.
    """

    address: str
    admitted: bool
    secure: bool


class SubmissionSession(SMTP):
    """Drives a `Dialogue` with what one client sends, and does what it demands."""

    line_length_limit = CHUNK  # of the stream reader: it pauses the transport at twice that

    def __init__(self, office: Office, caller: Caller | None = None) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(None, hostname=office.name, timeout=office.limits.idle_time, loop=loop)
        self._office = office
        self._caller = caller
        self._id = office.new_id()
        nonce = office.new_nonce() if office.new_nonce else ""
        self._dialogue = Dialogue(office.name, office.limits, nonce=nonce)
        if caller is not None and caller.secure:
            self._dialogue.secured()
        self._wire = Wire(office.limits.auth_line, self._reset_timeout)
        self._entry = Entry(office, self._dialogue, self._id)
        self._intake = Intake(office, self._dialogue, self._wire, self._id)
        self._address = "unknown"
        self._login_deadline: float | None = loop.time() + office.limits.login_time
        self._message_deadline: float | None = None
        self._command_deadline: float | None = None
        self._waits_for_command = False
        self._works = False  # on something the client cannot hurry
        self._can_speak = True
        self._draining = False
        self._ending = "connection lost"
        self._linger: asyncio.TimerHandle | None = None
        self.over: asyncio.Future[None] = loop.create_future()

    def drain(self) -> None:
        """End the session as soon as no message is on its way."""
        self._draining = True
        if self._waits_for_command and not self._intake.is_between_chunks:
            self.end(say.SHUTTING_DOWN)

    def end(self, last_words: Answer) -> None:
        """End the session now, whatever it is doing."""
        self._say_last(last_words)
        if self._handler_coroutine is not None:
            self._handler_coroutine.cancel()

    def _say_last(self, last_words: Answer) -> None:
        self._ending = str(last_words)
        transport = self._connection
        if transport is None:
            return
        if self._can_speak and not transport.get_write_buffer_size():
            self._wire.say(last_words)
            self._wire.write_out()
        else:
            transport.abort()  # it does not read, or is in the middle of a handshake

    @property
    def _connection(self) -> asyncio.Transport | None:
        return cast("asyncio.Transport | None", self.transport)

    def eof_received(self) -> bool:
        """Let the session read what is left: a half-closed client still gets its replies."""
        self._reader.feed_eof()
        return not self._dialogue.is_secure

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._linger is not None:
            self._linger.cancel()
        super().connection_lost(error)
        if not self.over.done():
            self.over.set_result(None)

    def _reset_timeout(self, duration: float | None = None) -> None:
        seconds = duration or self._office.limits.idle_time
        for deadline in (self._login_deadline, self._message_deadline, self._command_deadline):
            if deadline is not None:
                seconds = min(seconds, max(0.001, deadline - self.loop.time()))
        super()._reset_timeout(seconds)

    def _timeout_cb(self) -> None:
        if self._works:
            # Ours to answer, so the client is not late. The next wait sets the timer right.
            super()._reset_timeout(self._office.limits.idle_time)
        else:
            self.end(say.IDLE)

    async def _handle_client(self) -> None:
        """Run the session; the library starts this once the connection stands."""
        self._wire.attach(self._reader, self._writer)
        self._office.sessions.add(self)
        admission, caller = self._office.admission, self._meet()
        self._address = caller.address
        try:
            await self._run(admitted=caller.admitted)
        except (ClientGoneError, ConnectionError, ssl.SSLError):
            pass
        except Exception:
            log.exception("session failed", extra={"session": self._id})
            self._say_last(say.TROUBLE)
        finally:
            if caller.admitted and self._caller is None:
                admission.leave(self._address)
            self._entry.leave(self._address)
            self._intake.drop_chunks()
            self._office.sessions.discard(self)
            self._office.left.set()
            self._hang_up()

    def _meet(self) -> Caller:
        if self._caller is not None:
            return self._caller
        peer = self._writer.get_extra_info("peername")
        address = peer[0] if peer else "unknown"
        return Caller(address, admitted=self._office.admission.enter(address), secure=False)

    def _hang_up(self) -> None:
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
        transport = self._connection
        if transport is not None:
            self._linger = self.loop.call_later(SHUTDOWN_SECONDS, transport.abort)
            transport.close()
        log.info(
            "session",
            extra={
                "session": self._id,
                "client": self._address,
                "helo": self._dialogue.client_name,
                "tls": self._dialogue.is_secure,
                "credential": self._entry.account.credential.id if self._entry.account else None,
                "failed_logins": self._dialogue.failures,
                "transactions": self._dialogue.transactions,
                "ended": self._ending,
            },
        )

    async def _run(self, *, admitted: bool) -> None:
        if admitted:
            self._wire.say(answer(220, "", f"{self._office.name} ESMTP Mailroom/{self._id}"))
            last_words = await self._converse()
        else:
            last_words = say.TOO_MANY_CONNECTIONS
        self._ending = str(last_words)
        self._wire.say(last_words)
        await self._wire.flush()

    async def _converse(self) -> Answer:
        """Answer command after command; return the reply that ends the session."""
        while self._intake.is_between_chunks or not (self._draining or self._office.closing):
            reply = await self._next_reply()
            if reply is not None and reply.closes:
                return reply
            if reply is not None:
                self._wire.say(reply)
            if self._dialogue.transaction is None:
                self._intake.drop_chunks()
            if not self._intake.is_between_chunks:
                self._message_deadline = None
        return say.SHUTTING_DOWN

    async def _next_reply(self) -> Answer | None:
        self._waits_for_command = True
        # Octets of one line do not win time: a command dripped in would never be late.
        self._command_deadline = self.loop.time() + self._office.limits.idle_time
        try:
            line = await self._wire.line()
        except LineTooLongError as error:
            return self._dialogue.overlong(error.start)
        except BareNewlineError as error:
            return self._dialogue.malformed(error.start)
        finally:
            self._waits_for_command, self._command_deadline = False, None
        outcome = self._dialogue.take(line)
        return outcome if isinstance(outcome, Answer) else await self._fulfil(outcome)

    async def _fulfil(self, demand: Demand) -> Answer | None:
        match demand:
            case StartTls():
                await self._start_tls()
                return None
            case CheckLogin(proof):
                with self._working():
                    reply = await self._entry.log_in(self._address, proof)
                if self._dialogue.is_logged_in:
                    self._login_deadline = None
                return reply
            case OpenTransaction():
                return await self._open(demand)
            case TakeContent():
                self._start_message()
                return await self._accept(await self._intake.content())
            case TakeChunk():
                self._start_message()
                outcome = await self._intake.chunk(demand)
                return outcome if isinstance(outcome, Answer) else await self._accept(outcome)

    @contextmanager
    def _working(self) -> Iterator[None]:
        self._works = True
        try:
            yield
        finally:
            self._works = False

    async def _start_tls(self) -> None:
        self._wire.say(say.READY_FOR_TLS)
        await self._wire.flush()
        self._original_transport = self.transport  # the library closes it with the connection
        self._works, self._can_speak = True, False
        self._wire.forget()
        try:
            self.transport = await upgrade(
                self,
                self._reader,
                self._writer,
                self._office.tls,
                handshake_seconds=self._office.limits.handshake_time,
            )
        except OSError as error:
            self._ending = f"TLS handshake failed: {type(error).__name__}"
            raise ClientGoneError from error
        self._works, self._can_speak = False, True
        self._dialogue.secured()

    async def _open(self, asked: OpenTransaction) -> Answer:
        with self._working():
            account = await self._entry.for_message(self._address)
        if isinstance(account, Answer):
            return account
        self._login_deadline = None
        return self._dialogue.opened(asked, suspended=account.server.suspended is not None)

    def _start_message(self) -> None:
        if self._message_deadline is None:
            self._message_deadline = self.loop.time() + self._office.limits.content_time

    async def _accept(self, message: Gathered) -> Answer:
        account = self._entry.account
        if account is None:
            raise RuntimeError("a message from nobody")
        self._message_deadline = None
        with self._working():
            return await self._intake.accept(message, account, self._address)
