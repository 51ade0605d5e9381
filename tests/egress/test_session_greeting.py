"""Banner, EHLO and opportunistic STARTTLS with a scripted receiving host."""

import asyncio
from dataclasses import replace

import pytest

from egress.session import Timeouts
from mailroom.domain.reply import SmtpReply
from tests.egress.scripted_mx import HANG_UP, ScriptedMx, listening, self_signed
from tests.egress.sessions import QUICK, TLS_OFFER, a_session, opened, send


async def test_helo_is_tried_where_ehlo_is_not_understood() -> None:
    mx = ScriptedMx({"EHLO": b"502 5.5.1 what?\r\n"})
    async with listening(mx):
        session = await a_session(mx)
        reply = await send(session)
        await session.close()
    assert reply.code == 250
    assert mx.verbs()[:2] == ["EHLO", "HELO"]


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({"banner": b"554 5.7.1 no service\r\n"}, (554, "banner")),
        ({"banner": b"421 too many\r\n"}, (421, "banner")),
        ({"banner": HANG_UP}, (0, "banner")),
        ({"banner": b"220 hi\r\n220 hi\r\n"}, (0, "banner")),
        ({"EHLO": b"451 greylisted\r\n"}, (451, "EHLO")),
        ({"EHLO": b"550 no\r\n", "HELO": b"550 5.7.1 not you\r\n"}, (550, "EHLO")),
    ],
)
async def test_a_refused_greeting_is_a_reply(
    replies: dict[str, bytes], expected: tuple[int, str]
) -> None:
    mx = ScriptedMx(replies)
    async with listening(mx):
        reply = await opened(mx)
        await asyncio.wait_for(mx.ended.wait(), 5)
    assert isinstance(reply, SmtpReply)
    assert (reply.code, reply.phase) == expected


async def test_a_closed_port_is_a_reply() -> None:
    mx = ScriptedMx()
    async with listening(mx):
        pass
    reply = await opened(mx)
    assert isinstance(reply, SmtpReply)
    assert (reply.code, reply.phase) == (0, "connect")
    assert "refused" in reply.text


async def test_a_mute_server_is_given_up() -> None:
    mx = ScriptedMx({"banner": b"220-\r\n"})
    async with listening(mx):
        reply = await opened(mx, timeouts=QUICK)
        await asyncio.wait_for(mx.ended.wait(), 5)
    assert isinstance(reply, SmtpReply)
    assert (reply.code, reply.phase) == (0, "banner")


async def test_starttls_is_used_with_any_certificate() -> None:
    mx = ScriptedMx({"EHLO": TLS_OFFER}, tls=self_signed())
    async with listening(mx):
        session = await a_session(mx)
        replies = [await send(session), await send(session)]
        await session.close()
    assert [reply.code for reply in replies] == [250, 250]
    assert (session.tls, session.tls_broken, mx.over_tls) == (True, False, 1)
    assert mx.verbs()[:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]


async def test_what_was_offered_in_plain_text_is_forgotten_after_starttls() -> None:
    mx = ScriptedMx({"EHLO": TLS_OFFER, "EHLO over TLS": b"502 no\r\n"}, tls=self_signed())
    async with listening(mx):
        session = await a_session(mx)
        assert session.extensions == {}
        reply = await send(session)
        await session.close()
    assert (reply.code, mx.pipelined) == (250, False)


async def test_a_handshake_rejected_after_the_fact_counts_as_broken() -> None:
    mx = ScriptedMx({"EHLO": TLS_OFFER, "EHLO over TLS": HANG_UP}, tls=self_signed())
    async with listening(mx):
        session = await a_session(mx)
        assert (session.tls, session.tls_broken, mx.connections) == (False, True, 2)
        await session.close()


@pytest.mark.parametrize("trouble", [{}, {"STARTTLS": HANG_UP}], ids=["no TLS there", "hangs up"])
async def test_a_broken_starttls_leads_to_a_plain_session(trouble: dict[str, bytes]) -> None:
    mx = ScriptedMx({"EHLO": TLS_OFFER, **trouble})
    async with listening(mx):
        session = await a_session(mx, timeouts=replace(Timeouts(), starttls=0.5))
        reply = await send(session)
        await session.close()
    assert (reply.code, session.tls, session.tls_broken, mx.connections) == (250, False, True, 2)


async def test_a_refused_starttls_goes_on_in_plain_text() -> None:
    mx = ScriptedMx({"EHLO": TLS_OFFER, "STARTTLS": b"454 4.7.0 not now\r\n"})
    async with listening(mx):
        session = await a_session(mx)
        reply = await send(session)
        await session.close()
    assert (reply.code, session.tls, session.tls_broken, mx.connections) == (250, False, False, 1)
