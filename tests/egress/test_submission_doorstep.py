"""Before a session: TLS from the first octet, and who a balancer says has connected."""

import asyncio
import contextlib
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from egress.submission.host import tls_context
from egress.submission.server import SubmissionServer
from localstack.certificates import issue
from mailroom.domain.message import Credential
from tests.egress.submission_stand import (
    CALM,
    MESSAGE,
    SECRET,
    SERVER,
    Client,
    Stand,
    Walk,
    on_uvloop,
    plain,
    until,
    walks,
)

LINE = b"PROXY TCP4 192.0.2.77 127.0.0.1 40000 587\r\n"
BINARY = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes([192, 0, 2, 78, 127, 0, 0, 1, 1, 1, 2, 2])
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"


def behind_a_balancer() -> Stand:
    return Stand(proxies=("127.0.0.0/8",))


async def test_tls_may_come_first() -> None:
    async with Stand().listening() as stand:
        client = await stand.tls_client()
        greeting = await client.say("EHLO app.test")
        assert "AUTH PLAIN LOGIN" in greeting
        assert "STARTTLS" not in greeting
        assert (await client.say("STARTTLS")).startswith("503 5.5.1 ")
        assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("235 ")
        assert (await client.deliver()).startswith("250 ")
        assert stand.stored[0].received_with_ssl
        assert (await client.say("QUIT")).startswith("221 ")
        assert await client.is_hung_up_on()
        await until(lambda: stand.office.admission._total == 0)


async def test_plain_text_where_tls_comes_first_is_let_go() -> None:
    async with Stand().listening() as stand:
        client = await Client.connect(stand.server.tls_ports[0])
        client.send(b"EHLO app.test\r\n" * 20)
        with contextlib.suppress(ConnectionError):
            assert b"220" not in await client.reader.read()
        client.hang_up()
        await until(lambda: stand.office.admission._total == 0)
        assert (await stand.tls_client()) is not None


async def test_a_handshake_that_never_ends_is_ended() -> None:
    async with Stand(replace(CALM, handshake_time=0.2)).listening() as stand:
        client = await Client.connect(stand.server.tls_ports[0])
        await until(lambda: stand.office.admission._total == 1)
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                await client.reader.read()
        client.hang_up()
        await until(lambda: stand.office.admission._total == 0)


async def test_connections_are_limited_where_tls_comes_first() -> None:
    async with Stand(replace(CALM, connections_per_client=1)).listening() as stand:
        first = await stand.tls_client()
        with pytest.raises((ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)):
            await stand.tls_client()
        await first.say("QUIT")
        await until(lambda: stand.office.admission._total == 0)
        assert await stand.tls_client()


async def test_a_stop_ends_handshakes_and_lets_sessions_finish() -> None:
    async with Stand().listening() as stand:
        idle, waiting = await stand.tls_client(), await Client.connect(stand.server.tls_ports[0])
        await until(lambda: stand.office.admission._total == 2)
        await stand.server.stop(grace=20)
        assert (await idle.reply()).startswith("421 4.3.2 ")
        assert await idle.is_hung_up_on()
        assert await waiting.is_hung_up_on()
        waiting.hang_up()


async def test_a_new_certificate_is_for_new_connections(tmp_path: Path) -> None:
    async with Stand().listening() as stand:
        old = await stand.tls_client()
        before = old.writer.get_extra_info("ssl_object").getpeercert(True)
        stand.server.use_certificate(tls_context(*issue(tmp_path, "new.test", ["new.test"])))
        new = await stand.tls_client()
        assert new.writer.get_extra_info("ssl_object").getpeercert(True) != before
        assert (await old.say("NOOP")).startswith("250 ")


