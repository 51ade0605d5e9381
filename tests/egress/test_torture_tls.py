"""Torture: TLS where there is none, none where there is, garbage, injection, renegotiation."""

import asyncio
import contextlib
import os
import random
import shutil
import ssl
from pathlib import Path

import pytest

from egress.submission.host import tls_context
from localstack.certificates import issue
from tests.egress.submission_stand import MESSAGE, SECRET, Client, Stand, plain, until
from tests.support.submission_torture import (
    OPEN,
    WHOLE,
    Case,
    Start,
    cases,
    customer,
    greeted,
    run,
    stand_for,
)

NOISE = random.Random(7).randbytes(60_000)
OLD_HELLO = bytes.fromhex("80250100020010000000100700c003008001000000") + bytes(40)  # SSL 2.0
TLS10_HELLO = (
    bytes.fromhex("16030100310100002d0301") + bytes(32) + bytes.fromhex("000006c013002f000a010000")
)
ALERT = bytes.fromhex("15030300020100")
GARBAGE = {
    "text": b"EHLO a\r\n" * 20,
    "a-message": WHOLE,
    "http": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "noise": NOISE,
    "nuls": bytes(60_000),
    "ssl-2": OLD_HELLO,
    "tls-1.0": TLS10_HELLO,
    "an-alert": ALERT,
    "application-octets": b"\x17\x03\x03\x00\x10" + NOISE[:16],
    "a-record-too-long": b"\x16\x03\x03\xff\xff" + NOISE,
    "an-empty-record": b"\x16\x03\x03\x00\x00" * 100,
    "a-hello-cut-short": b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\xfc",
    "a-hello-that-lies": b"\x16\x03\x01\x00\x08\x01\xff\xff\xff\x03\x03\0\0" + NOISE[:500],
}
CASES = (
    Case("hello-without-starttls", TLS10_HELLO + b"\r\n", "500 5.5.2, 500 5.5.2",
         Start.STRANGER),
    Case("starttls-twice-in-one-piece", b"STARTTLS\r\nSTARTTLS\r\n", "220 2.0.0", Start.GREETED,
         stays=False, ends=True),
    Case("starttls-of-a-message", b"STARTTLS\r\n" + WHOLE, "220 2.0.0", Start.GREETED, stays=False,
         ends=True, known=True),
    Case("starttls-in-small-letters", b"starttls \r\n", "220 2.0.0", Start.GREETED, stays=False,
         ends=True),
    Case("starttls-where-tls-came-first", b"EHLO a\r\nSTARTTLS\r\n", "250, 503 5.5.1",
         Start.IMPLICIT),
)  # fmt: skip


@cases(CASES)
async def test_any_order_of_tls_gets_the_right_codes(case: Case) -> None:
    await run(case)


async def answered(client: Client) -> bytes:
    """Everything the server still says before it hangs up."""
    said = b""
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while octets := await client.reader.read(65_536):
                said += octets
    return said


