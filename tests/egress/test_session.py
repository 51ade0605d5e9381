"""Sessions with a scripted receiving host: each way a transaction can go comes back as data."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import aiosmtplib
import pytest

from egress.session import MAX_TEXT, Session, Timeouts, TlsPolicy
from mailroom.domain.reply import SmtpReply
from tests.egress.scripted_mx import HANG_UP, PLAIN, ScriptedMx, listening, self_signed

MESSAGE = b"From: a@example.com\r\nSubject: hi\r\n\r\n.dot\r\n..two\r\nend\r\n"
QUICK = Timeouts(*(0.2 for _ in range(8)), quit=0.2)


async def nothing() -> None:
    pass


async def opened(
    mx: ScriptedMx, *, tls: TlsPolicy = TlsPolicy.OPPORTUNISTIC, timeouts: Timeouts | None = None
) -> Session | SmtpReply:
    return await Session.open(
        mx.target(),
        ehlo_name="out.example.com",
        source_address="127.0.0.1",
        tls=tls,
        timeouts=timeouts or Timeouts(),
        connect_timeout=5,
    )


async def a_session(mx: ScriptedMx, **how: object) -> Session:
    session = await opened(mx, **how)  # type: ignore[arg-type]
    assert isinstance(session, Session)
    return session


async def send(
    session: Session,
    message: bytes = MESSAGE,
    *,
    return_path: str = "b+1@rp.example.com",
    recipient: str = "ann@example.org",
    before_dot: Callable[[], Awaitable[None]] = nothing,
) -> SmtpReply:
    return await session.transact(return_path, recipient, message, before_dot=before_dot)


@pytest.mark.parametrize("ehlo", [None, PLAIN], ids=["pipelined", "one by one"])
async def test_two_messages_go_over_one_connection(ehlo: bytes | None) -> None:
    mx = ScriptedMx({"EHLO": ehlo} if ehlo else {}, waits_for_data=ehlo is None)
    async with listening(mx):
        session = await a_session(mx)
        replies = [await send(session), await send(session)]
        await session.close()
    assert replies == [SmtpReply(250, "2.0.0 ok", ".")] * 2
    assert mx.verbs() == ["EHLO", *["MAIL", "RCPT", "DATA"] * 2, "QUIT"]
    assert (mx.connections, mx.pipelined) == (1, ehlo is None)


@pytest.mark.parametrize("ehlo", [None, PLAIN], ids=["pipelined", "one by one"])
@pytest.mark.parametrize(
    "message",
    [
        MESSAGE,
        b".\r\n",
        b"..\r\n.\r\n.\r\n",
        b"no end",
        b"Subject: x\r\n\r\n" + b".line of text\r\n" * 20_000,
        b"8-bit: \xff\xfe\r\n\r\n\xc3\xa9\r\n",
    ],
    ids=["dots", "a dot", "only dots", "no final CRLF", "280 KB", "8-bit"],
)
async def test_the_message_on_the_wire_is_what_the_library_writes(
    message: bytes, ehlo: bytes | None
) -> None:
    mx = ScriptedMx({"EHLO": ehlo} if ehlo else {})
    async with listening(mx):
        session = await a_session(mx)
        await send(session, message)
        await session.close()
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=mx.port, start_tls=False)
        await client.connect()
        await client.mail("b@example.com")
        await client.rcpt("ann@example.org")
        await client.data(message)
        await client.quit()
    ours, theirs = mx.messages
    assert ours == theirs


async def test_the_envelope_carries_what_the_server_offers() -> None:
    offers = b"250-mx\r\n250-SIZE\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 SMTPUTF8\r\n"
    mx = ScriptedMx({"EHLO": offers})
    async with listening(mx):
        session = await a_session(mx)
        await send(
            session,
            b"A: b\r\n\r\n\xff\r\n",
            return_path="",
            recipient="jos\u00e9@b\u00fccher.example",
        )
        await session.close()
    assert mx.commands[1] == b"MAIL FROM:<> SIZE=11 BODY=8BITMIME SMTPUTF8\r\n"
    assert mx.commands[2] == "RCPT TO:<jos\u00e9@xn--bcher-kva.example>\r\n".encode()


@pytest.mark.parametrize(
    ("ehlo", "message", "recipient", "code", "enhanced"),
    [
        (b"250-mx\r\n250 SIZE 20\r\n", MESSAGE, "ann@example.org", 552, "5.3.4"),
        (b"250 mx\r\n", MESSAGE, "jos\u00e9@example.org", 553, "5.6.7"),
    ],
    ids=["too large", "no SMTPUTF8"],
)
async def test_what_the_server_cannot_take_is_not_offered(
    ehlo: bytes, message: bytes, recipient: str, code: int, enhanced: str
) -> None:
    mx = ScriptedMx({"EHLO": ehlo})
    async with listening(mx):
        session = await a_session(mx)
        reply = await send(session, message, recipient=recipient)
        await session.close()
    assert (reply.code, reply.enhanced_text, reply.phase) == (code, enhanced, "MAIL")
    assert mx.verbs() == ["EHLO", "QUIT"]


@pytest.mark.parametrize("ehlo", [None, PLAIN], ids=["pipelined", "one by one"])
@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        (
            {"MAIL": b"451 4.7.1 later\r\n", "RCPT": b"503 no\r\n", "DATA": b"503 no\r\n"},
            (451, "MAIL"),
        ),
        ({"RCPT": b"550 5.1.1 who?\r\n", "DATA": b"503 5.5.1 no rcpt\r\n"}, (550, "RCPT")),
        ({"RCPT": b"550-5.1.1 who\r\n550 5.1.1 else\r\n", "DATA": b"554 no\r\n"}, (550, "RCPT")),
        ({"DATA": b"451 4.3.0 busy\r\n"}, (451, "DATA")),
        ({"dot": b"554 5.7.1 spam\r\n"}, (554, ".")),
    ],
    ids=["MAIL", "RCPT", "multi-line RCPT", "DATA", "dot"],
)
async def test_a_refusal_carries_its_phase_and_the_session_goes_on(
    replies: dict[str, bytes], expected: tuple[int, str], ehlo: bytes | None
) -> None:
    mx = ScriptedMx(replies | ({"EHLO": ehlo} if ehlo else {}))
    async with listening(mx):
        session = await a_session(mx)
        refusal = await send(session)
        mx.replies = {}
        after = await send(session)
        await session.close()
    assert (refusal.code, refusal.phase) == expected
    assert after == SmtpReply(250, "2.0.0 ok", ".")
    assert ("RSET" in mx.verbs()) == (expected[1] != ".")


async def test_a_granted_data_without_a_recipient_gets_a_lone_dot() -> None:
    mx = ScriptedMx({"RCPT": b"550 5.1.1 no\r\n", "dot": b"554 no recipients\r\n"})
    async with listening(mx):
        session = await a_session(mx)
        reply = await send(session)
        mx.replies = {}
        again = await send(session)
        await session.close()
    assert (reply.code, reply.phase, again.code) == (550, "RCPT", 250)
    assert mx.messages[0] == b".\r\n"


async def test_no_empty_message_goes_to_a_recipient_who_stands() -> None:
    mx = ScriptedMx({"MAIL": b"450 no\r\n"})
    async with listening(mx):
        session = await a_session(mx)
        reply = await send(session)
        await asyncio.wait_for(mx.ended.wait(), 5)
    assert (reply.code, reply.phase, session.usable) == (450, "MAIL", False)
    assert mx.messages == []


@pytest.mark.parametrize("ehlo", [None, PLAIN], ids=["pipelined", "one by one"])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "dot"])
async def test_a_lost_connection_is_the_absence_of_exactly_that_reply(
    verb: str, ehlo: bytes | None
) -> None:
    mx = ScriptedMx({verb: HANG_UP} | ({"EHLO": ehlo} if ehlo else {}))
    async with listening(mx):
        session = await a_session(mx)
        reply = await send(session)
        assert not session.usable
        await session.close()
    assert (reply.code, reply.phase) == (0, "." if verb == "dot" else verb)


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "dot"])
async def test_421_ends_the_session_whenever_it_comes(verb: str) -> None:
    mx = ScriptedMx({verb: b"421 4.3.2 going down\r\n"})
    async with listening(mx):
        session = await a_session(mx)
        reply = await send(session)
        assert not session.usable
        await session.close()
    assert (reply.code, reply.phase) == (421, "." if verb == "dot" else verb)


async def test_silence_closes_the_connection_and_names_the_phase() -> None:
    mx = ScriptedMx({"RCPT": b""}, waits_for_data=False)
    mx.replies["RCPT"] = b"250-never\r\n"  # begins and does not end
    mx.replies["DATA"] = b"250-ending\r\n"
    async with listening(mx):
        session = await a_session(mx, timeouts=replace(Timeouts(), rcpt=0.2))
        reply = await send(session)
        assert not session.usable
        await session.close()
    assert (reply.code, reply.phase) == (0, "RCPT")
    assert "no reply within 0.2 s" in reply.text


@pytest.mark.parametrize("size", [10, 500_000])
async def test_the_journal_is_told_once_and_before_the_dot(size: int) -> None:
    seen: list[list[bytes]] = []
    mx = ScriptedMx()

    async def journal() -> None:
        for _ in range(20):  # whatever was written has arrived by then: it is the same loop
            await asyncio.sleep(0)
        seen.append(list(mx.partial[-1:]))

    async with listening(mx):
        session = await a_session(mx)
        await send(session, b"A: b\r\n\r\n" + b"line\r\n" * (size // 6), before_dot=journal)
        await session.close()
    assert seen == [[b"line\r\n"] if size > 65_536 else []]
    assert len(mx.messages) == 1


async def test_nothing_is_sent_after_a_journal_that_fails() -> None:
    mx = ScriptedMx()

    async def journal() -> None:
        raise OSError("disk full")

    async with listening(mx):
        session = await a_session(mx)
        with pytest.raises(OSError, match="disk full"):
            await send(session, before_dot=journal)
        await asyncio.wait_for(mx.ended.wait(), 5)
    assert mx.messages == []
    assert not session.usable


async def test_a_refused_recipient_never_reaches_the_journal() -> None:
    mx = ScriptedMx({"RCPT": b"550 5.1.1 no\r\n"})
    told: list[None] = []

    async def journal() -> None:
        told.append(None)

    async with listening(mx):
        session = await a_session(mx)
        await send(session, before_dot=journal)
        await session.close()
    assert told == []


async def test_a_connection_lost_while_the_journal_writes_is_not_uncertain() -> None:
    mx = ScriptedMx()
    async with listening(mx):
        session = await a_session(mx)

        async def journal() -> None:
            session._protocol.abort()
            await session._protocol.lost

        reply = await send(session, before_dot=journal)
    assert (reply.code, reply.phase) == (0, "DATA")


async def test_a_reply_before_its_time_is_never_taken_for_the_dots() -> None:
    mx = ScriptedMx({"DATA": b"354 go\r\n250 2.0.0 taken already\r\n"})
    async with listening(mx):
        session = await a_session(mx)
        reply = await send(session)
        await session.close()
    assert (reply.code, reply.phase) == (0, "DATA")
    assert mx.messages == []


async def test_bytes_between_transactions_end_the_session() -> None:
    mx = ScriptedMx({"dot": b"250 ok\r\n250 and again\r\n"})
    async with listening(mx):
        session = await a_session(mx)
        reply = await send(session)
        assert (reply.code, reply.phase) == (250, ".")
        assert not session.usable
        await session.close()


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


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "dot"])
@pytest.mark.parametrize("junk", [b"hello\r\n", b"99 x\r\n", b"\xff\xfe\r\n", b"x" * 4000])
async def test_what_is_no_reply_is_no_answer(junk: bytes, verb: str) -> None:
    mx = ScriptedMx({verb: junk, "EHLO": PLAIN})
    async with listening(mx):
        session = await a_session(mx)
        reply = await send(session)
        assert not session.usable
        await session.close()
    assert (reply.code, reply.phase) == (0, "." if verb == "dot" else verb)
    assert "reply" in reply.text


async def test_a_server_that_says_421_and_stays_is_left() -> None:
    mx = ScriptedMx({"MAIL": b"421 4.3.2 bye\r\n", "RCPT": b"250-\r\n", "DATA": b"250-\r\n"})
    async with listening(mx):
        session = await a_session(mx)
        reply = await asyncio.wait_for(send(session), 5)
        assert not session.usable
        await session.close()
    assert (reply.code, reply.phase) == (421, "MAIL")


TLS_OFFER = b"250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n"


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


async def test_a_broken_starttls_leads_to_a_plain_session() -> None:
    mx = ScriptedMx({"EHLO": TLS_OFFER})  # says go ahead and has no TLS
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


async def test_a_kept_connection_that_died_is_stale() -> None:
    mx = ScriptedMx()
    async with listening(mx):
        session = await a_session(mx)
        await send(session)
        mx.replies["MAIL"] = HANG_UP
        reply = await send(session)
        await session.close()
    assert (reply.code, reply.phase, session.stale) == (0, "MAIL", True)


async def test_hostile_text_is_bounded_and_printable() -> None:
    mx = ScriptedMx(
        {
            "dot": b"250-\xff\x00\x1b[2J\r\n"
            b"250-" + b"x" * 1900 + b"\r\n250-" + b"y" * 900 + b"\r\n250 end\r\n"
        }
    )
    async with listening(mx):
        session = await a_session(mx)
        reply = await send(session)
        await session.close()
    assert reply.code == 250
    assert len(reply.text) == MAX_TEXT
    assert reply.text.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("message", "recipient"),
    [
        (b"A: b\n\nx", "ann@example.org"),
        (b"A: b\r\n\r\nx\r.\r\n", "ann@example.org"),
        (MESSAGE, "ann@example.org>\r\nRSET"),
        (MESSAGE, "ann b@example.org"),
        (MESSAGE, "nobody"),
    ],
)
async def test_the_callers_mistakes_are_errors_and_cost_no_session(
    message: bytes, recipient: str
) -> None:
    mx = ScriptedMx()
    async with listening(mx):
        session = await a_session(mx)
        with pytest.raises(ValueError, match=r"CRLF|command"):
            await send(session, message, recipient=recipient)
        assert (await send(session)).code == 250
        await session.close()


async def test_a_cancelled_transaction_closes_the_connection() -> None:
    mx = ScriptedMx({"dot": b"250-not yet\r\n"})
    async with listening(mx):
        session = await a_session(mx)
        written = asyncio.Event()

        async def journal() -> None:
            written.set()

        task = asyncio.create_task(send(session, before_dot=journal))
        await asyncio.wait_for(written.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(mx.ended.wait(), 5)
    assert not session.usable


async def test_a_refusal_in_the_middle_of_a_large_message_stops_it() -> None:
    class Impatient(ScriptedMx):
        async def _message(self, reader: asyncio.StreamReader) -> bytes:
            await reader.read(100)
            assert self.writer is not None
            await self._say(self.writer, self._reply("dot"))
            while await reader.read(1_000_000):  # it listens on, but says no more
                pass
            raise ConnectionResetError

    mx = Impatient({"dot": b"552 5.3.4 too much\r\n", "EHLO": b"250-mx\r\n250 PIPELINING\r\n"})
    told: list[None] = []

    async def journal() -> None:
        told.append(None)

    async with listening(mx):
        session = await a_session(mx)
        reply = await send(
            session, b"A: b\r\n\r\n" + b"x" * 60_000_000 + b"\r\n", before_dot=journal
        )
        await session.close()
    assert (reply.code, reply.phase) == (552, "DATA")
    assert told == []
