"""A receiving host that does what a test tells it to, on a real socket."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from egress.core.mx import MxTarget

HANG_UP = b""  # as a reply: close the connection instead

ESMTP = b"250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250 8BITMIME\r\n"
PLAIN = b"250-mx.test\r\n250 8BITMIME\r\n"


@dataclass
class ScriptedMx:
    """Replies by verb; what it saw. `waits_for_data` answers MAIL only after DATA has come."""

    replies: dict[str, bytes] = field(default_factory=dict)
    waits_for_data: bool = False
    tls: ssl.SSLContext | None = None
    commands: list[bytes] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)  # as on the wire, with the final dot
    partial: list[bytes] = field(default_factory=list)  # lines of the message being received
    pipelined: bool = False  # a command came before the one ahead of it was answered
    connections: int = 0
    over: int = 0  # connections that ended
    over_tls: int = 0
    port: int = 0
    writer: asyncio.StreamWriter | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def target(self, host: str = "127.0.0.1") -> MxTarget:
        return MxTarget(host, "127.0.0.1", self.port)

    def verbs(self) -> list[str]:
        return [line.split(b" ")[0].strip().decode("latin-1").upper() for line in self.commands]

    async def quiet(self) -> None:
        """Wait until every connection so far has ended."""
        async with asyncio.timeout(5):
            while self.over < self.connections:
                self.ended.clear()
                await self.ended.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writer = writer
        try:
            await self._session(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()
            self.over += 1
            self.ended.set()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held = b""
        if not await self._say(writer, self._reply("banner")):
            return
        while line := await reader.readline():
            self.commands.append(line)
            verb = self.verbs()[-1]
            self.pipelined |= bool(reader._buffer)  # type: ignore[attr-defined]
            reply = held + await self._answer(verb, reader, writer)
            if self.waits_for_data and verb in {"MAIL", "RCPT", "RSET"}:
                held = reply
                continue
            held = b""
            if not await self._say(writer, reply) or verb == "QUIT":
                return
            if verb == "STARTTLS" and self.tls and reply.startswith(b"220"):
                await writer.start_tls(self.tls)
                self.over_tls += 1
            if verb == "DATA" and b"354" in reply:
                self.messages.append(await self._message(reader))
                if not await self._say(writer, self._reply("dot")):
                    return

    async def _answer(
        self, verb: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        """For hosts that need more than one line to make up their mind."""
        return self._reply(verb)

    async def _message(self, reader: asyncio.StreamReader) -> bytes:
        self.partial = []
        while self.partial[-1:] != [b".\r\n"]:
            self.partial.append(await reader.readuntil(b"\r\n"))
        return b"".join(self.partial)

    def _reply(self, verb: str) -> bytes:
        usual = {
            "banner": b"220 mx.test ESMTP\r\n",
            "EHLO": ESMTP,
            "DATA": b"354 go ahead\r\n",
            "STARTTLS": b"220 go ahead\r\n",
            "QUIT": b"221 bye\r\n",
        }
        encrypted = self.writer is not None and self.writer.get_extra_info("ssl_object")
        if encrypted and f"{verb} over TLS" in self.replies:
            return self.replies[f"{verb} over TLS"]
        return self.replies.get(verb, usual.get(verb, b"250 2.0.0 ok\r\n"))

    async def _say(self, writer: asyncio.StreamWriter, reply: bytes) -> bool:
        if reply == HANG_UP:
            return False
        writer.write(reply)
        await writer.drain()
        return True


@asynccontextmanager
async def listening(
    mx: ScriptedMx, *, implicit: ssl.SSLContext | None = None, at: str = "127.0.0.1"
) -> AsyncIterator[ScriptedMx]:
    """Serve `mx` on a free port of `at`, with TLS from the start if `implicit` is given."""
    server = await asyncio.start_server(mx.serve, at, 0, limit=4_000_000, ssl=implicit)
    mx.port = server.sockets[0].getsockname()[1]
    async with server:
        yield mx


@cache
def self_signed() -> ssl.SSLContext:
    """Return a server's TLS context with a certificate nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mx.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        file = Path(folder, "both.pem")
        file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + certificate.public_bytes(Encoding.PEM)
        )
        context.load_cert_chain(file)
    return context
