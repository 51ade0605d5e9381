"""Where a message ends and what it holds: the same for all chunks, and as aiosmtpd reads it."""

import asyncio
import itertools
import random

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from egress.core.smtp_answer import BARE_NEWLINE, NUL_OCTET, TOO_LARGE, Answer
from egress.core.smtp_content import Content
from egress.submission.limits import HeldOctets
from tests.egress.submission_stand import Client


def gathered(wire: bytes, cuts: list[int], limit: int = 100_000) -> tuple[bytes | Answer, bytes]:
    """Feed `wire` in pieces; return the message and what lay behind it."""
    content = Content(limit, HeldOctets(10**9).reserve)
    edges = [0, *sorted(cuts), len(wire)]
    for start, end in itertools.pairwise(edges):
        rest = content.feed(wire[start:end])
        if rest is not None:
            return content.message(), rest + wire[end:]
    raise AssertionError("no end was found")


LIBRARY_CORPUS = [
    b"",
    b"\r\n",
    b"one line\r\n",
    b"..\r\n",
    b"..stuffed\r\n...twice\r\n....\r\n",
    b"a\r\n..\r\n\r\n..b\r\n",
    b"x." * 400 + b"\r\n",
    b"8-bit \xff\xe4\r\n",
    b"".join(b"%s%d\r\n" % (b".." if n % 3 else b"", n) for n in range(500)),
    b"From: a@acme.test\r\nSubject: hi\r\n\r\n" + b"line\r\n" * 300,
]


async def test_messages_come_out_as_the_library_reads_them() -> None:
    """aiosmtpd's own line reader is the oracle, with every chunk cut at random."""
    seen: list[bytes] = []

    class Keeper:
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
            assert isinstance(envelope.content, bytes)
            seen.append(envelope.content)
            return "250 ok"

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Keeper(), data_size_limit=None, hostname="lib.test", loop=loop), "127.0.0.1", 0
    )
    chance = random.Random(2)
    async with server:
        client = await Client.connect(server.sockets[0].getsockname()[1])
        await client.reply()
        await client.say("EHLO a.test")
        for content in LIBRARY_CORPUS:
            await client.say("MAIL FROM:<a@acme.test>")
            await client.say("RCPT TO:<ann@example.org>")
            await client.say("DATA")
            client.send(content + b".\r\n")
            assert (await client.reply()).startswith("250")
        client.hang_up()
    for content, oracle in zip(LIBRARY_CORPUS, seen, strict=True):
        wire = content + b".\r\nQUIT\r\n"
        for _ in range(20):
            cuts = [chance.randrange(len(wire)) for _ in range(chance.randrange(12))]
            assert gathered(wire, cuts) == (oracle, b"QUIT\r\n")
        assert gathered(wire, list(range(len(wire)))) == (oracle, b"QUIT\r\n")


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (b"a\nb\r\n.\r\n", BARE_NEWLINE),
        (b"a\r\r\n.\r\n", BARE_NEWLINE),
        (b"\n\r\r\n.\r\n", BARE_NEWLINE),
        (b"a\0\r\n.\r\n", NUL_OCTET),
        (b"x" * 200_000 + b"\r\n.\r\n", TOO_LARGE),
        (b"x" * 200 + b"\r\n.\r\n", TOO_LARGE),
    ],
)
def test_a_refusal_does_not_depend_on_the_chunks(wire: bytes, expected: Answer) -> None:
    for step in (1, 2, 3, 7, 1000, 10**6):
        cuts = list(range(0, len(wire), step)) if len(wire) // step < 5000 else []
        assert gathered(wire, cuts, limit=100) == (expected, b"")


def test_what_is_over_the_limit_takes_no_memory() -> None:
    held = HeldOctets(10**9)
    content = Content(100, held.reserve)
    for _ in range(100):
        assert content.feed(b"x" * 10_000) is None
        assert len(content._octets) < 200_000
    assert held.held == content.held < 100_000
    assert content.feed(b"\r\n.\r\n") == b""
    assert content.message() == TOO_LARGE
