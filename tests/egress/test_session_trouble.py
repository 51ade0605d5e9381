"""Hosts that hang up, fall silent or talk nonsense within a transaction."""

import asyncio
from dataclasses import replace

import pytest

from egress.session import MAX_TEXT, Timeouts
from tests.egress.scripted_mx import HANG_UP, PLAIN, ScriptedMx, listening
from tests.egress.sessions import a_session, send


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


@pytest.mark.parametrize(("first", "stale"), [(True, False), (False, True)])
async def test_a_421_to_mail_is_stale_on_a_kept_connection_only(first: bool, stale: bool) -> None:
    mx = ScriptedMx()
    async with listening(mx):
        session = await a_session(mx)
        if not first:
            await send(session)
        mx.replies["MAIL"] = b"421 4.7.0 enough for one connection\r\n"
        reply = await send(session)
        await session.close()
    assert (reply.code, reply.phase, session.stale) == (421, "MAIL", stale)
