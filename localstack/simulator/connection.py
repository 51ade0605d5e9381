"""One SMTP connection to a simulated host: aiosmtpd's, with a say at every phase.

Library: aiosmtpd. It reads commands one by one from a stream and answers each before the next,
so pipelined groups (RFC 2920) come out right and PIPELINING may be announced; a test holds it to
that. What it does not know by itself is added here: enhanced status codes, cuts, replies in
pieces, CRAM-MD5.
"""

import asyncio
import logging
import secrets
import ssl
from collections.abc import Sequence
from typing import Protocol

from aiosmtpd.smtp import MISSING, SMTP, AuthResult
from aiosmtpd.smtp import Envelope as LibraryEnvelope

from localstack.simulator.login import authenticate, is_answer_to
from localstack.simulator.profiles import (
    MECHANISMS,
    HostProfile,
    Shape,
)
from localstack.simulator.replies import dressed
from localstack.simulator.scripts import ScriptedReply, ScriptPhase
from localstack.simulator.steps import Phase, Step

IDLE = 120.0  # seconds
LINGER = 5.0  # seconds a client may take to read the last reply
PIECE = 7  # octets
PIECE_PAUSE = 0.01  # seconds

log = logging.getLogger(__name__)


class Transaction(LibraryEnvelope):
    """The library's envelope, and the replies dictated for this transaction's later phases."""

    def __init__(self) -> None:
        super().__init__()
        self.scripted: list[ScriptedReply] = []

    def dictated(self, phase: ScriptPhase) -> ScriptedReply | None:
        """Return the reply dictated for `phase`, if one is."""
        return next((each for each in self.scripted if each.phase is phase), None)


class Host(Protocol):
    """What a connection asks of the host it belongs to."""

    profile: HostProfile

    def came(self, connection: "Connection") -> None:
        """Count a connection, once however often it says so."""

    def went(self, connection: "Connection") -> None:
        """Count it no more."""

    def refusal(self, connection: "Connection") -> Step | None:
        """Return what a connection gets that is one too many."""

    def step(
        self, phase: Phase, connection: SMTP, transaction: Transaction, recipients: Sequence[str]
    ) -> Step | None:
        """Return what is to be done at `phase`, None for what is usual."""


