"""Any octets from a client, in any pieces: no exception escapes, nothing is accepted without its
end, and a client that knows no secret stores nothing."""

import asyncio
import contextlib
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from egress.core.smtp_answer import Answer
from egress.core.smtp_content import Content
from tests.egress.submission_stand import MESSAGE, Client, Stand, plain

BEGIN = b"MAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n"
WHOLE = b"BDAT %d LAST\r\n" % len(MESSAGE) + MESSAGE
fragments = st.sampled_from(
    [
        b"EHLO a.test\r\n", b"HELO a\r\n", b"STARTTLS\r\n", b"STARTTLS\r\nNOOP\r\nMAIL FROM:<>\r\n",
        b"AUTH PLAIN AGEAYg==\r\n", b"AUTH PLAIN\r\n", b"*\r\n", b"AGEAYg==\r\n", b"AUTH\r\n",
        b"MAIL FROM:<shop@acme.test>\r\n", b"MAIL FROM:<> SIZE=99999999999\r\n", b"MAIL\r\n",
        b"RCPT TO:<ann@example.org>\r\n", b"RCPT TO:<\r\n", b"DATA\r\n", b"BDAT 5 LAST\r\nhello",
        b"BDAT 30\r\n", b"BDAT 0\r\n", b"BDAT 0 LAST\r\n", b"BDAT 99999999999\r\n", b"BDAT x\r\n",
        b"AUTH LOGIN\r\n", b"AUTH LOGIN YQ==\r\n", b"AUTH CRAM-MD5\r\n", b"YSBi\r\n",
        b"MAIL FROM:<> RET=FULL ENVID=x\r\n", b"RCPT TO:<a@b.test> NOTIFY=NEVER ORCPT=rfc822;a\r\n",
        "MAIL FROM:<ä@b.test> SMTPUTF8\r\n".encode(), b"PROXY UNKNOWN\r\n", WHOLE,
        b"BDAT 6 LAST\nRSET\r\n", b"BDAT\t6\r\nRSET\r\n", b"BDAT -1\r\n", b"BDAT 1 LAST\r\n",
        "RCPT TO:<ü@b.test> ORCPT=utf-8;ü@c\r\n".encode(), b"RCPT TO:<a@b.test> NOTIFY=\r\n",
        "MA\u0131L FROM:<>\r\n".encode(), b"MAIL FROM:<> ENVID=+\r\n", b"\xc0\xae\r\n",
        b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        b"RSET\r\n", b"NOOP\n", b"VRFY\r\n", b"HELP\r\n", b"x" * 600 + b"\r\n", b"y" * 13_000,
        b"\r\n.\r\n", b".\r\n", b"\n.\n", b"\r\n.\n", b"\r.\r", b"\r", b"\n", b"\0", b"\r\n",
        "MAIL FROM:<ä@b.test>\r\n".encode(), b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n",
        MESSAGE, MESSAGE + b".\r\n", BEGIN, BEGIN, BEGIN + MESSAGE + b".\r\n",
    ]
)  # fmt: skip
pieces = st.lists(fragments | st.binary(max_size=40), max_size=25)


async def flood(client: Client, said: list[bytes]) -> bytes:
    """Send everything as fast as it goes, close, and return all that was answered."""

    for piece in [*said, b"\r\n" + b"z" * 64 + b"\r\nQUIT\r\n"]:
        client.send(piece)
        await asyncio.sleep(0)
    answered = b""
    async with asyncio.timeout(20):
        with contextlib.suppress(OSError):
            if client.writer.can_write_eof():  # a QUIT behind STARTTLS is rightly dropped
                client.writer.write_eof()
            while chunk := await client.reader.read(65_536):
                answered += chunk
                # Unfinished content swallows the QUIT, so nobody would ever hang up.
                if b"\r\n354 " in b"\r\n" + answered[-200:]:
                    break
    client.hang_up()
    return answered


def well_formed(answered: bytes) -> bool:
    """Say whether these are replies and nothing else."""
    lines = answered.split(b"\r\n")
    return lines.pop() == b"" and all(
        line[:3].isdigit() and line[3:4] in (b" ", b"-") for line in lines
    )


async def walk(said: list[bytes], *, logged_in: bool) -> tuple[bytes, Stand]:
    stand = Stand(cram=True)
    async with stand.listening():
        client = await (stand.user() if logged_in else stand.client())
        answered = await flood(client, said)
        async with asyncio.timeout(20):
            while stand.office.sessions:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.001)
        await stand.office.acceptance.settle(20)
        assert stand.office.held.held == 0
        assert (await stand.client()) is not None
    return answered, stand


