"""Each method of aiosmtpd that ours overrides, against the library's own on the same input.

docs/smtp.md lists the methods and where the two are meant to differ.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from egress.submission.session import SubmissionSession
from mailroom.domain.message import Credential
from tests.egress.submission_stand import CALM, MESSAGE, SERVER, Client, Stand, until

OVERRIDDEN = {
    "__init__", "_handle_client", "_reset_timeout", "_timeout_cb", "connection_lost",
    "eof_received",
}  # fmt: skip


class Keeper:
    """What the library hands on."""

    def __init__(self) -> None:
        self.messages: list[tuple[str | None, list[str], bytes]] = []
        self.servers: list[SMTP] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.messages.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 ok"


@asynccontextmanager
async def stock(keeper: Keeper, seconds: float) -> AsyncIterator[int]:
    """The library's own server; yields its port."""
    loop = asyncio.get_running_loop()

    def serve() -> SMTP:
        keeper.servers.append(SMTP(keeper, hostname="lib.test", timeout=seconds, loop=loop))
        return keeper.servers[-1]

    server = await loop.create_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def both(limits: object = CALM) -> AsyncIterator[tuple[Client, Client, Keeper, Stand]]:
    """A client of each server, greeted; ours lets it send because of its address."""
    stand, keeper = Stand(limits), Keeper()  # type: ignore[arg-type]
    stand.directory.add_network(Credential("c7", SERVER.id, "smtp-ip", "here"), "127.0.0.1")
    async with stand.listening(), stock(keeper, stand.limits.idle_time) as port:
        theirs = await Client.connect(port)
        await theirs.reply()
        yield await stand.client(), theirs, keeper, stand
        theirs.hang_up()
        await asyncio.sleep(0)


def test_the_list_of_overridden_methods_is_complete() -> None:
    ours = {name for name, value in vars(SubmissionSession).items() if callable(value)}
    assert ours & set(dir(SMTP)) - set(dir(object)) | {"__init__"} == OVERRIDDEN


WALK = [
    b"HELO\r\n",
    b"EHLO app.test\r\n",
    b"NOOP\r\n",
    b"noop\r\n",
    b"RSET\r\n",
    b"VRFY ann\r\n",
    b"MAIL\r\n",
    b"MAIL FROM:<shop@acme.test> BODY=8BITMIME\r\n",
    b"MAIL FROM:<shop@acme.test>\r\n",
    b"RCPT TO:<ann@example.org>\r\n",
    b"RCPT\r\n",
    b"DATA now\r\n",
    b"RSET\r\n",
    b"RCPT TO:<ann@example.org>\r\n",
    b"DATA\r\n",
    b"EXPN list\r\n",
    b"QUIT now\r\n",
    b"QUIT\r\n",
]


async def test_handle_client_answers_commands_with_the_librarys_codes() -> None:
    async with both() as (ours, theirs, _, _):
        for line in WALK:
            said = []
            for client in (ours, theirs):
                client.send(line)
                said.append((await client.reply())[:3])
            assert said[0] == said[1], line
        assert await ours.is_hung_up_on()
        assert await theirs.is_hung_up_on()


ENVELOPES = [
    (b"<shop@acme.test>", b"<ann@example.org>"),
    (b"<>", b"<Ann.B+tag@example.org>"),
    (b'<"a b"@acme.test>', b'<"c>d"@example.org>'),
    (b"<@relay.test:shop@acme.test> SIZE=100", b"<@one.test,@two.test:ann@example.org>"),
    (b"shop@acme.test", b"ann@example.org"),
]


async def test_handle_client_reads_envelope_and_message_as_the_library_does() -> None:
    content = b"From: shop@acme.test\r\n\r\n..stuffed\r\n..\r\n8-bit \xe4\r\n" + b"x\r\n" * 30_000
    async with both() as (ours, theirs, keeper, stand):
        for client in (ours, theirs):
            await client.say("EHLO app.test")
            for sender, recipient in ENVELOPES:
                client.send(b"MAIL FROM:" + sender + b"\r\n")
                client.send(b"RCPT TO:" + recipient + b"\r\n")
                client.send(b"DATA\r\n")
                codes = [each[:3] for each in await client.replies(3)]
                assert codes == ["250", "250", "354"]
                for start in range(0, len(content), 40_001):
                    client.send(content[start : start + 40_001])
                client.send(b".\r\n")
                assert (await client.reply()).startswith("250")
        for parcel, (sender_, recipients, body) in zip(stand.parcels, keeper.messages, strict=True):
            assert parcel.mail_from == (sender_ or "").replace("<>", "")
            assert [str(each) for each in parcel.recipients] == recipients
            assert parcel.raw.partition(b"\r\nFrom: ")[2] == body[len(b"From: ") :]


async def test_handle_client_answers_pipelined_commands_in_the_same_order() -> None:
    async with both() as (ours, theirs, keeper, stand):
        wire = b"EHLO a.test\r\nMAIL FROM:<shop@acme.test>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n"
        wire += MESSAGE + b".\r\nNOOP\r\nMAIL FROM:<shop@acme.test>\r\nQUIT\r\n"
        said = []
        for client in (ours, theirs):
            client.send(wire)
            said.append([each[:3] for each in await client.replies(8)])
        assert said[0] == said[1]
        assert (len(stand.stored), len(keeper.messages)) == (1, 1)


async def test_timeout_ends_a_silent_session_in_both() -> None:
    async with both(replace(CALM, idle_time=0.2)) as (ours, theirs, _, stand):
        assert (await ours.reply()).startswith("421 4.4.2 ")  # the library says nothing
        assert await ours.is_hung_up_on()
        assert await theirs.is_hung_up_on()
        await until(lambda: not stand.office.sessions)


async def test_reset_timeout_gives_a_busy_session_its_time_again_in_both() -> None:
    async with both() as (ours, theirs, keeper, stand):
        (session,) = cast("set[SubmissionSession]", stand.office.sessions)
        for client, server in ((ours, session), (theirs, keeper.servers[0])):
            await client.say("EHLO a.test")
            await client.say("MAIL FROM:<>")  # let in: no deadline for the login any more
            before = server._timeout_handle.when()
            assert (await client.say("NOOP")).startswith("250")
            assert server._timeout_handle.when() > before


@pytest.mark.parametrize("cut", [b"", b"NOO", b"EHLO a.test\r\nMAIL FROM:<shop@acme.test>\r\nRC"])
async def test_eof_and_a_lost_connection_end_a_session_in_both(cut: bytes) -> None:
    async with both() as (ours, theirs, keeper, stand):
        for client in (ours, theirs):
            client.send(cut)
            client.writer.write_eof()
            async with asyncio.timeout(20):
                await client.reader.read()
        await until(lambda: not stand.office.sessions)
        assert (stand.stored, keeper.messages) == ([], [])


async def test_a_lost_connection_within_a_message_stores_nothing_in_both() -> None:
    async with both() as (ours, theirs, keeper, stand):
        for client in (ours, theirs):
            await client.say("EHLO a.test")
            await client.begin()
            client.send(MESSAGE)
            client.hang_up()
        await until(lambda: not stand.office.sessions)
        assert (stand.stored, keeper.messages) == ([], [])
