"""Transactions with a scripted receiving host: what is sent, and what comes back as data."""

import asyncio

import aiosmtplib
import pytest

from mailroom.domain.reply import SmtpReply
from tests.egress.scripted_mx import PLAIN, ScriptedMx, listening
from tests.egress.sessions import MESSAGE, a_session, send


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


@pytest.mark.parametrize(
    ("message", "utf8", "recipient", "wanted"),
    [
        ("Subject: gr\u00fcn\r\n\r\nx\r\n", True, "ann@example.org", True),
        ("Subject: gr\u00fcn\r\n\r\nx\r\n", False, "ann@example.org", False),
        ("Subject: x\r\n\r\ngr\u00fcn\r\n", True, "ann@example.org", False),
        ("Subject: x\r\n\r\nx\r\n", False, "jos\u00e9@example.org", True),
        ("Subject: x\r\n\r\nx\r\n", False, "ann@b\u00fccher.example", False),
    ],
    ids=["fields", "fields nobody called UTF-8", "body only", "local part", "domain only"],
)
@pytest.mark.parametrize("offered", [True, False])
async def test_smtputf8_is_asked_for_where_it_is_needed_and_only_there(
    offered: bool, message: str, utf8: bool, recipient: str, wanted: bool
) -> None:
    mx = ScriptedMx({"EHLO": b"250-mx\r\n250 SMTPUTF8\r\n" if offered else PLAIN})
    async with listening(mx):
        session = await a_session(mx)
        reply = await send(session, message.encode(), recipient=recipient, utf8=utf8)
        await session.close()
    assert any(b" SMTPUTF8" in line for line in mx.commands) == (wanted and offered)
    refused = (553, "5.6.7") if wanted and not offered else (250, "2.0.0")
    assert (reply.code, reply.enhanced_text) == refused


async def test_8_bit_content_goes_to_a_host_without_8bitmime_unchanged() -> None:
    mx = ScriptedMx({"EHLO": b"250 mx\r\n"})
    async with listening(mx):
        session = await a_session(mx)
        reply = await send(session, b"A: b\r\n\r\n\xc3\xa9\r\n")
        await session.close()
    assert reply.code == 250
    assert mx.messages == [b"A: b\r\n\r\n\xc3\xa9\r\n.\r\n"]
    assert not any(b"BODY" in line for line in mx.commands)
