"""Dialogues with receivers that operators ask for."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from egress.core.mx import MxAnswer, MxTarget
from egress.source import Source
from egress.tracing import TraceRunner, TraceTools
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.trace import Trace, TraceDepth, TraceRequest, TraceState
from mailroom.domain.tenancy.access import Actor
from mailroom.fakes.control import MemoryControl
from mailroom.fakes.memory import FixedChance, FixedClock
from mailroom.fakes.registry import MemoryRegistry
from mailroom.usecases.registrar import Registrar
from mailroom.usecases.traces import TracePorts, ask_trace, read_trace
from tests.egress.scripted_mx import HANG_UP, ScriptedMx, listening, self_signed

ANN = Actor("user", "usr_ann", "Ann")
TLS_OFFER = b"250-mx.test\r\n250 STARTTLS\r\n"


@dataclass
class Stand:
    """One host with a table of its own; mail for every domain goes to `mx`."""

    mx: ScriptedMx = field(default_factory=ScriptedMx)
    clock: FixedClock = field(default_factory=FixedClock)
    control: MemoryControl = field(default_factory=MemoryControl)
    held: tuple[str, ...] = ("", "ip_a")
    refusal: SmtpReply | None = None

    def __post_init__(self) -> None:
        registrar = Registrar(MemoryRegistry(), self.clock, FixedChance(), "test")
        self.ports = TracePorts(self.control, registrar)
        tools = TraceTools(self.control, "host-1", self.resolve, self.source, self.clock.now)
        self.runner = TraceRunner(tools, every=0.001)

    async def resolve(self, domain: str) -> MxAnswer:
        if self.refusal:
            return MxAnswer(refusal=self.refusal)
        return MxAnswer((MxTarget("mx.test", "127.0.0.1", self.mx.port, 10),))

    def source(self, address: str) -> Source | None:
        return Source("out.mail.test") if address in self.held else None

    def ask(self, depth: str = "connect", **more: Any) -> str:
        wanted = TraceRequest("", TraceDepth(depth), "example.org", "", 0.0, **more)
        return ask_trace(wanted, self.ports, actor=ANN).request.id

    async def told(self, depth: str = "connect", **more: Any) -> Trace:
        id_ = self.ask(depth, **more)
        async with listening(self.mx):
            await self.runner.look()
            if self.mx.connections:
                await self.mx.quiet()
        return read_trace(id_, self.ports)


def said(trace: Trace, who: str) -> list[str]:
    return [line.text for line in trace.lines if line.who == who]


async def test_names_are_looked_up_and_nobody_is_spoken_to() -> None:
    stand = Stand()
    trace = await stand.told("resolve")
    assert (trace.state, trace.process) == (TraceState.DONE, "host-1")
    assert said(trace, "*") == [f"10 mx.test [127.0.0.1]:{stand.mx.port}"]
    assert stand.mx.connections == 0


async def test_a_greeting_is_written_down_line_by_line() -> None:
    trace = await Stand().told()
    assert trace.state is TraceState.DONE, trace.error
    assert said(trace, ">") == ["EHLO out.mail.test", "QUIT"]
    assert said(trace, "<")[0] == "220 mx.test ESMTP"
    assert "250-PIPELINING" in said(trace, "<")
    assert any("plain text" in line for line in said(trace, "*"))


async def test_tls_is_used_where_it_is_offered() -> None:
    stand = Stand(ScriptedMx({"EHLO": TLS_OFFER}, tls=self_signed()))
    trace = await stand.told()
    assert (trace.state, stand.mx.over_tls) == (TraceState.DONE, 1), trace.error
    assert any("encrypted: TLSv1" in line for line in said(trace, "*"))


async def test_a_recipient_is_tried_without_a_message() -> None:
    stand = Stand()
    trace = await stand.told("recipient", recipient="ann@example.org", sender="me@a.test")
    assert trace.state is TraceState.DONE
    assert stand.mx.verbs() == ["EHLO", "MAIL", "RCPT", "RSET", "QUIT"]
    assert stand.mx.commands[1:3] == [
        b"MAIL FROM:<me@a.test>\r\n", b"RCPT TO:<ann@example.org>\r\n"
    ]  # fmt: skip


async def test_one_message_is_sent() -> None:
    stand = Stand()
    trace = await stand.told("send", recipient="ann@example.org")
    assert trace.state is TraceState.DONE
    (message,) = stand.mx.messages
    assert b"From: postmaster@out.mail.test\r\n" in message
    assert trace.request.id.encode() in message


@pytest.mark.parametrize(
    ("replies", "why"),
    [
        ({"banner": b"554 go away\r\n"}, "refused: 554 go away"),
        ({"RCPT": b"550-5.1.1 nobody\r\n550 5.1.1 of that name\r\n"}, "refused: 550 5.1.1"),
        ({"EHLO": HANG_UP}, "hung up"),
        ({"EHLO": b"250-" + b"x" * 20_000 + b"\r\n250 ok\r\n"}, "broke"),
        ({"EHLO": b"250-more\r\n" * 80}, "no end"),
        ({"EHLO": TLS_OFFER}, "no TLS"),
    ],
)
async def test_what_goes_wrong_is_told_with_all_before_it(
    replies: dict[str, bytes], why: str
) -> None:
    trace = await Stand(ScriptedMx(replies)).told("recipient", recipient="ann@example.org")
    assert trace.state is TraceState.FAILED
    assert why in trace.error
    assert said(trace, "*")


async def test_a_domain_without_hosts_and_a_host_that_is_none_are_told() -> None:
    stand = Stand(refusal=SmtpReply(556, "5.1.10 the domain takes no mail", "DNS"))
    assert "takes no mail" in (await stand.told()).error
    assert "none of the hosts" in (await Stand().told(host="other.test")).error


async def test_nobody_listens() -> None:
    stand = Stand()
    stand.mx.port = 1
    id_ = stand.ask()
    await stand.runner.look()
    assert "no connection" in read_trace(id_, stand.ports).error


@pytest.mark.parametrize("more", [{"address": "ip_b"}, {"process": "host-2"}])
async def test_what_is_for_another_host_is_left_to_it(more: dict[str, str]) -> None:
    trace = await Stand().told(**more)
    assert trace.state is TraceState.WAITING


async def test_it_looks_until_it_is_told_to_stop() -> None:
    stop = asyncio.Event()

    class Ending(Stand):
        def source(self, address: str) -> Source | None:
            stop.set()
            return super().source(address)

    stand = Ending()
    async with listening(stand.mx):
        id_ = stand.ask()
        await stand.runner.run(stop)
        await stand.mx.quiet()
    assert read_trace(id_, stand.ports).state is TraceState.DONE


async def test_without_requests_the_table_is_asked_for_a_number_only() -> None:
    stand = Stand()
    assert await stand.runner.look() is None
    stand.clock.at += 120
    assert await stand.runner.look() is None
    assert (await stand.told()).state is TraceState.DONE
