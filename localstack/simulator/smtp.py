"""The simulated MX hosts: real SMTP on loopback addresses, acting as the table of behaviours says.

Library: aiosmtpd. It reads commands one by one from a stream and answers each before the next,
so pipelined groups (RFC 2920) come out right and PIPELINING may be announced; a test holds it to
that. What it does not know by itself is added here: enhanced status codes, cuts, 421 greetings.
"""

import asyncio
import logging
import re
import ssl
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, TLSSetupException
from aiosmtpd.smtp import Envelope as LibraryEnvelope
from aiosmtpd.smtp import Session as LibrarySession

from localstack.simulator.behaviours import (
    ACCEPTED_RECIPIENT,
    Act,
    Step,
    behaviour,
    final_step,
    recipient_step,
)
from localstack.simulator.contents import read_subject_and_id
from localstack.simulator.mailboxes import Envelope, Mailboxes
from localstack.simulator.scripts import ScriptedReply, ScriptPhase, Scripts
from localstack.simulator.verdicts import Verdicts

MAX_SIZE = 50 * 1024 * 1024
MAX_RECIPIENTS = 1_000
MAX_GREYLISTED = 100_000
IDLE = 120.0  # seconds

_BARE_REPLY = re.compile(r"([245])\d\d (?![245]\.\d{1,3}\.\d{1,3}\b)")
_ENHANCED = {
    "250": "2.0.0",
    "221": "2.0.0",
    "252": "2.5.2",
    "454": "4.7.0",
    "500": "5.5.2",
    "501": "5.5.4",
    "502": "5.5.1",
    "503": "5.5.1",
    "504": "5.5.4",
    "552": "5.3.4",
    "553": "5.1.3",
    "555": "5.5.4",
}

log = logging.getLogger(__name__)


@dataclass(slots=True)
class World:
    """What all hosts share: mailboxes, verdicts, dictated replies and the memory of greylisting."""

    mailboxes: Mailboxes
    verdicts: Verdicts
    scripts: Scripts
    verify_on_receipt: bool = True
    _greylisted: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def seen_before(self, recipient: str) -> bool:
        """Whether greylisting met this address earlier; from now on it has."""
        key = recipient.lower()
        if key in self._greylisted:
            return True
        self._greylisted[key] = None
        while len(self._greylisted) > MAX_GREYLISTED:
            self._greylisted.popitem(last=False)
        return False


class _Transaction(LibraryEnvelope):
    """The library's envelope, and the replies dictated for this transaction's later phases."""

    def __init__(self) -> None:
        super().__init__()
        self.scripted: list[ScriptedReply] = []

    def dictated(self, phase: ScriptPhase) -> ScriptedReply | None:
        return next((each for each in self.scripted if each.phase is phase), None)