@pytest.mark.parametrize(
    ("header", "address"), [(LINE, "192.0.2.77"), (BINARY, "192.0.2.78"), (LOCAL, "127.0.0.1")]
)
@pytest.mark.parametrize("implicit", [False, True])
async def test_a_balancer_says_who_connected(
    header: bytes, address: str, implicit: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "egress.submission")
    stand = behind_a_balancer()
    stand.directory.add_network(Credential("c7", SERVER.id, "smtp-ip", "office"), address)
    async with stand.listening():
        ports = stand.server.tls_ports if implicit else stand.server.ports
        client = await Client.connect(ports[0])
        stand.clients.append(client)
        client.send(header)
        if implicit:
            await client.handshake()
        assert (await client.reply()).startswith("220 ")
        await client.say("EHLO app.test")
        assert (await client.deliver()).startswith("250 ")
        assert f"([{address}])".encode() in stand.raw()
        await client.say("QUIT")
        await until(lambda: stand.office.admission._total == 0)
    (line,) = [vars(each) for each in caplog.records if each.message == "session"]
    assert line["client"] == address


async def test_a_header_and_what_follows_may_come_together_or_in_pieces() -> None:
    async with behind_a_balancer().listening() as stand:
        for header in (LINE, BINARY):
            client = await stand.connect()
            client.send(header + b"EHLO app.test\r\n")
            assert [each[:3] for each in await client.replies(2)] == ["220", "250"]
            client = await stand.connect()
            for octet in header:
                client.send(bytes([octet]))
                await asyncio.sleep(0)
            assert (await client.reply()).startswith("220 ")


async def test_starttls_and_mail_work_behind_a_balancer() -> None:
    async with behind_a_balancer().listening() as stand:
        client = await stand.connect()
        client.send(LINE + b"EHLO app.test\r\nSTARTTLS\r\nNOOP\r\n")
        assert [each[:3] for each in await client.replies(3)] == ["220", "250", "220"]
        await client.handshake()
        await client.say("EHLO app.test")
        assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("235 ")
        assert (await client.deliver(MESSAGE)).startswith("250 ")


@pytest.mark.parametrize(
    "wrong", [b"EHLO app.test\r\n", b"PROXY TCP4 nobody\r\n", BINARY[:12] + b"\x31" + BINARY[13:]]
)
async def test_a_malformed_header_is_told_so_and_let_go(wrong: bytes) -> None:
    async with behind_a_balancer().listening() as stand:
        client = await stand.connect()
        client.send(wrong)
        assert (await client.reply()).startswith("502 5.5.2 ")
        assert await client.is_hung_up_on()
        assert stand.office.admission._total == 0


async def test_a_header_that_does_not_come_is_waited_for_in_vain() -> None:
    async with Stand(replace(CALM, proxy_time=0.1), proxies=("127.0.0.1/32",)).listening() as stand:
        client = await stand.connect()
        client.send(b"PROXY ")
        assert await client.is_hung_up_on()
        ended = await stand.connect()
        ended.writer.write_eof()
        assert await ended.is_hung_up_on()


async def test_nobody_else_may_say_who_connected() -> None:
    async with Stand(proxies=("192.0.2.0/24",)).listening() as stand:
        client = await stand.client()
        client.send(LINE)
        assert (await client.reply()).startswith("502 5.5.1 ")


async def test_clients_behind_a_balancer_are_limited_one_by_one() -> None:
    stand = behind_a_balancer()
    stand.limits = replace(CALM, connections_per_client=1)
    async with stand.listening():
        first = await stand.connect()
        first.send(LINE)
        assert (await first.reply()).startswith("220 ")
        second, other = await stand.connect(), await stand.connect()
        second.send(LINE)
        assert (await second.reply()).startswith("421 4.7.0 ")
        other.send(BINARY)
        assert (await other.reply()).startswith("220 ")


async def test_a_taken_tls_port_leaves_nothing_listening() -> None:
    async with Stand().listening() as stand, Stand().listening() as other:
        second = SubmissionServer(other.office)
        with pytest.raises(OSError, match="in use"):
            await second.start(["127.0.0.1"], [0], [0, stand.server.tls_ports[0]])
        assert second.ports == second.tls_ports == []


WALKS = walks(globals())


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.__name__)
def test_all_of_it_holds_on_uvloop_too(walk: Walk) -> None:
    on_uvloop(walk)
