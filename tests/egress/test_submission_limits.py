"""What a client may use up, how long it may take, and how the server stops."""

import asyncio
import contextlib
import socket
from dataclasses import replace
from typing import cast

import pytest

from egress.submission.limits import Admission
from egress.submission.server import SubmissionServer
from egress.submission.session import SubmissionSession
from tests.egress.submission_stand import (
    CALM,
    MESSAGE,
    SECRET,
    Client,
    Stand,
    Walk,
    on_uvloop,
    plain,
    until,
    walks,
)


async def test_memory_for_incoming_mail_is_shared_and_bounded() -> None:
    async with Stand(replace(CALM, held_octets=100_000)).listening() as stand:
        greedy, user = await stand.user(), await stand.user()
        await greedy.begin()
        greedy.send(b"x" * 70_000)
        await until(lambda: stand.office.held.held >= 70_000)
        big = MESSAGE + b"0123456789abcd\r\n" * 3000
        assert (await user.deliver(big)).startswith("452 4.3.1 ")
        greedy.hang_up()
        await until(lambda: stand.office.held.held == 0)
        assert (await user.deliver(big)).startswith("250 ")


async def test_the_recipient_too_many_is_left_for_later() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        user.send(b"MAIL FROM:<shop@acme.test>\r\n")
        user.send(b"".join(b"RCPT TO:<u%d@example.org>\r\n" % n for n in range(151)))
        said = await user.replies(152)
        assert {each[:9] for each in said[1:151]} == {"250 2.1.5"}
        assert said[151].startswith("452 4.5.3 ")
        await user.say("DATA")
        user.send(MESSAGE + b".\r\n")
        assert (await user.reply()).startswith("250 ")
        assert stand.stored[0].recipients == 150


@pytest.mark.parametrize("length", [513, 12_289, 20_000, 200_000])
async def test_an_overlong_line_is_one_error(length: int) -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        user.send(b"NOOP " + b"x" * (length - 7) + b"\r\nNOOP\r\n")
        assert [each[:9] for each in await user.replies(2)] == ["500 5.5.2", "250 2.0.0"]


async def test_a_line_without_end_ends_the_session() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        user.send(b"x" * 3_000_000)
        await until(lambda: not stand.office.sessions)


async def test_too_many_errors_end_the_session() -> None:
    async with Stand().listening() as stand:
        client = await stand.client()
        said = [(await client.say("BOGUS"))[:9] for _ in range(11)]
        assert said == ["502 5.5.1"] * 10 + ["421 4.7.0"]
        assert await client.is_hung_up_on()


@pytest.mark.parametrize(
    "limits",
    [
        replace(CALM, idle_time=0.05),
        replace(CALM, login_time=0.05),
    ],
)
async def test_a_client_that_says_nothing_is_told_so(limits: object) -> None:
    async with Stand(limits).listening() as stand:  # type: ignore[arg-type]
        client = await stand.connect()
        said = [await client.reply(), await client.reply()]
        assert said[1].startswith("421 4.4.2 ")
        assert await client.is_hung_up_on()


async def test_who_is_logged_in_may_stay() -> None:
    async with Stand().listening() as stand:
        client = await stand.secure_client()
        (session,) = cast("set[SubmissionSession]", stand.office.sessions)
        assert session._login_deadline is not None
        await client.say(f"AUTH PLAIN {plain(SECRET)}")
        assert session._login_deadline is None
        await client.deliver()
        assert session._login_deadline is None


async def test_a_dripping_message_has_a_deadline() -> None:
    async with Stand(replace(CALM, content_time=0.05)).listening() as stand:
        user = await stand.user()
        await user.begin()
        user.send(b"From: ")
        assert (await user.reply()).startswith("421 4.4.2 ")
        assert stand.stored == []


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    async with Stand(replace(CALM, idle_time=0.3, commands=10**9)).listening() as stand:
        loop = asyncio.get_running_loop()
        with socket.socket() as deaf:
            deaf.setblocking(False)
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(deaf, ("127.0.0.1", stand.server.ports[0]))
            async with asyncio.timeout(20):
                with contextlib.suppress(ConnectionError):
                    while True:
                        await loop.sock_sendall(deaf, b"NOOP\r\n" * 10_000)
        await until(lambda: not stand.office.sessions)


async def test_connections_are_limited_by_client_and_free_again() -> None:
    async with Stand(replace(CALM, connections_per_client=2)).listening() as stand:
        first, _ = await stand.client(), await stand.client()
        third = await stand.connect()
        assert (await third.reply()).startswith("421 4.7.0 ")
        assert await third.is_hung_up_on()
        await first.say("QUIT")
        await until(lambda: len(stand.office.sessions) == 1)
        assert await stand.client()


def test_a_client_is_an_ipv4_address_or_an_ipv6_network() -> None:
    admission = Admission(replace(CALM, connections=4, connections_per_client=1))
    entered = [
        admission.enter(address)
        for address in (
            "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1",
            "fe80::1%eth0", "192.0.2.9",
        )
    ]  # fmt: skip
    assert entered == [True, False, True, False, True, True, False]
    admission.leave("2001:db8::2")
    assert admission.enter("192.0.2.9")


async def test_a_half_closed_client_still_gets_its_replies() -> None:
    async with Stand().listening() as stand:
        client = await stand.client()
        client.send(b"NOOP\r\n" * 15_000 + b"QUIT\r\n")  # more than is read at once
        client.writer.write_eof()
        said = await client.replies(15_001)
        assert (said[0][:4], said[14_999][:4], said[15_000][:4]) == ("250 ", "250 ", "221 ")


async def test_a_stop_lets_messages_finish_and_sends_the_others_away() -> None:
    async with Stand().listening() as stand:
        idle, user = await stand.user(), await stand.user()
        (port,) = stand.server.ports
        await user.begin()
        stopping = asyncio.create_task(stand.server.stop(grace=20))
        assert (await idle.reply()).startswith("421 4.3.2 ")
        assert await idle.is_hung_up_on()
        with pytest.raises(ConnectionError):
            await Client.connect(port)
        user.send(MESSAGE + b".\r\n")
        assert [each[:9] for each in await user.replies(2)] == ["250 2.0.0", "421 4.3.2"]
        await stopping
        assert len(stand.stored) == 1


async def test_a_stop_does_not_wait_longer_than_its_grace() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        await user.begin()
        await stand.server.stop(grace=0.05)
        assert (await user.reply()).startswith("421 4.3.2 ")
        assert stand.stored == []


async def test_a_taken_port_leaves_nothing_listening() -> None:
    async with Stand().listening() as stand, Stand().listening() as other:
        taken = stand.server.ports[0]
        second = SubmissionServer(other.office)
        with pytest.raises(OSError, match="in use"):
            await second.start(["127.0.0.1"], [0, taken])
        assert second.ports == []


async def test_an_overlong_line_may_come_in_pieces() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        (session,) = cast("set[SubmissionSession]", stand.office.sessions)
        user.send(b"NOOP " + b"x" * 9_000)
        await until(lambda: len(session._wire._pending) > 9_000)
        user.send(b"x" * 9_000)
        await until(lambda: not session._wire._pending)
        user.send(b"\r\nNOOP\r\n")
        assert [each[:9] for each in await user.replies(2)] == ["500 5.5.2", "250 2.0.0"]


WALKS = walks(globals())


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.__name__)
def test_all_of_it_holds_on_uvloop_too(walk: Walk) -> None:
    on_uvloop(walk)