def is_quiet(caplog: pytest.LogCaptureFixture) -> bool:
    return not [each for each in caplog.records if each.levelno >= logging.ERROR]


unhurried = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@unhurried
@given(pieces)
def test_a_stranger_stores_nothing_whatever_it_says(
    caplog: pytest.LogCaptureFixture, said: list[bytes]
) -> None:
    answered, stand = asyncio.run(walk(said, logged_in=False))
    assert stand.stored == []
    assert is_quiet(caplog)
    before_tls = answered.split(b"220 2.0.0 ")[0]
    assert well_formed(before_tls)
    assert b"\r\n235 " not in answered
    assert b"\r\n354 " not in answered


@unhurried
@given(pieces)
def test_a_user_stores_only_what_it_has_ended(
    caplog: pytest.LogCaptureFixture, said: list[bytes]
) -> None:
    answered, stand = asyncio.run(walk(said, logged_in=True))
    assert is_quiet(caplog)
    assert well_formed(answered)
    wire = b"".join(said)
    acknowledged = answered.count(b"250 2.0.0 Ok: queued as ")
    assert (
        acknowledged <= len(stand.stored) <= (wire.count(b"\r\n.\r\n") + wire.count(b" LAST\r\n"))
    )
    for parcel in stand.parcels:
        assert b"\n" not in parcel.raw.replace(b"\r\n", b"")
        assert b"\r" not in parcel.raw.replace(b"\r\n", b"")


headers = st.sampled_from(
    [
        b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n", b"PROXY UNKNOWN\r\n", b"PROXY ",
        b"PROXY UDP4\r\n", b"\r\n\r\n\0\r\nQUIT\n", b"\x21\x11\x00\x0c" + bytes(12),
        b"\x20\x00\x00\x00", b"\x21\x21\x00\x24", b"\x21\x11\xff\xff", b"\r\n", b"\r", b"\n",
    ]
)  # fmt: skip


@unhurried
@given(st.lists(headers | st.binary(max_size=20), max_size=4), pieces)
def test_a_client_behind_a_balancer_stores_nothing_whatever_comes_first(
    caplog: pytest.LogCaptureFixture, header: list[bytes], said: list[bytes]
) -> None:
    async def attempt() -> tuple[bytes, Stand]:
        stand = Stand(proxies=("127.0.0.1/32",))
        async with stand.listening():
            answered = await flood(await stand.connect(), [*header, *said])
            async with asyncio.timeout(20):
                while stand.office.sessions or stand.office.admission._total:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            assert stand.office.held.held == 0
        return answered, stand

    answered, stand = asyncio.run(attempt())
    assert stand.stored == []
    assert is_quiet(caplog)
    assert well_formed(answered.split(b"220 2.0.0 ")[0])


@unhurried
@given(
    st.lists(st.sampled_from([b"\r\n.\r\n", b".", b"..", b"\r", b"\n", b"a", b"\r\n", b"\0"]) |
             st.binary(max_size=20), max_size=30),
    st.integers(0, 60),
)  # fmt: skip
def test_where_a_message_ends_depends_on_its_octets_only(chunks: list[bytes], limit: int) -> None:
    wire = b"".join(chunks)
    end = (b"\r\n" + wire).find(b"\r\n.\r\n")
    content, rest, fed = Content(limit, lambda _: True), None, 0
    for chunk in chunks:
        rest = content.feed(chunk)
        fed += len(chunk)
        if rest is not None:
            break
    assert (rest is None) == (end < 0)
    if rest is not None:
        assert rest == wire[end + 3 : fed]
        message = content.message()
        assert isinstance(message, Answer) or len(message) <= limit


@unhurried
@given(st.text(max_size=200) | st.just("\0"), st.text(max_size=50))
def test_no_response_to_auth_opens_what_it_should_not(password: str, name: str) -> None:
    async def attempt() -> str:
        async with Stand().listening() as stand:
            client = await stand.secure_client()
            try:
                return await client.say(f"AUTH PLAIN {plain(password, name)}")
            finally:
                client.hang_up()

    said = asyncio.run(attempt())
    assert said[:9] in ("535 5.7.8", "501 5.5.2")