class Connection(SMTP):
    """aiosmtpd's connection. `taken` counts the messages it has accepted."""

    def __init__(self, handler: Host, tls: ssl.SSLContext, name: str) -> None:
        profile = handler.profile
        super().__init__(
            handler,
            data_size_limit=profile.max_size,
            enable_SMTPUTF8="SMTPUTF8" not in profile.hidden,
            hostname=name,
            ident="ESMTP Mailroom simulator",
            tls_context=None if profile.implicit_tls or not profile.starttls else tls,
            require_starttls=profile.starttls_required,
            timeout=IDLE,
            auth_require_tls=profile.starttls_required or not profile.auth,
            auth_exclude_mechanism=[each for each in MECHANISMS if each not in profile.auth],
            authenticator=authenticate,
            loop=asyncio.get_running_loop(),
        )
        # Not the library's argument: it warns of AUTH without TLS, which is meant here.
        self._auth_required = bool(profile.auth)
        self._host = handler
        self._greeted = False
        self._banner: str | None = None
        self._drip = 0.0
        self._verbatim = False
        self._before_body: Step | None = None
        self.refused = False
        self.taken = 0

    @property
    def peer(self) -> str:
        """The client's address."""
        peer = self.session.peer if self.session is not None else ""
        return str(peer[0]) if isinstance(peer, tuple) else str(peer)

    @property
    def has_unread_input(self) -> bool:
        """Whether the client has sent more than was asked of it so far."""
        return bool(self._reader._buffer)  # type: ignore[attr-defined]  # noqa: SLF001  # no other way

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called again when TLS takes over."""
        self._host.came(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        super().connection_lost(error)
        self._host.went(self)

    def manner(self, *, drip: float, verbatim: bool) -> None:
        """Say how the next reply goes out: over `drip` seconds, untouched if `verbatim`."""
        self._drip, self._verbatim = drip, verbatim

    async def push(self, status: str | bytes) -> None:
        """Send one reply line as the host's profile and the next step's manner want it."""
        line = status if isinstance(status, str) else status.decode("utf-8", "replace")
        if self._banner is not None:
            line, self._banner, self._verbatim = self._banner, None, True
        drip, self._drip = self._drip, 0.0
        verbatim, self._verbatim = self._verbatim, False
        # RFC 2034 section 4 spares the greeting and the answers to HELO and EHLO.
        if self._greeted and not verbatim:
            line = dressed(line, self._host.profile.shape)
        await self._write(line, drip)
        if line.startswith("354") and self._before_body is not None:
            step, self._before_body = self._before_body, None
            await self._spoil_body(step)

    async def _write(self, line: str, drip: float) -> None:
        octets = line.encode() + b"\r\n"
        in_pieces = self._host.profile.shape is Shape.PIECES
        size = 1 if drip else PIECE if in_pieces else len(octets)
        pause = drip / len(octets) if drip else PIECE_PAUSE
        for at in range(0, len(octets), size):
            if at:
                await asyncio.sleep(pause)
            self._writer.write(octets[at : at + size])
            await self._writer.drain()

    async def _spoil_body(self, step: Step) -> None:
        if not step.goes_on:
            # Something of the message must have come, or this would be the answer to DATA.
            await self._reader.read(1)
        reply = await carry_out(self, step)
        if reply:
            await hang_up(self, reply)

    async def _handle_client(self) -> None:
        step = self._host.refusal(self) or self._step(Phase.BANNER)
        if step is not None:
            reply = await carry_out(self, step)
            if reply[:1] in {"4", "5"}:
                await hang_up(self, reply)
            self._banner = reply or None
        await super()._handle_client()

    def _step(self, phase: Phase) -> Step | None:
        transaction = self.envelope
        if not isinstance(transaction, Transaction):
            return None
        return self._host.step(phase, self, transaction, transaction.rcpt_tos)

    async def _answered(self, phase: Phase) -> str:
        """Do what is to be done at `phase`; return the reply if that gave one."""
        step = self._step(phase)
        reply = await carry_out(self, step) if step is not None else ""
        if reply:
            await self.push(reply)
        return reply

    def _create_envelope(self) -> Transaction:
        return Transaction()

    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802  # the library's name
        """Answer HELO."""
        self._greeted = False
        if not await self._answered(Phase.EHLO):
            await super().smtp_HELO(hostname)
        self._greeted = True

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802  # the library's name
        """Answer EHLO."""
        if not self._host.profile.esmtp:
            await self.push("502 5.5.1 EHLO is not known here")
            return
        self._greeted = False
        reply = await self._answered(Phase.EHLO)
        if not reply:
            await super().smtp_EHLO(hostname)
        elif reply.startswith("2") and self.session is not None:
            self.session.host_name = hostname
            self.session.extended_smtp = True
        self._greeted = True

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802  # the library's name
        """Begin TLS, or not."""
        if not await self._answered(Phase.STARTTLS):
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802  # the library's name
        """Check who it is, or not."""
        if not self._host.profile.auth:
            await self.push("502 5.5.1 AUTH is not offered here")
        elif not await self._answered(Phase.AUTH):
            await super().smtp_AUTH(arg)

    async def auth_CRAM__MD5(  # noqa: N802  # the library's name
        self, _: SMTP, arguments: Sequence[str]
    ) -> AuthResult:
        """Challenge and check (RFC 2195)."""
        challenge = f"<{secrets.token_hex(8)}@{self.hostname}>".encode()
        response = await self.challenge_auth(challenge)
        if response is MISSING or not isinstance(response, bytes):
            return AuthResult(success=False, handled=True)
        return AuthResult(success=is_answer_to(challenge, response), handled=False)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802  # the library's name
        """Take the message, or refuse to."""
        transaction = self.envelope
        if not isinstance(transaction, Transaction) or not transaction.rcpt_tos:
            await super().smtp_DATA(arg)
            return
        if await self._answered(Phase.DATA):
            self._set_post_data_state()  # type: ignore[no-untyped-call]  # the library has no hints
            return
        self._before_body = self._step(Phase.BODY)
        recipients = list(transaction.rcpt_tos)
        await super().smtp_DATA(arg)
        step = self._host.step(Phase.AFTER, self, transaction, recipients)
        if step is not None and step.close and not step.reply:
            # Not cut: a reset could take the reply with it that the client is to have.
            await asyncio.sleep(step.seconds)
            await leave(self)
        elif step is not None:
            await carry_out(self, step)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802  # the library's name
        """Say goodbye, or not."""
        if not await self._answered(Phase.QUIT):
            await super().smtp_QUIT(arg)


async def carry_out(connection: SMTP, step: Step) -> str:
    """Do what `step` says as far as the reply, which is returned for the library to send.

    Where the step closes the connection this does not return: the library cancels us.
    """
    if step.seconds:
        await asyncio.sleep(step.seconds)
    if isinstance(connection, Connection):
        connection.manner(drip=step.drip, verbatim=step.raw)
    if not step.close:
        return step.reply
    if step.reply:
        await hang_up(connection, step.reply)
    transport = connection.transport
    if isinstance(transport, asyncio.Transport):
        transport.abort()
    await asyncio.get_running_loop().create_future()
    raise AssertionError("a closed connection went on")


async def hang_up(connection: SMTP, reply: str) -> None:
    """Send `reply`, leave the client time to read it, and close. Does not return."""
    await connection.push(reply)
    await leave(connection)


async def leave(connection: SMTP) -> None:
    """Say no more, leave the client time to read what was said, and close. Does not return."""
    transport = connection.transport
    if isinstance(transport, asyncio.Transport):
        # Closing with unread input would reset the connection and could destroy the reply.
        try:
            if transport.can_write_eof():
                transport.write_eof()
                async with asyncio.timeout(LINGER):
                    while await connection._reader.read(65_536):  # noqa: SLF001  # no getter
                        pass
        except TimeoutError:
            log.debug("a client did not leave")
        finally:
            transport.close()
    await asyncio.get_running_loop().create_future()
