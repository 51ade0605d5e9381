"""BDAT (RFC 3030): whole messages out of chunks, and what lies about chunks leads to."""

import asyncio
import tracemalloc
from dataclasses import replace

import pytest

from egress.core.smtp_answer import BARE_NEWLINE, NO_MEMORY, NUL_OCTET, TOO_LARGE, Answer
from egress.core.smtp_content import ChunkedContent
from egress.submission.limits import HeldOctets
from tests.egress.submission_stand import (
    CALM,
    MESSAGE,
    SERVER,
    Client,
    Stand,
    Walk,
    on_uvloop,
    until,
    walks,
)

BEGIN = b"MAIL FROM:<shop@acme.test>\r\nRCPT TO:<ann@example.org>\r\n"


def bdat(content: bytes, *, last: bool = False) -> bytes:
    return b"BDAT %d%s\r\n" % (len(content), b" LAST" if last else b"") + content


async def opened(stand: Stand) -> Client:
    user = await stand.user()
    user.send(BEGIN)
    assert [each[:3] for each in await user.replies(2)] == ["250", "250"]
    return user


async def test_a_message_may_come_in_one_chunk_or_in_many() -> None:
    async with Stand().listening() as stand:
        user = await opened(stand)
        user.send(bdat(MESSAGE, last=True))
        assert (await user.reply()).startswith("250 2.0.0 Ok: queued as ")
        user.send(BEGIN)
        for octet in MESSAGE:
            user.send(bdat(bytes([octet])))
        user.send(b"BDAT 0 LAST\r\n")
        said = await user.replies(len(MESSAGE) + 3)
        assert {each[:9] for each in said} == {"250 2.1.0", "250 2.1.5", "250 2.0.0"}
        assert said[2] == "250 2.0.0 1 octets received"
        assert [each.raw.partition(b"\r\nFrom: ")[2] for each in stand.parcels] == [MESSAGE[6:]] * 2
        assert stand.office.held.held == 0


async def test_a_pipelined_transaction_in_chunks_is_answered_in_order() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        whole = BEGIN + bdat(MESSAGE[:9]) + bdat(MESSAGE[9:], last=True)
        user.send(whole + b"NOOP\r\n" + whole + b"QUIT\r\n")
        codes = [each[:3] for each in await user.replies(10)]
        assert codes == ["250"] * 9 + ["221"]
        assert len(stand.stored) == 2


async def test_dots_and_commands_in_a_chunk_are_content() -> None:
    content = MESSAGE + b"..\r\n.\r\nRSET\r\n.hidden\r\n"
    async with Stand().listening() as stand:
        user = await opened(stand)
        user.send(bdat(content, last=True))
        assert (await user.reply()).startswith("250 ")
        assert stand.raw().endswith(content)


async def test_a_last_line_without_end_is_ended() -> None:
    async with Stand().listening() as stand:
        user = await opened(stand)
        user.send(bdat(MESSAGE + b"no end", last=True))
        assert (await user.reply()).startswith("250 ")
        assert stand.raw().endswith(b"no end\r\n")


@pytest.mark.parametrize("bad", [b"a\nb", b"a\rb", b"nul\0"])
async def test_chunks_are_no_way_around_the_rules_for_content(bad: bytes) -> None:
    async with Stand().listening() as stand:
        user = await opened(stand)
        user.send(bdat(MESSAGE) + bdat(bad + b"\r\n", last=True))
        assert [each[:9] for each in await user.replies(2)] == ["250 2.0.0", "554 5.6.0"]
        assert stand.stored == []


async def test_a_line_end_may_be_cut_between_chunks() -> None:
    async with Stand().listening() as stand:
        user = await opened(stand)
        user.send(bdat(MESSAGE[:-1]) + bdat(MESSAGE[-1:], last=True))
        assert (await user.replies(2))[1].startswith("250 ")


async def test_data_and_chunks_do_not_mix() -> None:
    async with Stand().listening() as stand:
        user = await opened(stand)
        user.send(bdat(MESSAGE[:9]) + b"DATA\r\nRCPT TO:<bob@example.org>\r\n")
        said = [each[:9] for each in await user.replies(3)]
        assert said == ["250 2.0.0", "503 5.5.1", "503 5.5.1"]
        user.send(bdat(MESSAGE[9:], last=True))
        assert (await user.reply()).startswith("250 ")
        assert stand.stored[0].recipients == 1


async def test_chunks_without_recipients_are_read_past_and_store_nothing() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        user.send(b"MAIL FROM:<shop@acme.test>\r\nRCPT TO:<nobody>\r\n")
        user.send(bdat(b"RSET\r\n" * 10_000) + bdat(MESSAGE, last=True) + b"NOOP\r\n")
        said = [each[:9] for each in await user.replies(5)]
        assert said == ["250 2.1.0", "501 5.1.3", "503 5.5.1", "503 5.5.1", "250 2.0.0"]
        assert stand.stored == []


async def test_a_strangers_chunks_are_read_past() -> None:
    async with Stand().listening() as stand:
        client = await stand.client()
        client.send(bdat(BEGIN + b"DATA\r\n", last=True) + b"NOOP\r\n")
        assert [each[:9] for each in await client.replies(2)] == ["530 5.7.0", "250 2.0.0"]


