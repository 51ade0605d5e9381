"""Any bytes from the peer: a reply comes out, never a crash; whole and byte by byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from egress.core.mx import MxTarget
from egress.core.replies import MAX_REPLY, MalformedReplyError, take_reply
from egress.session import Session, Timeouts, TlsPolicy
from mailroom.domain.outcome import Verdict, classify_reply
from mailroom.domain.reply import SmtpReply

PIECES = [
    b"220 mx ESMTP\r\n",
    b"250-mx\r\n250-PIPELINING\r\n250 SIZE 99\r\n",
    b"250 ok\r\n",
    b"354 go\r\n",
    b"250-",
    b"421 bye\r\n",
    b"550 5.1.1 no\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"2",
    b"-",
    b" ",
    b"\xff\x00",
    b"STARTTLS\r\n",
    b"250-STARTTLS\r\n250 SIZE x\r\n",
    b"250 SIZE " + b"9" * 30 + b"\r\n",
    b"x" * 3000,
]
octets = st.lists(st.sampled_from(PIECES) | st.binary(max_size=12), max_size=14).map(b"".join)
# The honest beginning makes it likely that a session gets as far as its final dot.
honest = st.sampled_from(
    [b"", b"".join(PIECES[:2]), b"".join(PIECES[:2]) + b"250 a\r\n250 b\r\n354 c\r\n"]
)
FAST = Timeouts(*(0.05 for _ in range(8)), quit=0.05)


@given(octets)
@settings(max_examples=100)
def test_the_reader_takes_any_bytes_and_makes_progress(raw: bytes) -> None:
    whole, dripped = bytearray(raw), bytearray()
    assert drain(whole) == [reply for byte in raw for reply in drip(dripped, byte)] or not raw
    assert len(dripped) < MAX_REPLY + 4096


def drain(buffer: bytearray) -> list[tuple[int, str] | None]:
    """Return all replies; None in the end if the rest is malformed."""
    replies: list[tuple[int, str] | None] = []
    try:
        while (reply := take_reply(buffer)) is not None:
            assert 200 <= reply[0] <= 599
            replies.append(reply)
    except MalformedReplyError:
        buffer.clear()
        buffer += b"x" * 5000  # malformed for good
        return [*replies, None]
    return replies


def drip(buffer: bytearray, byte: int) -> list[tuple[int, str] | None]:
    if len(buffer) >= 5000:
        return []
    buffer.append(byte)
    return drain(buffer)


class Peer(asyncio.Protocol):
    """Says its piece at once or byte by byte, listens to nothing, hangs up at the end."""

    def __init__(self, speech: bytes, step: int, peers: "list[Peer]") -> None:
        self.speech, self.step = speech, step
        self.gone = asyncio.get_running_loop().create_future()
        peers.append(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.say(0)

    def connection_lost(self, error: Exception | None) -> None:
        self.gone.set_result(None)

    def say(self, start: int) -> None:
        if start >= len(self.speech) or self.transport.is_closing():
            if self.transport.can_write_eof():
                self.transport.write_eof()
            return
        self.transport.write(self.speech[start : start + self.step])
        asyncio.get_running_loop().call_soon(self.say, start + self.step)


@asynccontextmanager
async def hung_up(peers: list[Peer]) -> AsyncIterator[None]:
    """Close both ends of every connection before the loop ends."""
    try:
        yield
    finally:
        for peer in peers:
            peer.transport.abort()
        for peer in peers:
            await peer.gone
        for _ in range(10):
            await asyncio.sleep(0)  # the session's end notices in the loop's next turns


async def meet(speech: bytes, step: int) -> tuple[SmtpReply, bool]:
    """Return the reply a transaction with such a peer gives, and whether the dot was reached."""
    loop = asyncio.get_running_loop()
    reached = False

    async def before_dot() -> None:
        nonlocal reached
        reached = True

    peers: list[Peer] = []
    server = await loop.create_server(lambda: Peer(speech, step, peers), "127.0.0.1", 0)
    async with server, hung_up(peers):
        found = await Session.open(
            MxTarget("mx.test", "127.0.0.1", server.sockets[0].getsockname()[1]),
            ehlo_name="out.example.com",
            source_address=None,
            tls=TlsPolicy.OPPORTUNISTIC,
            timeouts=FAST,
            connect_timeout=5,
        )
        if isinstance(found, SmtpReply):
            return found, reached
        reply = await found.transact("", "a@b.example", b"A: b\r\n\r\n.\r\n", before_dot=before_dot)
        await found.close()
        return reply, reached


@given(honest, octets, st.sampled_from([1, 1_000_000]))
@settings(max_examples=60, deadline=None)
def test_a_session_with_any_peer_ends_in_a_reply(start: bytes, raw: bytes, step: int) -> None:
    with asyncio.Runner() as runner:
        reply, reached = runner.run(meet((start + raw)[: 600 if step == 1 else None], step))
    assert reply.code == 0 or 200 <= reply.code <= 599
    assert reply.text.encode("utf-8")
    assert classify_reply(reply).verdict in set(Verdict)
    if not reached:
        assert classify_reply(reply).verdict in {Verdict.DEFERRED, Verdict.BOUNCED}
