"""The simulated MX hosts: real SMTP on loopback addresses, acting as the tables say.

`behaviours` chooses by recipient, `profiles` by host; what a test has scripted goes before both.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from aiosmtpd.smtp import SMTP, TLSSetupException
from aiosmtpd.smtp import Envelope as LibraryEnvelope
from aiosmtpd.smtp import Session as LibrarySession

from localstack.simulator.behaviours import (
    ACCEPTED_RECIPIENT,
    Act,
    behaviour,
    data_step,
    final_step,
    recipient_step,
)
from localstack.simulator.connection import Connection, Transaction, carry_out
from localstack.simulator.contents import read_subject_and_id
from localstack.simulator.mailboxes import Envelope, Mailboxes
from localstack.simulator.profiles import ORDINARY, RATE_WINDOW, HostProfile
from localstack.simulator.scripts import ScriptPhase, Scripts
from localstack.simulator.steps import Phase, Step
from localstack.simulator.verdicts import Verdicts

MAX_RECIPIENTS = 1_000
MAX_GREYLISTED = 100_000
MAX_SOURCES = 10_000

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


class MxHost:
    """aiosmtpd's handler for one address; `open` are its connections, `idle` is set when none."""

    def __init__(self, address: str, world: World, profile: HostProfile = ORDINARY) -> None:
        self.open: set[Connection] = set()
        self.idle = asyncio.Event()
        self.idle.set()
        self.address = address
        self.profile = profile
        self._world = world
        self._accepted: OrderedDict[str, deque[float]] = OrderedDict()

    def came(self, connection: Connection) -> None:
        """Count a connection, once however often it says so."""
        self.open.add(connection)
        self.idle.clear()

    def went(self, connection: Connection) -> None:
        """Count it no more."""
        self.open.discard(connection)
        if not self.open:
            self.idle.set()

    def refusal(self, connection: Connection) -> Step | None:
        """Return what a connection gets that is one too many for its source, else None."""
        same = [each for each in self.open if each.peer == connection.peer and not each.refused]
        if not self.profile.max_connections or len(same) <= self.profile.max_connections:
            return None
        connection.refused = True
        return Step("421 4.7.0 too many connections from your address", close=True)

    def step(
        self, phase: Phase, connection: SMTP, transaction: Transaction, recipients: Sequence[str]
    ) -> Step | None:
        """Return what is to be done at `phase`: as scripted, else as the tables say; None for
        what is usual.
        """
        peer = connection.peer if isinstance(connection, Connection) else ""
        scripted = self._world.scripts.playbook.next_step(
            phase, host=self.address, recipients=recipients, at=_now(), peer=peer
        )
        if scripted is not None:
            return scripted
        dictated = transaction.dictated(ScriptPhase.DATA) if phase is Phase.DATA else None
        if dictated is not None:
            return dictated.step
        if phase in self.profile.steps:
            return self.profile.steps[phase]
        return data_step([behaviour(each) for each in recipients], phase)

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
        hidden = self.profile.hidden | (frozenset() if self.profile.auth else {"AUTH"})
        offered = [*responses[:-1], "250-PIPELINING"]
        kept = [line for line in offered if line[4:].partition(" ")[0] not in hidden]
        return [*kept, "250 ENHANCEDSTATUSCODES"]

    async def handle_MAIL(  # noqa: N802  # the library's name
        self,
        server: Connection,
        session: LibrarySession,
        envelope: Transaction,
        address: str,
        options: Sequence[str],
    ) -> str:
        """Accept or refuse a sender."""
        step = self.step(Phase.MAIL, server, envelope, ()) or self._mail_limit(server, options)
        reply = await carry_out(server, step) if step is not None else ""
        if not reply or reply.startswith("2"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return reply or "250 OK"

    async def handle_RCPT(  # noqa: N802  # the library's name
        self,
        server: SMTP,
        session: LibrarySession,
        envelope: Transaction,
        address: str,
        options: Sequence[str],
    ) -> str:
        """Accept or refuse one recipient."""
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 too many recipients"
        step = self.step(Phase.RCPT, server, envelope, [address])
        reply = await carry_out(server, step) if step is not None else ""
        if not reply:
            ordinary = self._recipient_step(envelope, address)
            drip = step.drip if step is not None else 0
            reply = await carry_out(server, replace(ordinary, drip=drip))
        if reply.startswith("2"):
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.extend(options)
        return reply

    async def handle_DATA(  # noqa: N802  # the library's name
        self, server: Connection, session: LibrarySession, envelope: Transaction
    ) -> str:
        """Take or refuse the message that has just ended."""
        raw = envelope.original_content or b""
        step = self.step(Phase.DOT, server, envelope, envelope.rcpt_tos)
        if step is None or step.goes_on:
            ordinary = self._final_step(envelope, raw)
            late = step if step is not None else ordinary
            step = replace(ordinary, seconds=max(late.seconds, ordinary.seconds), drip=late.drip)
        if step.store:
            # Nothing awaits between the decision and the store: a cancelled session has stored
            # the message for all recipients or for none.
            ids = self._world.mailboxes.store(
                self._envelope(server, session, envelope), envelope.rcpt_tos, raw
            )
            if self._world.verify_on_receipt:
                for each in ids:
                    self._world.verdicts.start(each)
        if step.reply.startswith("2"):
            self._count(server)
        return await carry_out(server, step)

    async def handle_exception(self, error: Exception) -> str:
        """Answer for trouble of our own, a full disk above all: the sender shall keep the mail."""
        if isinstance(error, (ConnectionError, TLSSetupException)):
            log.info("a client of %s went away or failed the TLS handshake", self.address)
            return "454 4.7.0 TLS handshake failed"
        log.error("the session on %s failed", self.address, exc_info=error)
        return "451 4.3.0 the simulator had a local problem, see its log"

    def _mail_limit(self, server: Connection, options: Sequence[str]) -> Step | None:
        profile = self.profile
        if "8BITMIME" in profile.hidden and any(each.startswith("BODY=") for each in options):
            return Step("555 5.5.4 BODY is not offered here")
        if "PIPELINING" in profile.hidden and server.has_unread_input:
            return Step("503 5.5.0 improper use of pipelining", close=True)
        if profile.max_messages and server.taken >= profile.max_messages:
            return Step("421 4.7.0 too many messages in this connection", close=True)
        if profile.max_rate:
            times = self._accepted.get(server.peer, deque())
            while times and times[0] <= server.loop.time() - RATE_WINDOW:
                times.popleft()
            if len(times) >= profile.max_rate:
                return Step("450 4.7.1 too many messages, try again later")
        return None

    def _count(self, server: Connection) -> None:
        server.taken += 1
        if self.profile.max_rate:
            times = self._accepted.setdefault(server.peer, deque(maxlen=self.profile.max_rate))
            times.append(server.loop.time())
            self._accepted.move_to_end(server.peer)
            while len(self._accepted) > MAX_SOURCES:
                self._accepted.popitem(last=False)

    def _recipient_step(self, transaction: Transaction, address: str) -> Step:
        scripted = self._world.scripts.take(address)
        if scripted is not None:
            if scripted.phase is ScriptPhase.RCPT:
                return scripted.step
            transaction.scripted.append(scripted)
            return Step(ACCEPTED_RECIPIENT)
        row = behaviour(address)
        seen = row.act is Act.REFUSE_ONCE and self._world.seen_before(address)
        return recipient_step(row, seen_before=seen)

    def _final_step(self, transaction: Transaction, raw: bytes) -> Step:
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
        cipher = transport.get_extra_info("cipher")
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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
