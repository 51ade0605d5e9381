"""Connections over real sockets: what is kept, what is shared, what is tried next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from egress.connecting import Timeouts
from egress.core.mx import MxAnswer, MxTarget
from egress.sender.doors import source_of
from mailroom.domain.event import EventType
from mailroom.domain.relay import Relay, TlsPolicy
from mailroom.domain.reply import Phase
from mailroom.domain.sending.source import HOST_POOL, SourceAddress
from tests.egress.scripted_mx import HANG_UP, ScriptedMx, listening
from tests.egress.sessions import TLS_OFFER
from tests.support.desk import until
from tests.support.socket_stand import SOURCE, SocketStand, sending, to, with_path


@dataclass
class SlowMx(ScriptedMx):
    """Answers no message before `go` is set; `asked` is set when it has one."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def _message(self, reader: asyncio.StreamReader) -> bytes:
        message = await super()._message(reader)
        self.asked.set()
        await self.go.wait()
        return message


@pytest.fixture
async def sender(tmp_path: Path) -> AsyncIterator[SocketStand]:
    async with sending(tmp_path) as stand:
        yield stand


async def test_a_connection_is_kept_and_used_again(tmp_path: Path) -> None:
    async with listening(ScriptedMx()) as mx:
        async with sending(tmp_path) as sender:
            assert [(await sender.sent(to(mx))).code for _ in range(3)] == [250] * 3
            assert sender.idle == 1
        await mx.quiet()
    assert mx.connections == 1
    assert mx.verbs()[-1] == "QUIT"


async def test_domains_of_one_site_share_connections_and_sources_do_not(tmp_path: Path) -> None:
    settings = with_path(connections=1, start_connections=1)
    async with listening(SlowMx()) as mx, sending(tmp_path, settings=settings) as sender:
        mx.go.set()
        await sender.sent(to(mx), recipient="a@one.example")
        await sender.sent(replace(to(mx), ttl=1), recipient="a@two.example")
        assert mx.connections == 1
        other = SourceAddress("other", HOST_POOL, "other.example.com", private="127.0.0.2")
        sender.sim.addresses = [SOURCE, other]
        mx.go.clear()
        both = [asyncio.create_task(sender.sent(to(mx))) for _ in range(2)]
        await until(lambda: mx.connections == 2)
        mx.go.set()
        outcomes = await asyncio.gather(*both)
    names = [line.split()[1] for line in mx.commands if line.startswith(b"EHLO")]
    assert names == [b"out.example.com", b"other.example.com"]
    assert {each.event.attempt.address for each in outcomes if each.event.attempt} == {
        "host",
        "other",
    }


async def test_a_connection_serves_only_so_many_messages(tmp_path: Path) -> None:
    settings = with_path(messages_per_connection=2)
    async with listening(ScriptedMx()) as mx, sending(tmp_path, settings=settings) as sender:
        for _ in range(5):
            await sender.sent(to(mx))
    assert mx.connections == 3


async def test_an_old_connection_is_not_used_again(tmp_path: Path) -> None:
    settings = with_path(age=60.0, idle=1_000.0)
    async with listening(ScriptedMx()) as mx, sending(tmp_path, settings=settings) as sender:
        await sender.sent(to(mx))
        sender.pass_time(59)
        await sender.sent(to(mx))
        assert mx.connections == 1
        sender.pass_time(2)
        await sender.sent(to(mx))
    assert mx.connections == 2


async def test_a_connection_grown_old_in_use_carries_nothing_more(tmp_path: Path) -> None:
    settings = with_path(age=60.0, idle=1_000.0)
    async with listening(SlowMx()) as mx, sending(tmp_path, settings=settings) as sender:
        first = asyncio.create_task(sender.sent(to(mx)))
        await mx.asked.wait()
        sender.pass_time(61)
        mx.go.set()
        await first
        await sender.sent(to(mx))
    assert mx.connections == 2


async def test_an_idle_connection_is_closed_and_forgotten(sender: SocketStand) -> None:
    async with listening(ScriptedMx()) as mx:
        await sender.sent(to(mx))
        sender.pass_time(14)
        await sender.quiet()
        assert sender.idle == 1
        sender.pass_time(2)
        await mx.quiet()
        await until(lambda: not sender.engine.desks)
    assert mx.verbs()[-1] == "QUIT"
    assert not sender.engine.connections
    assert not sender.doors._places


async def test_a_broken_session_is_not_kept(sender: SocketStand) -> None:
    async with listening(ScriptedMx({"RCPT": b"421 bye\r\n"})) as mx:
        assert (await sender.sent(to(mx))).code == 421
        await mx.quiet()
    assert not sender.engine.connections


async def test_one_connection_at_a_time_means_waiting_in_line(tmp_path: Path) -> None:
    settings = with_path(connections=1, start_connections=1)
    async with listening(SlowMx()) as mx, sending(tmp_path, settings=settings) as sender:
        holder = asyncio.create_task(sender.sent(to(mx)))
        await mx.asked.wait()
        others = [asyncio.create_task(sender.sent(to(mx))) for _ in range(3)]
        await until(lambda: sender.engine.waiting == 3)
        mx.go.set()
        assert [each.code for each in await asyncio.gather(holder, *others)] == [250] * 4
    assert mx.connections == 1


