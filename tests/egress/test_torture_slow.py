"""Torture: clients that drip, one octet and then another, in every phase. Each is sent away when
its time is up however busy it looks, and nobody waits for it."""

import asyncio
import contextlib
from dataclasses import dataclass, replace

import pytest

from egress.core.smtp_limits import Limits
from tests.egress.submission_stand import CALM, MESSAGE, Client, Stand, until
from tests.support.submission_torture import (
    MAIL,
    OPEN,
    RCPT,
    Case,
    Start,
    customer,
    greeted,
    stand_for,
)

SHORT = 0.15  # seconds
IDLE = replace(CALM, idle_time=SHORT)
LOGIN = replace(CALM, login_time=SHORT)
CONTENT = replace(CALM, content_time=SHORT)
HANDSHAKE = replace(CALM, handshake_time=SHORT)
ABRUPT = ""  # no reply, the connection ends
IDLE_SAID = "421 4.4.2 "


@dataclass(frozen=True, slots=True)
class Drip:
    """`before` is sent at once and answered by `replies`; then `octet` again and again."""

    name: str
    limits: Limits
    start: Start
    before: bytes = b"NOOP\r\n"
    replies: int = 1
    octet: bytes = b"x"
    said: str = IDLE_SAID
    known: bool = False


DRIPS = (
    Drip("a-command", IDLE, Start.STRANGER),
    Drip("a-command-of-a-user", IDLE, Start.USER),
    Drip("a-command-of-a-user-in-a-transaction", IDLE, Start.USER, OPEN, 2),
    Drip("an-overlong-command", IDLE, Start.USER, b"NOOP\r\n" + b"x" * 20_000),
    Drip("commands-without-a-login", LOGIN, Start.STRANGER, b"", 0, b"NOOP\r\n"),
    Drip("commands-inside-tls-without-a-login", LOGIN, Start.IMPLICIT, b"", 0, b"RSET\r\n"),
    Drip("transactions-without-a-login", LOGIN, Start.STRANGER, b"", 0,
         b"EHLO a\r\n" + MAIL + RCPT),
    Drip("a-response-to-auth", IDLE, Start.SECURE, b"AUTH PLAIN\r\n", 1, b"A"),
    Drip("logins-called-off", LOGIN, Start.IMPLICIT, b"", 0, b"EHLO a\r\nAUTH PLAIN\r\n*\r\n"),
    Drip("a-message", CONTENT, Start.USER, OPEN + b"DATA\r\n", 3),
    Drip("lines-of-a-message", CONTENT, Start.USER, OPEN + b"DATA\r\n", 3, MESSAGE),
    Drip("a-message-from-a-known-address", CONTENT, Start.GREETED, OPEN + b"DATA\r\n", 3,
         known=True),
    Drip("the-end-of-a-message", CONTENT, Start.USER, OPEN + b"DATA\r\n", 3, b"\r\n.\r"),
    Drip("a-chunk", CONTENT, Start.USER, OPEN + b"BDAT 1000000 LAST\r\n", 2),
    Drip("chunk-after-chunk", CONTENT, Start.USER, OPEN, 2, b"BDAT 1\r\nx"),
    Drip("empty-chunks", CONTENT, Start.USER, OPEN, 2, b"BDAT 0\r\n"),
    Drip("commands-between-chunks", CONTENT, Start.USER, OPEN + b"BDAT 1\r\nx", 3, b"NOOP\r\n"),
    Drip("a-refused-chunk", CONTENT, Start.USER, b"BDAT 1000000\r\n", 0),
    Drip("a-handshake-behind-starttls", HANDSHAKE, Start.GREETED, b"STARTTLS\r\n", 1, b"\x16",
         ABRUPT),
)  # fmt: skip


async def dripped(client: Client, octet: bytes) -> list[str]:
    """Say `octet` until the server hangs up; return all it said, "" last."""
    said: list[str] = []

    async def listen() -> None:
        while not said or said[-1]:
            said.append(await client.reply())

    listening = asyncio.create_task(listen())
    async with asyncio.timeout(20):
        while not listening.done():
            with contextlib.suppress(ConnectionError):
                client.send(octet)
            await asyncio.wait([listening], timeout=SHORT / 20)
    await listening
    return said


STARTS = {
    Start.STRANGER: Stand.client,
    Start.GREETED: greeted,
    Start.IMPLICIT: Stand.tls_client,
    Start.SECURE: Stand.secure_client,
    Start.USER: Stand.user,
}


@pytest.mark.parametrize("drip", DRIPS, ids=lambda drip: drip.name)
async def test_who_drips_is_sent_away_and_nobody_else(drip: Drip) -> None:
    stand = stand_for(Case(drip.name, b"", known=drip.known))
    async with stand.listening():
        bystander = await customer(stand)
        if drip.limits is LOGIN:  # whose time runs from the connection on
            stand.office.limits = LOGIN
        client = await STARTS[drip.start](stand)
        stand.office.limits = drip.limits
        client.send(drip.before)
        before = await client.replies(drip.replies)
        assert all(each[:1] in "23" for each in before)
        said = await dripped(client, drip.octet)
        stand.office.limits = CALM
        assert said[-1] == ""
        if drip.said:
            assert said[-2].startswith(drip.said), said[-2]
        assert stand.stored == []
        assert (await bystander.deliver()).startswith("250 ")
        await until(lambda: len(stand.office.sessions) == 1)
        assert stand.office.held.held == 0


@pytest.mark.parametrize("octet", [b"\x16", b"E", b"\x16\x03\x01\xff\xff"])
async def test_who_drips_where_tls_comes_first_is_sent_away(octet: bytes) -> None:
    async with Stand(HANDSHAKE).listening() as stand:
        client = await Client.connect(stand.server.tls_ports[0])
        stand.clients.append(client)
        await dripped(client, octet)
        await until(lambda: stand.office.admission._total == 0)
        stand.office.limits = CALM
        assert await stand.tls_client()


@pytest.mark.parametrize("octet", [b"P", b"\r", b"\0"])
async def test_who_drips_a_proxy_header_is_sent_away(octet: bytes) -> None:
    limits = replace(CALM, proxy_time=SHORT)
    async with Stand(limits, proxies=("127.0.0.1/32",)).listening() as stand:
        client = await stand.connect()
        client.send(b"PROXY UNKNOWN ")
        assert (await dripped(client, octet))[-1] == ""
        assert (await (await customer(stand)).deliver()).startswith("250 ")


async def test_a_crowd_that_drips_delays_no_message() -> None:
    async with Stand(replace(CALM, connections_per_client=300)).listening() as stand:
        crowd = [await stand.client() for _ in range(200)]
        user = await customer(stand)
        for _ in range(20):
            for client in crowd:
                client.send(b"x")
            assert (await user.deliver()).startswith("250 ")
        assert len(stand.stored) == 20