class Connection(SMTP):
    """aiosmtpd's connection with enhanced status codes and dictated answers to DATA."""

    def __init__(self, handler: "MxHost", tls: ssl.SSLContext, name: str) -> None:
        super().__init__(
            handler,
            data_size_limit=MAX_SIZE,
            enable_SMTPUTF8=True,
            hostname=name,
            ident="ESMTP Mailroom simulator",
            tls_context=tls,
            timeout=IDLE,
            auth_exclude_mechanism=["LOGIN", "PLAIN"],
            loop=asyncio.get_running_loop(),
        )
        self._host = handler
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called again when TLS takes over."""
        self._host.came(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        super().connection_lost(error)
        self._host.went(self)

    def _create_envelope(self) -> _Transaction:
        return _Transaction()

    async def push(self, status: str | bytes) -> None:
        """Send one reply line, its enhanced status code added where the library gives none."""
        line = status if isinstance(status, str) else status.decode("utf-8", "replace")
        # RFC 2034 section 4 spares the greeting and the answers to HELO and EHLO.
        if self._greeted and _BARE_REPLY.match(line):
            code, _, text = line.partition(" ")
            line = f"{code} {_ENHANCED.get(code, f'{code[0]}.0.0')} {text}"
        await super().push(line)

    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802  # the library's name
        """Answer HELO."""
        self._greeted = False
        await super().smtp_HELO(hostname)
        self._greeted = True

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802  # the library's name
        """Answer EHLO."""
        self._greeted = False
        await super().smtp_EHLO(hostname)
        self._greeted = True

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802  # the library's name
        """Answer DATA as dictated, or take the message."""
        transaction = self.envelope
        scripted = None
        if isinstance(transaction, _Transaction) and transaction.rcpt_tos:
            scripted = transaction.dictated(ScriptPhase.DATA)
        if scripted is None:
            await super().smtp_DATA(arg)
            return
        reply = await carry_out(self, scripted.step)
        self._set_post_data_state()  # type: ignore[no-untyped-call]  # the library has no hints
        await self.push(reply)


async def carry_out(connection: SMTP, step: Step) -> str:
    """Do what `step` says as far as the reply, which is returned for the library to send.

    Where the step closes the connection this does not return: the library cancels us.
    """
    if step.seconds:
        await asyncio.sleep(step.seconds)
    if not step.close:
        return step.reply
    transport = connection.transport
    if isinstance(transport, asyncio.Transport):
        if step.reply:
            await connection.push(step.reply)
            transport.close()
        else:
            transport.abort()
    await asyncio.get_running_loop().create_future()
    raise AssertionError("a closed connection went on")


class MxHost:
    """aiosmtpd's handler for one address; `open` are its connections, `idle` is set when none."""

    def __init__(self, address: str, world: World) -> None:
        self.open: set[Connection] = set()
        self.idle = asyncio.Event()
        self.idle.set()
        self.address = address
        self._world = world

    def came(self, connection: Connection) -> None:
        """Count a connection, once however often it says so."""
        self.open.add(connection)
        self.idle.clear()

    def went(self, connection: Connection) -> None:
        """Count it no more."""
        self.open.discard(connection)
        if not self.open:
            self.idle.set()

    async def handle_EHLO(  # noqa: N802  # the library's name
        self,
        server: SMTP,
        session: LibrarySession,
        envelope: LibraryEnvelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Announce what is really offered."""
        session.host_name = hostname
        kept = [line for line in responses if not line.startswith(("250-AUTH", "250 HELP"))]
        return [*kept, "250-PIPELINING", "250 ENHANCEDSTATUSCODES"]

    async def handle_RCPT(  # noqa: N802  # the library's name
        self,
        server: SMTP,
        session: LibrarySession,
        envelope: _Transaction,
        address: str,
        options: Sequence[str],
    ) -> str:
        """Accept or refuse one recipient."""
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 too many recipients"
        reply = await carry_out(server, self._recipient_step(envelope, address))
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return reply

    async def handle_DATA(  # noqa: N802  # the library's name
        self, server: SMTP, session: LibrarySession, envelope: _Transaction
    ) -> str:
        """Take or refuse the message that has just ended."""
        raw = envelope.original_content or b""
        step = self._final_step(envelope, raw)
        if step.store:
            # Nothing awaits between the decision and the store: a cancelled session has stored
            # the message for all recipients or for none.
            ids = self._world.mailboxes.store(
                self._envelope(server, session, envelope), envelope.rcpt_tos, raw
            )
            if self._world.verify_on_receipt:
                for each in ids:
                    self._world.verdicts.start(each)
        return await carry_out(server, step)

    async def handle_exception(self, error: Exception) -> str:
        """Answer for trouble of our own, a full disk above all: the sender shall keep the mail."""
        if isinstance(error, (ConnectionError, TLSSetupException)):
            log.info("a client of %s went away or failed the TLS handshake", self.address)
            return "454 4.7.0 TLS handshake failed"
        log.error("the session on %s failed", self.address, exc_info=error)
        return "451 4.3.0 the simulator had a local problem, see its log"

    def _recipient_step(self, transaction: _Transaction, address: str) -> Step:
        scripted = self._world.scripts.take(address)
        if scripted is not None:
            if scripted.phase is ScriptPhase.RCPT:
                return scripted.step
            transaction.scripted.append(scripted)
            return Step(ACCEPTED_RECIPIENT)
        row = behaviour(address)
        seen = row.act is Act.REFUSE_ONCE and self._world.seen_before(address)
        return recipient_step(row, seen_before=seen)

    def _final_step(self, transaction: _Transaction, raw: bytes) -> Step:
        scripted = transaction.dictated(ScriptPhase.DOT)
        if scripted is not None:
            return scripted.step
        rows = [behaviour(each) for each in transaction.rcpt_tos]
        stored = False
        if any(row.act is Act.DROP_ONCE for row in rows):
            _, message_id = read_subject_and_id(raw)
            received = self._world.mailboxes.has_received
            stored = any(received(each, message_id) for each in transaction.rcpt_tos)
        return final_step(rows, stored_before=stored)

    def _envelope(
        self, server: SMTP, session: LibrarySession, transaction: LibraryEnvelope
    ) -> Envelope:
        transport: Any = server.transport
        cipher = transport.get_extra_info("cipher") if session.ssl is not None else None
        sender = transaction.mail_from or ""
        peer = session.peer
        return Envelope(
            mail_from="" if sender == "<>" else sender,
            mx_host=self.address,
            peer=str(peer[0]) if isinstance(peer, tuple) else str(peer),
            helo=session.host_name or "",
            tls=cipher[1] if cipher else "",
            cipher=cipher[0] if cipher else "",
        )
