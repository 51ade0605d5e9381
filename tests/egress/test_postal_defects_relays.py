"""Defects of Postal 3.3.6 that must not be here: its sending side towards relays and MX hosts.

Numbers are those of the list that the project keeps of them.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from egress.connecting import Timeouts
from egress.core.mx import MxAnswer
from egress.sender.copies import Copy
from mailroom.domain.event import EventType
from mailroom.domain.relay import Login, Relay, TlsPolicy
from tests.egress.scripted_mx import HANG_UP, PLAIN, ScriptedMx, listening, self_signed
from tests.egress.sessions import TLS_OFFER
from tests.support.socket_stand import Outcome, SocketStand, sending, with_path

ONE = with_path(connections=1, start_connections=1)
TROUBLES: dict[str, dict[str, bytes]] = {
    "not offered": {"EHLO": PLAIN},
    "refused for now": {"EHLO": TLS_OFFER, "STARTTLS": b"454 4.7.0 not now\r\n"},
    "refused for good": {"EHLO": TLS_OFFER, "STARTTLS": b"502 5.5.1 no such command\r\n"},
    "hung up": {"EHLO": TLS_OFFER, "STARTTLS": HANG_UP},
    "no handshake": {"EHLO": TLS_OFFER},
    "hung up after the handshake": {"EHLO": TLS_OFFER, "EHLO over TLS": HANG_UP},
    "HELO only": {"EHLO": b"502 5.5.1 what?\r\n"},
}


@pytest.mark.parametrize("login", [None, Login("ann", "secret", allow_plain=True)])
@pytest.mark.parametrize("policy", [TlsPolicy.REQUIRED, TlsPolicy.VERIFIED])
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_defect_1_mail_for_a_relay_with_starttls_never_goes_out_in_plain_text(
    trouble: str, policy: TlsPolicy, login: Login | None, tmp_path: Path
) -> None:
    tls = self_signed() if "after the handshake" in trouble else None
    timeouts = replace(Timeouts(), starttls=0.5)
    async with (
        listening(ScriptedMx(TROUBLES[trouble], tls=tls)) as mx,
        sending(tmp_path, timeouts=timeouts) as sender,
    ):
        relay = Relay("relay.test", mx.port, policy, login)
        answer = MxAnswer((mx.target("relay.test"),), relay=relay)
        outcomes = [await sender.sent(answer)]
        sender.pass_time(5)
        outcomes.append(await sender.sent(answer))  # nor after trouble that is remembered
        await mx.quiet()
    for each in outcomes:
        assert each.type is EventType.DEFERRED
        assert not each.tls
    assert mx.connections == 2
    assert not {"MAIL", "RCPT", "DATA", "AUTH"} & set(mx.verbs())


class Mortal(ScriptedMx):
    """Hangs up after `lives` messages on a connection, or answers MAIL with a 421 then."""

    lives = 3
    says_goodbye = False
    taken_here = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.taken_here = 0  # one connection at a time in these tests
        await super().serve(reader, writer)

    async def _message(self, reader: asyncio.StreamReader) -> bytes:
        self.taken_here += 1
        return await super()._message(reader)

    def _reply(self, verb: str) -> bytes:
        if verb == "MAIL" and self.taken_here == self.lives:
            return b"421 4.7.0 enough for one connection\r\n" if self.says_goodbye else HANG_UP
        return super()._reply(verb)


async def in_a_row(sender: SocketStand, mx: ScriptedMx, names: list[str]) -> list[Outcome]:
    """Send a message to each over one connection at a time."""
    messages = (Copy("b@rp.test", f"Subject: {name}\r\n\r\nx\r\n".encode()) for name in names)
    answer = MxAnswer((mx.target(),))
    return await asyncio.gather(
        *(
            sender.sent(answer, copy=copy, recipient=f"{name}@example.org")
            for name, copy in zip(names, messages, strict=True)
        )
    )


@pytest.mark.parametrize("ehlo", [None, PLAIN], ids=["pipelined", "one by one"])
@pytest.mark.parametrize("says_goodbye", [False, True], ids=["hangs up", "421"])
async def test_defect_2_a_disconnect_between_messages_costs_no_attempt(
    ehlo: bytes | None, says_goodbye: bool, tmp_path: Path
) -> None:
    mx = Mortal({"EHLO": ehlo} if ehlo else {})
    mx.says_goodbye = says_goodbye
    names = [f"r{n}" for n in range(20)]
    async with listening(mx), sending(tmp_path, settings=ONE) as sender:
        outcomes = await in_a_row(sender, mx, names)
    assert [(each.code, each.row.attempts) for each in outcomes] == [(250, 1)] * 20
    assert sorted(message.split(b"\r\n")[0].decode()[9:] for message in mx.messages) == sorted(
        names
    )
    assert 7 <= mx.connections < 20  # 20 messages, 3 a connection at most


async def test_defect_2_a_disconnect_within_a_message_costs_that_one_only(tmp_path: Path) -> None:
    class Clumsy(ScriptedMx):
        def _reply(self, verb: str) -> bytes:
            if verb == "RCPT" and b"<r7@" in self.commands[-1]:
                return HANG_UP
            return super()._reply(verb)

    names = [f"r{n}" for n in range(20)]
    async with (
        listening(Clumsy({"EHLO": PLAIN})) as mx,
        sending(tmp_path, settings=ONE) as sender,
    ):
        outcomes = await in_a_row(sender, mx, names)
    types = [each.type for each in outcomes]
    assert types.pop(7) is EventType.DEFERRED
    assert types == [EventType.SENT] * 19
    assert mx.connections == 2