@pytest.mark.parametrize("ends", [b"RSET\r\n", b"EHLO app.test\r\n"])
async def test_a_message_begun_in_chunks_can_be_given_up(ends: bytes) -> None:
    async with Stand().listening() as stand:
        user = await opened(stand)
        user.send(bdat(MESSAGE) + ends)
        assert [each[:3] for each in await user.replies(2)] == ["250", "250"]
        await until(lambda: stand.office.held.held == 0)
        user.send(BEGIN + bdat(MESSAGE, last=True))
        assert [each[:3] for each in await user.replies(3)] == ["250"] * 3
        assert stand.raw().count(b"From: ") == 1


async def test_a_message_over_the_limit_is_refused_and_the_session_in_step() -> None:
    async with Stand(replace(CALM, message_size=1000)).listening() as stand:
        user = await opened(stand)
        user.send(bdat(MESSAGE) + bdat(b"x" * 100_000) + bdat(b"y", last=True) + b"NOOP\r\n")
        said = [each[:9] for each in await user.replies(4)]
        assert said == ["250 2.0.0", "552 5.3.4", "503 5.5.1", "250 2.0.0"]
        assert stand.office.held.held == 0
        user.send(BEGIN + bdat(MESSAGE, last=True))
        assert [each[:3] for each in await user.replies(3)] == ["250"] * 3


async def test_a_huge_announcement_takes_no_memory() -> None:
    async with Stand().listening() as stand:
        user = await opened(stand)
        tracemalloc.start()
        user.send(b"BDAT 200000000 LAST\r\nonly this")
        await until(lambda: stand.office.held.held == len("only this"))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()
        user.hang_up()
        await until(lambda: stand.office.held.held == 0)
        assert stand.stored == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"BDAT\r\n", "501 5.5.4"),
        (b"BDAT some LAST\r\n", "501 5.5.4"),
        (b"BDAT 5 FIRST\r\n", "501 5.5.4"),
        (b"BDAT 999999999999 LAST\r\n", "552 5.3.4"),
        (b"BDAT " + b"9" * 300 + b"\r\n", "501 5.5.4"),
    ],
)
async def test_what_follows_a_chunk_of_no_size_is_not_run(line: bytes, said: str) -> None:
    async with Stand().listening() as stand:
        user = await opened(stand)
        user.send(line + b"DATA\r\n" + MESSAGE + b".\r\n")
        assert (await user.reply()).startswith(said)
        assert await user.is_hung_up_on()
        assert stand.stored == []


async def test_a_client_that_keeps_chunks_waiting_has_a_deadline() -> None:
    async with Stand(replace(CALM, content_time=0.3)).listening() as stand:
        user = await opened(stand)
        user.send(bdat(MESSAGE))
        assert (await user.reply()).startswith("250 ")
        assert (await user.reply()).startswith("421 4.4.2 ")
        await until(lambda: stand.office.held.held == 0)


async def test_memory_for_chunks_is_shared_and_bounded() -> None:
    async with Stand(replace(CALM, held_octets=1000)).listening() as stand:
        greedy, user = await opened(stand), await opened(stand)
        greedy.send(bdat(b"x" * 950))
        assert (await greedy.reply()).startswith("250 ")
        user.send(bdat(MESSAGE, last=True))
        assert (await user.reply()).startswith("452 4.3.1 ")
        greedy.hang_up()
        await until(lambda: stand.office.held.held == 0)


async def test_a_stop_lets_a_message_in_chunks_finish() -> None:
    async with Stand().listening() as stand:
        user = await opened(stand)
        user.send(bdat(MESSAGE))
        assert (await user.reply()).startswith("250 ")
        stopping = asyncio.create_task(stand.server.stop(grace=20))
        await until(lambda: stand.office.closing)
        for chunk in (b"BDAT 0\r\n", b"BDAT 0\r\n", b"BDAT 0 LAST\r\n"):
            user.send(chunk)
            assert (await user.reply()).startswith("250 2.0.0 ")
        assert (await user.reply()).startswith("421 4.3.2 ")
        await stopping
        assert len(stand.stored) == 1


async def test_a_suspended_servers_chunks_are_read_past() -> None:
    async with Stand().listening() as stand:
        stand.directory.add_server(replace(SERVER, suspended="unpaid"))
        user = await stand.user()
        user.send(BEGIN + bdat(MESSAGE, last=True))
        said = [each[:9] for each in await user.replies(3)]
        assert said == ["250 2.1.0", "535 5.7.0", "503 5.5.1"]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"a\r", b"\nb\r\n"], b"a\r\nb\r\n"),
        ([], b""),
        ([b"a\n"], BARE_NEWLINE),
        ([b"a\0\r\n"], NUL_OCTET),
        ([b"x" * 60, b"x" * 60], TOO_LARGE),
    ],
)
def test_chunks_make_a_message_or_its_refusal(
    chunks: list[bytes], expected: bytes | Answer
) -> None:
    content = ChunkedContent(100, HeldOctets(10**6).reserve)
    for chunk in chunks:
        content.feed(chunk)
    assert content.message() == expected


def test_chunks_give_back_what_they_took() -> None:
    held = HeldOctets(50)
    content = ChunkedContent(100, held.reserve)
    content.feed(b"x" * 40)
    content.feed(b"x" * 40)
    assert content.refusal == content.message() == NO_MEMORY
    assert content.held == held.held == 40


WALKS = walks(globals())


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.__name__)
def test_all_of_it_holds_on_uvloop_too(walk: Walk) -> None:
    on_uvloop(walk)
