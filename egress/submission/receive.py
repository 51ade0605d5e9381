"""Lines and messages out of a connection, replies into it.

aiosmtpd reads a message line by line, which costs most of the time a transaction takes, and lets
a bare LF end a command. Here everything is read in chunks and cut exactly at CRLF; replies to
pipelined commands leave in one piece (RFC 2920 section 3.2).
"""

import asyncio
from collections.abc import Callable

from egress.core.smtp_answer import Answer
from egress.core.smtp_content import Content

CHUNK = 32 * 1024
_MAX_SKIPPED = 1024 * 1024  # octets of one overlong line we are ready to read past
_MAX_UNSENT = 16 * 1024


class ClientGoneError(Exception):
    """The client has closed its side, or sends what never becomes a line."""


class LineTooLongError(Exception):
    """A line was longer than any may be. It is skipped; `start` is how it began."""

    def __init__(self, start: bytes) -> None:
        super().__init__("line too long")
        self.start = start


class BareNewlineError(Exception):
    """A line ended in LF without CR. It is skipped; `start` is how it began."""

    def __init__(self, start: bytes) -> None:
        super().__init__("bare newline")
        self.start = start


class Wire:
    """One connection. `before_wait` is called each time we start to wait for the client."""

    def __init__(self, longest_line: int, before_wait: Callable[[], None]) -> None:
        self._longest = longest_line
        self._before_wait = before_wait
        self._pending = bytearray()
        self._searched = 0  # octets of `_pending` known to hold no LF
        self._unsent = bytearray()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    def attach(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Use these streams from now on."""
        self._reader, self._writer = reader, writer

    def say(self, answer: Answer) -> None:
        """Queue a reply; it leaves with `flush` or before we wait for the client."""
        self._unsent += answer.encode()

    def write_out(self) -> None:
        """Hand what is queued to the transport without waiting for it."""
        if self._unsent:
            self._writer.write(bytes(self._unsent))
            self._unsent.clear()

    async def flush(self) -> None:
        """Send what is queued. Raises ConnectionError when the client is gone."""
        self.write_out()
        self._before_wait()
        await self._writer.drain()

    def forget(self) -> None:
        """Drop everything the client has sent that nobody looked at yet."""
        self._pending.clear()
        self._searched = 0

    async def line(self) -> bytes:
        """Return the next line without its CRLF; it may still hold a bare CR.

        Raises LineTooLongError, BareNewlineError or ClientGoneError.
        """
        while True:
            end = self._pending.find(b"\n", self._searched)
            if end >= 0:
                break
            if len(self._pending) > self._longest:
                await self._skip_line()
            self._searched = len(self._pending)
            self._pending += await self._more()
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        self._searched = 0
        if not line.endswith(b"\r"):
            raise BareNewlineError(line[:8])
        if end >= self._longest:
            raise LineTooLongError(line[:8])
        if len(self._unsent) > _MAX_UNSENT:
            await self.flush()
            await asyncio.sleep(0)  # a flood of commands must not keep the loop from the others
        return line[:-1]

    async def content(self, content: Content) -> None:
        """Feed `content` up to its end. Raises ClientGoneError if that never comes."""
        chunk = bytes(self._pending)
        self.forget()
        while (rest := content.feed(chunk)) is None:
            chunk = await self._more()
        self._pending += rest

    async def octets(self, count: int, take: Callable[[bytes], None]) -> None:
        """Hand the next `count` octets to `take`, piece by piece as they come.

        Raises ClientGoneError if they never come.
        """
        while count:
            if not self._pending:
                self._pending += await self._more()
            piece = bytes(self._pending[:count])
            del self._pending[: len(piece)]
            self._searched = 0
            count -= len(piece)
            take(piece)

    async def _more(self) -> bytes:
        await self.flush()
        chunk = await self._reader.read(CHUNK)
        if not chunk:
            raise ClientGoneError
        return chunk

    async def _skip_line(self) -> None:
        start, skipped = bytes(self._pending[:8]), 0
        while (end := self._pending.find(b"\n")) < 0:
            skipped += len(self._pending)
            if skipped > _MAX_SKIPPED:
                raise ClientGoneError
            self._pending.clear()
            self._pending += await self._more()
        del self._pending[: end + 1]
        self._searched = 0
        raise LineTooLongError(start)
