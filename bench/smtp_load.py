"""`python -m bench.smtp_load`: an SMTP client that speaks STARTTLS and AUTH, the same for every
server that is compared. See `bench.load` for how it is driven.

It waits for each answer as most client libraries do, sends one message after the other on a
connection, and takes nothing but success. It runs on asyncio's own loop: on uvloop each STARTTLS
with Postfix waits 40 ms for a delayed acknowledgement, which would be counted as Postfix's.
"""

import asyncio
import base64
import json
import ssl
import sys
import time
from collections.abc import Iterator

from bench.load import SMTP_WARM_UP, LoadError, SmtpLoad
from bench.sample import sized

_MESSAGES_A_CONNECTION = 900  # the submission server ends a session after 1,000
_ANSWER_WITHIN = 60.0


class Session:
    """One connection. Raises LoadError for any answer that is not the one wanted."""

    def __init__(self, load: SmtpLoad, content: bytes, context: ssl.SSLContext) -> None:
        self._load = load
        self._content = content
        self._context = context
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._sent = 0

    async def open(self) -> None:
        """Connect, and do what the load says before the first message."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._load.port)
        self._sent = 0
        await self._wanted(220)
        await self._say(b"EHLO load.test", 250)
        if self._load.tls:
            await self._say(b"STARTTLS", 220)
            await self._writer.start_tls(self._context, server_hostname="localhost")
            await self._say(b"EHLO load.test", 250)
        if self._load.user:
            login = f"\0{self._load.user}\0{self._load.password}".encode()
            await self._say(b"AUTH PLAIN " + base64.b64encode(login), 235)

    async def send(self) -> None:
        """Send one message on this connection, renewed when it is used up."""
        if self._sent >= _MESSAGES_A_CONNECTION:
            await self.close()
            await self.open()
        self._sent += 1
        await self._say(f"MAIL FROM:<{self._load.author}>".encode(), 250)
        await self._say(f"RCPT TO:<{self._load.recipient}>".encode(), 250)
        await self._say(b"DATA", 354)
        await self._say(self._content, 250)

    async def close(self) -> None:
        """Say goodbye and wait until the server has let go of the connection."""
        await self._say(b"QUIT", 221)
        await self._reader.read()
        self._writer.close()

    async def _say(self, line: bytes, code: int) -> None:
        self._writer.write(line + b"\r\n")
        await self._wanted(code)

    async def _wanted(self, code: int) -> None:
        line = b"-"
        async with asyncio.timeout(_ANSWER_WITHIN):
            while line[3:4] == b"-" or line == b"-":
                line = await self._reader.readline()
        if not line.startswith(b"%d" % code):
            raise LoadError(f"{code} was wanted, and this came: {line.decode(errors='replace')}")


async def run(load: SmtpLoad) -> None:
    """Prepare, wait for the word, send, report."""
    raw = sized(load.octets, load.author)
    content = raw.replace(b"\r\n.", b"\r\n..") + b"."
    context = _trusting()
    sessions = [Session(load, content, context) for _ in range(load.connections)]
    await asyncio.gather(*(_prepared(session, kept=load.kept) for session in sessions))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    began = time.perf_counter()
    numbers = iter(range(load.messages))
    async with asyncio.TaskGroup() as group:
        for session in sessions:
            group.create_task(_work(session, numbers, kept=load.kept))
    seconds = time.perf_counter() - began
    if load.kept:
        await asyncio.gather(*(session.close() for session in sessions))
    print(json.dumps({"seconds": seconds}), flush=True)


async def _prepared(session: Session, *, kept: bool) -> None:
    await session.open()
    for _ in range(SMTP_WARM_UP):
        await session.send()
    if not kept:
        await session.close()


async def _work(session: Session, numbers: Iterator[int], *, kept: bool) -> None:
    for _ in numbers:
        if not kept:
            await session.open()
        await session.send()
        if not kept:
            await session.close()


def _trusting() -> ssl.SSLContext:
    # The servers' certificates are the run's own; who they are is not what is measured.
    # No store of authorities either: loading it costs ten handshakes.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def main() -> int:
    """Read the load from standard input and run it; return the exit code."""
    load = SmtpLoad(**json.loads(sys.stdin.readline()))
    failed = False
    try:
        asyncio.run(run(load))
    except* (LoadError, OSError, TimeoutError) as problems:
        sys.stderr.write("; ".join(map(str, problems.exceptions)) + "\n")
        failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