@pytest.mark.parametrize("octets", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_behind_starttls_ends_the_connection_only(octets: bytes) -> None:
    async with Stand().listening() as stand:
        bystander = await customer(stand)
        client = await greeted(stand)
        assert (await client.say("STARTTLS")).startswith("220 ")
        client.send(octets)
        client.writer.write_eof()
        assert b"\r\n250" not in await answered(client)
        await until(lambda: len(stand.office.sessions) == 1)
        assert (await bystander.deliver()).startswith("250 ")
        assert len(stand.stored) == 1


@pytest.mark.parametrize("octets", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_where_tls_comes_first_ends_the_connection_only(octets: bytes) -> None:
    async with Stand().listening() as stand:
        bystander = await customer(stand)
        client = await Client.connect(stand.server.tls_ports[0])
        stand.clients.append(client)
        client.send(octets)
        client.writer.write_eof()
        assert b"220" not in await answered(client)
        await until(lambda: stand.office.admission._total == 1)
        assert (await bystander.deliver()).startswith("250 ")
        assert await stand.tls_client()


@pytest.mark.parametrize("injected", [b"NOOP\r\n", WHOLE, b"EHLO evil\r\n" + OPEN, b"x" * 100_000])
async def test_what_is_sent_behind_starttls_is_not_run_inside(injected: bytes) -> None:
    async with stand_for(Case("injected", injected, known=True)).listening() as stand:
        client = await greeted(stand)
        client.send(b"STARTTLS\r\n" + injected[:30_000])
        assert (await client.reply()).startswith("220 ")
        await client.handshake()
        assert (await client.say("NOOP")) == "250 2.0.0 Ok"
        assert (await client.say("DATA"))[:9] in ("530 5.7.0", "503 5.5.1")
        assert stand.stored == []


async def test_what_was_begun_in_clear_is_gone_inside() -> None:
    async with stand_for(Case("begun", b"", known=True)).listening() as stand:
        client = await greeted(stand)
        client.send(OPEN + b"BDAT %d\r\n" % len(MESSAGE) + MESSAGE + b"STARTTLS\r\n")
        assert [each[:3] for each in await client.replies(4)] == ["250", "250", "250", "220"]
        await client.handshake()
        assert (await client.say("BDAT 0 LAST")).startswith("503 5.5.1 ")
        assert (await client.say("MAIL FROM:<>")).startswith("503 5.5.1 ")  # EHLO again
        assert stand.office.held.held == 0
        assert stand.stored == []


async def test_noise_inside_tls_records_ends_the_connection_only() -> None:
    """Octets that were not encrypted, in the middle of an encrypted message."""
    async with Stand().listening() as stand:
        bystander, client = await customer(stand), await stand.user()
        assert (await client.begin()).startswith("354 ")
        client.send(MESSAGE)
        raw = client.writer.get_extra_info("socket")
        await until(lambda: stand.office.held.held > 0)
        with contextlib.suppress(BlockingIOError):
            os.write(raw.fileno(), b"\x17\x03\x03\x00\x20" + NOISE[:32] + b"\r\n.\r\n")
        await until(lambda: len(stand.office.sessions) == 1)
        assert stand.office.held.held == 0
        assert (await bystander.deliver()).startswith("250 ")
        assert len(stand.stored) == 1


async def test_a_truncated_tls_connection_ends_no_message() -> None:
    async with Stand().listening() as stand:
        client = await stand.user()
        assert (await client.begin()).startswith("354 ")
        client.send(MESSAGE + b"\r\n.\r")
        await until(lambda: stand.office.held.held > 0)
        client.hang_up()
        await until(lambda: not stand.office.sessions)
        assert stand.office.held.held == 0
        assert stand.stored == []


def test_the_context_refuses_renegotiation_and_old_versions(tmp_path: Path) -> None:
    context = tls_context(*issue(tmp_path, "smtp.test", ["smtp.test"]))
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


async def renegotiated(port: int, *arguments: str) -> str:
    """Let OpenSSL's client ask for a renegotiation in TLS 1.2; return all it says."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs the openssl program")
    client = await asyncio.create_subprocess_exec(
        program, "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert client.stdin is not None
    assert client.stdout is not None
    said = b""
    try:
        async with asyncio.timeout(30):
            while b"\n250 " not in said and b"\n220 " not in said:
                said += await client.stdout.read(4096)
            client.stdin.write(b"R\n")
            said += await client.stdout.read()
            await client.wait()
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()
        client.stdin.close()
    return said.decode("latin-1")


@pytest.mark.parametrize("implicit", [True, False])
async def test_renegotiation_is_refused(implicit: bool, tmp_path: Path) -> None:
    async with Stand().listening() as stand:
        stand.server.use_certificate(tls_context(*issue(tmp_path, "smtp.test", ["smtp.test"])))
        bystander = await customer(stand)
        ports = stand.server.tls_ports if implicit else stand.server.ports
        said = await renegotiated(ports[0], *(() if implicit else ("-starttls", "smtp")))
        assert "RENEGOTIATING" in said
        assert "no renegotiation" in said
        await until(lambda: len(stand.office.sessions) == 1)
        assert (await bystander.deliver()).startswith("250 ")
        assert (await (await stand.secure_client()).say(f"AUTH PLAIN {plain(SECRET)}"))[:3] == "235"