async def test_when_all_refuse_the_one_who_spoke_is_quoted(sender: SocketStand) -> None:
    first = ScriptedMx({"banner": b"554 5.7.1 you again\r\n"})
    async with listening(first), listening(ScriptedMx({"banner": HANG_UP})) as second:
        outcome = await sender.sent(to(first, second))
    assert (outcome.code, outcome.phase) == (554, Phase.BANNER)
    assert (first.connections, second.connections) == (1, 1)


async def test_an_address_is_tried_once_however_many_hosts_have_it(sender: SocketStand) -> None:
    async with listening(ScriptedMx({"banner": b"421 no\r\n"})) as mx:
        await sender.sent(MxAnswer(tuple(mx.target(f"mx{n}.test") for n in range(40))))
    assert mx.connections == 1


async def test_no_more_than_five_addresses_are_tried(sender: SocketStand) -> None:
    refusing = [ScriptedMx({"banner": b"421 no\r\n"}) for _ in range(7)]
    async with AsyncExitStack() as stack:
        for one in refusing:
            await stack.enter_async_context(listening(one))
        outcome = await sender.sent(to(*refusing))
    assert [one.connections for one in refusing] == [1] * 5 + [0] * 2
    assert outcome.mx == "mx4.test"


async def test_hosts_that_let_nobody_in_are_asked_once_for_all_the_mail_that_waits(
    tmp_path: Path,
) -> None:
    settings = with_path(connections=1, start_connections=1)
    async with (
        listening(ScriptedMx({"banner": b"421 no\r\n"})) as mx,
        sending(tmp_path, settings=settings) as sender,
    ):
        outcomes = await asyncio.gather(*(sender.sent(to(mx)) for _ in range(5)))
    assert {(each.code, each.type) for each in outcomes} == {(421, EventType.DEFERRED)}
    assert mx.connections < 5


async def test_a_session_that_outlives_the_stop_is_not_kept(tmp_path: Path) -> None:
    async with listening(SlowMx()) as mx:
        async with sending(tmp_path) as sender:
            under_way = asyncio.create_task(sender.sent(to(mx)))
            await mx.asked.wait()
            sender.stop.set()
            mx.go.set()
            assert (await under_way).code == 250
        await mx.quiet()
    assert mx.verbs()[-1] == "QUIT"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_connection_comes_from_the_source_of_its_family(
    sender: SocketStand, address: str
) -> None:
    mx = ScriptedMx()
    sender.sim.addresses = [replace(SOURCE, private="127.0.0.2", ipv6="::1")]
    async with listening(mx, at=address):
        assert (await sender.sent(MxAnswer((MxTarget("mx.test", address, mx.port),)))).code == 250
        assert mx.writer is not None
        peer = mx.writer.get_extra_info("peername")[0]
    assert peer == ("::1" if address == "::1" else "127.0.0.2")


async def test_an_ipv6_only_host_is_tried_after_one_that_is_not_there(sender: SocketStand) -> None:
    gone, mx = ScriptedMx(), ScriptedMx()
    async with listening(gone):
        pass
    sender.sim.addresses = [replace(SOURCE, ipv6="::1")]
    async with listening(mx, at="::1"):
        answer = MxAnswer((gone.target(), MxTarget("mx6.test", "::1", mx.port)))
        outcome = await sender.sent(answer)
    assert (outcome.code, outcome.mx) == (250, "mx6.test")


async def test_a_source_of_ipv6_alone_never_connects_over_ipv4(sender: SocketStand) -> None:
    """Not even from an address that the system would choose."""
    sender.pool = "leased"
    sender.sim.addresses = [SourceAddress("six", "leased", "six.example", ipv6="::1")]
    async with listening(ScriptedMx()) as mx:
        outcome = await sender.sent(to(mx))
    assert mx.connections == 0
    assert (outcome.code, outcome.type) == (451, EventType.DEFERRED)
    assert "4.4.4" in outcome.reply


@pytest.mark.parametrize(
    ("address", "ipv4", "ipv6"),
    [
        (SourceAddress("a", "pool", "a.test", ipv4="192.0.2.1"), True, False),
        (SourceAddress("a", "pool", "a.test", ipv4="192.0.2.1", private="10.0.0.1"), True, False),
        (SourceAddress("a", "pool", "a.test", ipv4="192.0.2.1", ipv6="2001:db8::1"), True, True),
        (SourceAddress("a", "pool", "a.test", ipv6="2001:db8::1"), False, True),
        (SourceAddress("host-a", HOST_POOL, "a.test", ipv6="2001:db8::1"), True, True),
        (SourceAddress("host-a", HOST_POOL, "a.test"), True, True),  # the system chooses
    ],
)
def test_a_source_reaches_the_families_it_has(
    address: SourceAddress, ipv4: bool, ipv6: bool
) -> None:
    source = source_of(address)
    assert (source.ipv4, source.ipv6) == (ipv4, ipv6)


async def test_broken_tls_of_a_host_is_no_excuse_for_a_relay_that_requires_it(
    tmp_path: Path,
) -> None:
    timeouts = replace(Timeouts(), starttls=0.5)
    async with (
        listening(ScriptedMx({"EHLO": TLS_OFFER})) as mx,
        sending(tmp_path, timeouts=timeouts) as sender,
    ):
        assert (await sender.sent(to(mx))).code == 250  # in plain text, and remembered
        required = replace(to(mx), relay=Relay("mx0.test", mx.port, TlsPolicy.REQUIRED))
        outcome = await sender.sent(required, recipient="ann@relayed.example")
    assert (outcome.code, outcome.phase) == (0, "STARTTLS")
    assert len(mx.messages) == 1
