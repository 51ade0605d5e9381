"""Torture: ten thousand connections, and floods that try to fill memory. The server has a process
of its own here, whose memory and descriptors are looked at from outside."""

import asyncio
import contextlib
import logging
from collections import Counter
from pathlib import Path

import pytest

from tests.egress.submission_stand import MESSAGE, SECRET, Client, plain
from tests.support.submission_torture import OPEN
from tests.support.torture_host import Host, hosting, raise_file_limit

CROWD = 10_000
SPARE_FILES = 500
EACH = 50  # connections of one address: the limit that is the default
AT_ONCE = 100
PER_CONNECTION = 64 * 1024  # octets of memory that an idle connection may cost
MEGABYTE = 1024 * 1024
FLOOD = 30  # connections
FLOOD_MEMORY = 80 * MEGABYTE

log = logging.getLogger(__name__)

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads a process's memory as Linux shows it"
)


async def logged_in(host: Host) -> Client:
    client = await host.connect()
    assert (await client.reply()).startswith("220 ")
    await client.say("EHLO app.test")
    await client.say("STARTTLS")
    await client.handshake()
    await client.say("EHLO app.test")
    assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("235 ")
    return client


async def crowd(host: Host, number: int) -> tuple[list[Client], Counter[str]]:
    """Open so many connections, no more than allowed from one address; count the greetings."""
    clients: list[Client] = []
    said: Counter[str] = Counter()
    for first in range(0, number, AT_ONCE):
        addresses = [f"127.0.0.{2 + at // EACH}" for at in range(first, first + AT_ONCE)]
        came = await asyncio.gather(*(host.connect(each) for each in addresses))
        clients += came
        said.update([each[:3] for each in await asyncio.gather(*(c.reply() for c in came))])
    return clients, said


def size_of_a_crowd() -> int:
    """Ten thousand, or less where the system does not allow so many descriptors."""
    possible = (raise_file_limit() - SPARE_FILES) // AT_ONCE * AT_ONCE
    if possible < CROWD:
        log.warning("only %d connections: the limit of descriptors is too low", possible)
    return min(CROWD, possible)


async def test_ten_thousand_are_greeted_and_a_message_passes_among_them() -> None:
    number = size_of_a_crowd()
    async with hosting(connections=number + 1) as host:
        before = await host.until_quiet()
        user = await logged_in(host)
        clients, said = await crowd(host, number)
        assert said == {"220": number}
        assert (await user.deliver()).startswith("250 ")
        during = await host.state()
        assert (during.sessions, during.stored, during.held) == (number + 1, 1, 0)
        assert during.memory - before.memory < number * PER_CONNECTION
        one_more = await host.connect()
        assert (await one_more.reply()).startswith("421 4.7.0 ")
        for client in (*clients, one_more):
            client.hang_up()
        assert (await user.deliver()).startswith("250 ")
        user.hang_up()
        after = await host.until_quiet()
        assert (after.remembered, after.files) == (0, before.files)
        _, said = await crowd(host, number // 5)
        assert said == {"220": number // 5}
        host.hang_up()
        assert (await host.until_quiet()).memory < during.memory


async def test_those_over_the_limit_get_a_clean_421() -> None:
    number = size_of_a_crowd()
    async with hosting(connections=1000) as host:
        before = await host.until_quiet()
        user = await logged_in(host)
        clients, said = await crowd(host, number)
        assert said == {"220": 999, "421": number - 999}
        assert [each for each in await asyncio.gather(*(c.reply() for c in clients[999:]))
                if each] == []  # fmt: skip
        assert (await user.deliver()).startswith("250 ")
        host.hang_up()
        after = await host.until_quiet()
        assert (after.remembered, after.files, after.stored) == (0, before.files, 1)


async def poured(client: Client, octets: bytes, times: int) -> None:
    """Send `octets` so often and read nothing, until the server takes no more."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        for _ in range(times):
            client.send(octets)
            async with asyncio.timeout(0.3):
                await client.writer.drain()


CHUNKS = b"BDAT 1\r\nx" * 10_000
FLOODS = {
    "endless-lines": (b"x" * MEGABYTE, 4, False),
    "overlong-lines": (b"x" * 100_000 + b"\r\n", 40, False),
    "commands": (b"NOOP\r\n" * 10_000, 8, False),
    "greetings": (b"EHLO a\r\n" * 10_000, 8, False),
    "help": (b"HELP\r\n" * 10_000, 8, False),
    "chunks-of-strangers": (b"BDAT 1000000\r\n" + b"x" * 1_000_000, 4, False),
    "logins": (b"EHLO a\r\nAUTH PLAIN\r\n*\r\n" * 5_000, 10, False),
    "messages-without-end": (OPEN + b"DATA\r\n" + b"x" * MEGABYTE, 8, True),
    "dots-without-end": (OPEN + b"DATA\r\n" + b"..\r\n" * 250_000, 8, True),
    "chunks-without-end": (OPEN + b"BDAT 200000000 LAST\r\n" + b"x" * MEGABYTE, 8, True),
    "octets-as-chunks": (OPEN + CHUNKS, 4, True),
    "recipients": (OPEN + b"RCPT TO:<ann@example.org> ORCPT=rfc822;" + b"a" * 400 + b"\r\n", 300,
                   True),
    "transactions": ((OPEN + b"RSET\r\n") * 300, 20, True),
}  # fmt: skip


@pytest.mark.parametrize(("octets", "times", "inside"), FLOODS.values(), ids=FLOODS)
async def test_a_flood_fills_no_memory(octets: bytes, times: int, inside: bool) -> None:
    """Thirty connections pour at once; together they may hold 8 MB of messages."""
    limits = {"message_size": MEGABYTE, "held_octets": 8 * MEGABYTE, "connections_per_client": 100}
    async with hosting(**limits, commands=10**9) as host:
        user = await logged_in(host)
        before = await host.state()
        flood = [await (logged_in(host) if inside else host.connect()) for _ in range(FLOOD)]
        pouring = asyncio.gather(*(poured(each, octets, times) for each in flood))
        await user.deliver()
        await pouring
        assert (await user.deliver(MESSAGE))[:4] in ("250 ", "452 ")
        during = await host.state()
        assert during.held <= 8 * MEGABYTE
        assert during.most - before.memory < FLOOD_MEMORY
        for each in flood:
            each.hang_up()
        await until_held_is_back(host)
        assert (await user.deliver()).startswith("250 ")
        user.hang_up()
        assert (await host.until_quiet()).remembered == 0


async def until_held_is_back(host: Host) -> None:
    async with asyncio.timeout(60):
        while (await host.state()).held:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.02)
