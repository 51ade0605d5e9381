"""One submission session on aiosmtpd's protocol.

The library keeps the connection, its streams and its timer. Command loop, DATA and STARTTLS are
ours: its loop takes bare LF, knows no enhanced status codes and reads messages line by line. The
private attributes this touches are aiosmtpd 1.4.6's, and the lock file pins it.
"""

import asyncio
import logging
import ssl
from typing import cast

from aiosmtpd.smtp import SMTP

from egress.core import smtp_answer as say
from egress.core.smtp_answer import Answer, answer
from egress.core.smtp_content import Content
from egress.core.smtp_dialogue import (
    CheckPassword,
    Demand,
    Dialogue,
    OpenTransaction,
    StartTls,
    TakeContent,
)
from egress.submission.acceptance import Envelope
from egress.submission.auth import Account
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


class SubmissionSession(SMTP):
    """Drives a `Dialogue` with what one client sends, and does what it demands."""

    line_length_limit = CHUNK  # of the stream reader: it pauses the transport at twice that

    def __init__(self, office: Office) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(None, hostname=office.name, timeout=office.limits.idle_time, loop=loop)
        self._office = office
        self._dialogue = Dialogue(office.name, office.limits)
        self._wire = Wire(office.limits.auth_line, self._reset_timeout)
        self._id = office.new_id()
        self._address = "unknown"
        self._password = ""
        self._account: Account | None = None
        self._deadline: float | None = loop.time() + office.limits.login_time
        self._waits_for_command = False
        self._works = False  # on something the client cannot hurry
        self._can_speak = True
        self._draining = False
        self._ending = "connection lost"
        self._linger: asyncio.TimerHandle | None = None

    def drain(self) -> None:
        """End the session as soon as no message is on its way."""
        self._draining = True
        if self._waits_for_command:
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

    def _reset_timeout(self, duration: float | None = None) -> None:
        seconds = duration or self._office.limits.idle_time
        if self._deadline is not None:
            seconds = min(seconds, max(0.001, self._deadline - self.loop.time()))
        super()._reset_timeout(seconds)

    def _timeout_cb(self) -> None:
        if self._works:
            # Ours to answer, so the client is not late. The next wait sets the timer right.
            super()._reset_timeout(self._office.limits.idle_time)
        else:
            self.end(say.IDLE)

    async def _handle_client(self) -> None:
        """Run the session; the library starts this once the connection stands."""
        peer = self._writer.get_extra_info("peername")
        if peer:
            self._address = peer[0]
        self._wire.attach(self._reader, self._writer)
        self._office.sessions.add(self)
        admitted = self._office.admission.enter(self._address)
        try:
            await self._run(admitted=admitted)
        except (ClientGoneError, ConnectionError, ssl.SSLError):
            pass
        except Exception:
            log.exception("session failed", extra={"session": self._id})
            self._say_last(say.TROUBLE)
        finally:
            if admitted:
                self._office.admission.leave(self._address)
            self._office.sessions.discard(self)
            self._office.left.set()
            self._hang_up()

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
                "credential": self._account.credential.id if self._account else None,
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
        while not (self._draining or self._office.closing):
            reply = await self._next_reply()
            if reply is not None and reply.closes:
                return reply
            if reply is not None:
                self._wire.say(reply)
        return say.SHUTTING_DOWN

    async def _next_reply(self) -> Answer | None:
        self._waits_for_command = True
        try:
            line = await self._wire.line()
        except LineTooLongError as error:
            return self._dialogue.overlong(error.start)
        except BareNewlineError:
            return self._dialogue.malformed()
        finally:
            self._waits_for_command = False
        outcome = self._dialogue.take(line)
        return outcome if isinstance(outcome, Answer) else await self._fulfil(outcome)

    async def _fulfil(self, demand: Demand) -> Answer | None:
        match demand:
            case StartTls():
                await self._start_tls()
                return None
            case CheckPassword(password):
                return await self._check(password)
            case OpenTransaction(sender):
                return await self._open(sender)
            case TakeContent():
                return await self._take_content()

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

    async def _check(self, password: str) -> Answer:
        account = await self._find(password)
        if isinstance(account, Answer):
            return say.LOGIN_UNDECIDED
        if account is None:
            self._works = True
            await asyncio.sleep(self._office.limits.login_failure_wait)
            self._works = False
            return self._dialogue.login_failed()
        self._account, self._password, self._deadline = account, password, None
        return self._dialogue.logged_in()

    async def _open(self, sender: str) -> Answer:
        # Looked up again for each message: a long session must not outlive its credential.
        account = await self._find(self._password)
        if isinstance(account, Answer):
            return account
        if account is None:
            return self._dialogue.logged_out()
        self._account = account
        return self._dialogue.opened(sender, suspended=account.server.suspended is not None)

    async def _find(self, password: str) -> Account | Answer | None:
        self._works = True
        try:
            return await self._office.accounts.find(password)
        except Exception:
            log.exception("account look-up failed", extra={"session": self._id})
            return say.TROUBLE
        finally:
            self._works = False

    async def _take_content(self) -> Answer:
        self._wire.say(say.SEND_CONTENT)
        self._deadline = self.loop.time() + self._office.limits.content_time
        content = Content(self._office.limits.message_size, self._office.held.reserve)
        try:
            await self._wire.content(content)
        except BaseException:
            self._office.held.release(content.held)
            raise
        self._deadline = None
        self._works = True
        reply = await self._office.acceptance.take(self._envelope(), content)
        self._works = False
        self._dialogue.closed()
        return reply

    def _envelope(self) -> Envelope:
        transaction, account = self._dialogue.transaction, self._account
        if transaction is None or account is None:
            raise RuntimeError("content without a transaction")
        return Envelope(
            account,
            self._id,
            self._dialogue.client_name,
            self._address,
            transaction.sender,
            tuple(transaction.recipients),
        )
