"""Defects of Postal 3.3.6 that must not be here: its sending side towards relays and MX hosts.

Numbers are those of the list that the project keeps of them.
"""

import asyncio
from dataclasses import replace

import pytest

from egress.connections import ConnectionPool, PoolSettings, Source
from egress.core.mx import MxAnswer
from egress.sender.copies import Copy
from egress.sender.exchange import Exchange, Exchanged
from egress.session import Timeouts, TlsPolicy
from mailroom.domain.outcome import Verdict, classify_reply
from mailroom.domain.relay import Login, Relay
from tests.egress.scripted_mx import HANG_UP, PLAIN, ScriptedMx, listening, self_signed
from tests.egress.sessions import TLS_OFFER

TROUBLES: dict[str, dict[str, bytes]] = {
    "not offered": {"EHLO": PLAIN},
    "refused for now": {"EHLO": TLS_OFFER, "STARTTLS": b"454 4.7.0 not now\r\n"},
    "refused for good": {"EHLO": TLS_OFFER, "STARTTLS": b"502 5.5.1 no such command\r\n"},
    "hung up": {"EHLO": TLS_OFFER, "STARTTLS": HANG_UP},
    "no handshake": {"EHLO": TLS_OFFER},
    "hung up after the handshake": {"EHLO": TLS_OFFER, "EHLO over TLS": HANG_UP},
    "HELO only": {"EHLO": b"502 5.5.1 what?\r\n"},
}


async def nothing() -> None:
    pass


class Sender:
    """Sends to one answer through one pool."""

    def __init__(self, answer: MxAnswer, **settings: object) -> None:
        quick = PoolSettings(timeouts=replace(Timeouts(), starttls=0.5))
        self.answer = answer
        self.pool = ConnectionPool(replace(quick, **settings), clock=lambda: 1_000.0)  # type: ignore[arg-type]
        self._exchange = Exchange(self.pool, Source("out.example.com", "127.0.0.1"))

    async def __call__(self, name: str = "ann") -> Exchanged:
        copy = Copy("b@rp.test", f"Subject: {name}\r\n\r\nx\r\n".encode())
        to = f"{name}@example.org"
        return await self._exchange(
            self.answer, copy, to, before_dot=nothing, after_dot=lambda: None
        )


@pytest.mark.parametrize("login", [None, Login("ann", "secret", allow_plain=True)])
@pytest.mark.parametrize("policy", [TlsPolicy.REQUIRED, TlsPolicy.VERIFIED])
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_defect_1_mail_for_a_relay_with_starttls_never_goes_out_in_plain_text(
    trouble: str, policy: TlsPolicy, login: Login | None
) -> None:
    tls = self_signed() if "after the handshake" in trouble else None
    async with listening(ScriptedMx(TROUBLES[trouble], tls=tls)) as mx:
        relay = Relay("relay.test", mx.port, policy, login)
        sender = Sender(MxAnswer((mx.target("relay.test"),), relay=relay))
        exchanged = [await sender(), await sender()]  # nor after trouble that is remembered
        await mx.quiet()
    for each in exchanged:
        assert classify_reply(each.reply).verdict is Verdict.DEFERRED
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


@pytest.mark.parametrize("ehlo", [None, PLAIN], ids=["pipelined", "one by one"])
@pytest.mark.parametrize("says_goodbye", [False, True], ids=["hangs up", "421"])
async def test_defect_2_a_disconnect_between_messages_costs_no_attempt(
    ehlo: bytes | None, says_goodbye: bool
) -> None:
    mx = Mortal({"EHLO": ehlo} if ehlo else {})
    mx.says_goodbye = says_goodbye
    async with listening(mx):
        sender = Sender(MxAnswer((mx.target(),)), connections=1)
        names = [f"r{n}" for n in range(20)]
        exchanged = await asyncio.gather(*map(sender, names))
        await sender.pool.close()
    assert [each.reply.code for each in exchanged] == [250] * 20
    assert sorted(message.split(b"\r\n")[0].decode()[9:] for message in mx.messages) == sorted(
        names
    )
    assert 7 <= mx.connections < 20  # 20 messages, 3 a connection at most


async def test_defect_2_a_disconnect_within_a_message_costs_that_one_only() -> None:
    class Clumsy(ScriptedMx):
        def _reply(self, verb: str) -> bytes:
            if verb == "RCPT" and b"<r7@" in self.commands[-1]:
                return HANG_UP
            return super()._reply(verb)

    async with listening(Clumsy({"EHLO": PLAIN})) as mx:
        sender = Sender(MxAnswer((mx.target(),)), connections=1)
        exchanged = await asyncio.gather(*(sender(f"r{n}") for n in range(20)))
        await sender.pool.close()
    verdicts = [classify_reply(each.reply).verdict for each in exchanged]
    assert verdicts.pop(7) is Verdict.DEFERRED
    assert verdicts == [Verdict.SENT] * 19
    assert mx.connections == 2
