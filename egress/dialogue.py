"""A dialogue with one receiving host for an operator to read, one command at a time.

Mail is sent by `session.py`, which pipelines and keeps what it needs; here every line counts and
nothing is fast. A dialogue ends at the first thing that is not as it should be.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from egress.connecting import TlsPolicy, tls_context
from egress.core.mx import MxTarget
from egress.source import Source
from mailroom.domain.sending.trace import TraceDepth, TraceRequest, Transcript

_REPLY_SECONDS = 60.0
_CONNECT_SECONDS = 30.0
_MOST_LINES = 60  # of one reply
_LINE = 4_096


class EndedError(Exception):
    """The dialogue cannot go on; the text says why."""


@dataclass(slots=True)
class Dialogue:
    """One connection. What is said goes to `transcript`; `now` gives Unix seconds."""

    request: TraceRequest
    source: Source
    transcript: Transcript
    now: Callable[[], float]
    authorities: Path | None = None

    async def run(self, target: MxTarget) -> None:
        """Speak as far as the request goes. Raises EndedError where it ends before."""
        self._note("*", f"connecting to {target.host} [{target.address}]:{target.port}")
        reader, writer = await self._connect(target)
        speaker = _Speaker(self, reader, writer)
        try:
            await self._speak(speaker, target)
        finally:
            writer.transport.abort()

    async def _connect(self, target: MxTarget) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        ours = self.source.towards(target.address)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                found = await asyncio.open_connection(
                    target.address,
                    target.port,
                    local_addr=(ours, 0) if ours else None,
                    limit=_LINE,
                )
        except TimeoutError:
            raise EndedError(f"no connection within {_CONNECT_SECONDS:g} seconds") from None
        except OSError as error:
            raise EndedError(f"no connection: {error.strerror or error}") from None
        self._note("*", f"connected from {found[1].get_extra_info('sockname')[0]}")
        return found

    async def _speak(self, speaker: "_Speaker", target: MxTarget) -> None:
        await speaker.hear("2")
        offered = await speaker.say(f"EHLO {self.source.ehlo_name}", "2")
        if any(line[4:].strip().upper() == "STARTTLS" for line in offered):
            await speaker.say("STARTTLS", "2")
            await speaker.secure(target.host, self.authorities)
            await speaker.say(f"EHLO {self.source.ehlo_name}", "2")
        else:
            self._note("*", "no STARTTLS is offered: mail goes in plain text")
        if self.request.depth in (TraceDepth.RECIPIENT, TraceDepth.SEND):
            await speaker.say(f"MAIL FROM:<{self.request.sender}>", "2")
            await speaker.say(f"RCPT TO:<{self.request.recipient}>", "2")
            await self._message(speaker)
        await speaker.say("QUIT", "2")

    async def _message(self, speaker: "_Speaker") -> None:
        if self.request.depth is TraceDepth.RECIPIENT:
            await speaker.say("RSET", "2")
            return
        await speaker.say("DATA", "3")
        for line in self._text():
            speaker.write(line)
        await speaker.say(".", "2")

    def _text(self) -> list[str]:
        request = self.request
        author = request.sender or f"postmaster@{self.source.ehlo_name}"
        return [
            f"From: {author}",
            f"To: {request.recipient}",
            f"Date: {formatdate(self.now())}",
            f"Message-ID: <{request.id}@{self.source.ehlo_name}>",
            "Subject: Test of delivery",
            "Auto-Submitted: auto-generated",
            "",
            "A person at the sending platform tests whether mail to this address arrives.",
        ]

    def _note(self, who: str, text: str) -> None:
        self.transcript.add(self.now(), who, text)


@dataclass(slots=True)
class _Speaker:
    """Says a line, hears a reply."""

    dialogue: Dialogue
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def write(self, line: str) -> None:
        """Say a line that is not answered."""
        self.dialogue.transcript.add(self.dialogue.now(), ">", line)
        self.writer.write(line.encode("utf-8", "replace") + b"\r\n")

    async def say(self, line: str, wanted: str) -> list[str]:
        """Say a line and return the lines of its reply, whose code has to begin with `wanted`."""
        self.write(line)
        return await self.hear(wanted)

    async def hear(self, wanted: str) -> list[str]:
        """Return the lines of a reply. Raises EndedError for one that is not `wanted`."""
        lines: list[str] = []
        try:
            async with asyncio.timeout(_REPLY_SECONDS):
                await self.writer.drain()
                while not lines or lines[-1][3:4] == "-":
                    lines.append(await self._line())
                    if len(lines) > _MOST_LINES:
                        raise EndedError("the reply has no end")
        except TimeoutError:
            raise EndedError(f"no reply within {_REPLY_SECONDS:g} seconds") from None
        except (OSError, ValueError) as error:  # a line without end is a ValueError
            raise EndedError(f"the connection broke: {error}") from None
        if not lines[-1].startswith(wanted):
            raise EndedError(f"refused: {lines[-1]}")
        return lines

    async def secure(self, host: str, authorities: Path | None) -> None:
        """Shake hands. The certificate is not checked, as it is not where mail is sent."""
        context = tls_context(TlsPolicy.OPPORTUNISTIC, authorities)
        try:
            async with asyncio.timeout(_REPLY_SECONDS):
                await self.writer.start_tls(context, server_hostname=host)
        except (OSError, ValueError, TimeoutError) as error:  # ssl.SSLError is an OSError
            raise EndedError(f"no TLS: {error or 'too slow'}") from None
        tls: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        name, version, bits = tls.cipher() or ("?", "?", 0)
        text = f"encrypted: {tls.version() or version}, {name}, {bits} bits"
        self.dialogue.transcript.add(self.dialogue.now(), "*", text)

    async def _line(self) -> str:
        octets = await self.reader.readline()
        if not octets.endswith(b"\n"):
            raise EndedError("the other side hung up")
        line = octets.rstrip(b"\r\n").decode("utf-8", "replace")
        self.dialogue.transcript.add(self.dialogue.now(), "<", line)
        return line
