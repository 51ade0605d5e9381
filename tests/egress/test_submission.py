"""The submission server on real sockets: what a client says, what it hears, what is stored."""

import asyncio
import contextlib
import threading
from dataclasses import replace

import pytest

from mailroom.domain.message import Domain
from mailroom.domain.send_limit import LimitAction, Limits
from tests.egress.submission_stand import (
    CALM,
    MESSAGE,
    SECRET,
    SERVER,
    Stand,
    Walk,
    on_uvloop,
    plain,
    until,
    walks,
)


async def test_a_message_is_stored_before_it_is_acknowledged() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        said = await user.deliver(MESSAGE, "ann@example.org", "bob@example.org")
        (submission,) = stand.stored
        first, last = (submission.key(index).postal_id for index in (0, 1))
        assert said == f"250 2.0.0 Ok: queued as {first} to {last}"
        assert (submission.source, submission.mail_from) == ("smtp", "shop@acme.test")
        assert (submission.received_with_ssl, submission.credential) == (True, "c1")
        assert [str(each) for each in stand.parcels[0].recipients] == [
            "ann@example.org",
            "bob@example.org",
        ]
        assert (await user.say("QUIT")).startswith("221 2.0.0 ")
        assert await user.is_hung_up_on()


async def test_the_trace_goes_in_front_and_the_rest_is_untouched() -> None:
    async with Stand().listening() as stand:
        await (await stand.user()).deliver()
        trace, _, rest = stand.raw().partition(b"\r\nFrom: ")
        assert b"From: " + rest == MESSAGE
        assert trace.startswith(
            b"Received: from app.test ([127.0.0.1])\r\n\tby smtp.mailroom.test with ESMTPSA id log"
        )


async def test_one_connection_carries_many_messages_and_the_null_sender() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        assert (await user.deliver()).startswith("250 ")
        assert (await user.begin(sender="")).startswith("354 ")
        user.send(MESSAGE + b".\r\n")
        assert (await user.reply()).startswith("250 ")
        assert [each.mail_from for each in stand.stored] == ["shop@acme.test", ""]


async def test_a_pipelined_transaction_is_answered_in_order() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        user.send(
            b"MAIL FROM:<shop@acme.test>\r\nRCPT TO:<ann@example.org>\r\n"
            b"RCPT TO:<nobody>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
        )
        codes = [each[:9] for each in await user.replies(5)]
        assert codes == ["250 2.1.0", "250 2.1.5", "501 5.1.3", "250 2.1.5", "354 End w"]
        user.send(MESSAGE + b".\r\nMAIL FROM:<>\r\nRCPT TO:<cyd@example.org>\r\nDATA\r\n")
        codes = [each[:9] for each in await user.replies(4)]
        assert codes == ["250 2.0.0", "250 2.1.0", "250 2.1.5", "354 End w"]
        user.send(MESSAGE + b".\r\nQUIT\r\n")
        assert [each[:4] for each in await user.replies(2)] == ["250 ", "221 "]
        assert [each.recipients for each in stand.stored] == [2, 1]


async def test_a_repeated_recipient_gets_the_message_once() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        await user.deliver(MESSAGE, "ann@example.org", "ann@EXAMPLE.org", "Ann@example.org")
        assert stand.stored[0].recipients == 2  # local parts keep their case, domains do not


async def test_data_after_refused_recipients_only_is_refused() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        await user.say("MAIL FROM:<shop@acme.test>")
        await user.say("RCPT TO:<nobody>")
        assert (await user.say("DATA")).startswith("554 5.5.1 ")
        assert stand.stored == []


async def test_commands_injected_in_front_of_tls_do_not_run_inside() -> None:
    async with Stand().listening() as stand:
        client = await stand.client()
        await client.say("EHLO app.test")
        client.send(b"STARTTLS\r\nEHLO evil.test\r\nNOOP\r\nBOGUS\r\n")
        assert (await client.reply()).startswith("220 2.0.0 ")
        await client.handshake()
        assert (await client.say("MAIL FROM:<a@acme.test>")).startswith("503 5.5.1 ")
        assert "AUTH PLAIN LOGIN" in await client.say("EHLO app.test")


async def test_a_flood_in_front_of_tls_is_dropped_too() -> None:
    async with Stand().listening() as stand:
        client = await stand.client()
        client.send(b"STARTTLS\r\n" + b"NOOP\r\n" * 6_000)  # more than is read at once
        assert (await client.reply()).startswith("220 ")
        await client.handshake()
        assert "AUTH PLAIN LOGIN" in await client.say("EHLO app.test")


async def test_a_client_that_speaks_no_tls_after_starttls_is_let_go() -> None:
    async with Stand().listening() as stand:
        client = await stand.client()
        await client.say("STARTTLS")
        client.send(b"NOOP\r\nNOOP\r\nNOOP\r\n" * 10)
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                await client.reader.read()
        await until(lambda: not stand.office.sessions)
        assert (await stand.client()) is not None


@pytest.mark.parametrize(
    "response",
    [plain("wrong"), plain(""), plain("an-api-key"), plain(SECRET[:-1]), plain(SECRET.upper())],
)
async def test_what_is_no_smtp_secret_logs_nobody_in(response: str) -> None:
    async with Stand().listening() as stand:
        client = await stand.secure_client()
        assert (await client.say(f"AUTH PLAIN {response}")).startswith("535 5.7.8 ")
        assert (await client.say("MAIL FROM:<>")).startswith("530 5.7.0 ")


async def test_the_third_failed_login_ends_the_connection() -> None:
    async with Stand().listening() as stand:
        client = await stand.secure_client()
        said = [(await client.say(f"AUTH PLAIN {plain('wrong')}"))[:9] for _ in range(3)]
        assert said == ["535 5.7.8", "535 5.7.8", "421 4.7.0"]
        assert await client.is_hung_up_on()


async def test_the_user_name_means_nothing_and_the_response_may_come_later() -> None:
    async with Stand().listening() as stand:
        client = await stand.secure_client()
        assert await client.say("AUTH PLAIN") == "334 "
        assert (await client.say(plain(SECRET, "who", "ever"))).startswith("235 2.7.0 ")


async def test_no_password_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with Stand().listening() as stand:
        client = await stand.secure_client()
        await client.say(f"AUTH PLAIN {plain('wrong-password')}")
        await client.say("AUTH PLAIN")
        await client.say(plain(SECRET))
        await client.deliver()
        await client.say("QUIT")
    logged = "".join(f"{vars(record)}" for record in caplog.records)
    assert "log" in logged
    for secret in (SECRET, "wrong-password", plain(SECRET), plain("wrong-password")):
        assert secret not in logged


async def test_each_message_and_each_session_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "egress.submission")
    async with Stand().listening() as stand:
        user = await stand.user()
        await user.deliver()
        await user.deliver(b"no author\r\n")
        await user.say("QUIT")
        await until(lambda: not stand.office.sessions)
    lines = [vars(each) for each in caplog.records if each.message in ("message", "session")]
    assert [each["message"] for each in lines] == ["message", "message", "session"]
    assert [each["reply"][:9] for each in lines[:2]] == ["250 2.0.0", "530 5.7.1"]
    assert lines[0]["octets"] >= len(MESSAGE)
    assert lines[2]["ended"] == "221 2.0.0 Bye"
    assert (lines[2]["client"], lines[2]["credential"]) == ("127.0.0.1", "c1")


async def test_a_directory_out_of_reach_is_no_wrong_password() -> None:
    stand = Stand()

    def unreachable(secret: str, kind: str) -> None:
        raise ConnectionError("no directory")

    async with stand.listening():
        client = await stand.secure_client()
        stand.directory.credential = unreachable  # type: ignore[method-assign]
        assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("454 4.7.0 ")
        del stand.directory.credential
        assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("235 ")
        stand.directory.credential = unreachable  # type: ignore[method-assign]
        assert (await client.say("MAIL FROM:<>")).startswith("451 4.3.0 ")


async def test_a_long_session_does_not_outlive_its_credential() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        assert (await user.deliver()).startswith("250 ")
        stand.directory._credentials.clear()
        assert (await user.say("MAIL FROM:<>")).startswith("530 5.7.0 ")


async def test_headers_say_what_a_program_wants_of_us() -> None:
    labelled = (
        b"X-Mailroom-Stream: broadcast\r\nX-Mailroom-Tag: a\r\nX-Mailroom-Tag: b\r\n"
        b"X-Mailroom-Metadata-Order: 7\r\nX-Mailroom-Track: none\r\n" + MESSAGE
    )
    async with Stand().listening() as stand:
        user = await stand.user()
        assert (await user.deliver(labelled)).startswith("250 ")
        bad = b"X-Mailroom-Track: perhaps\r\n" + MESSAGE
        assert (await user.deliver(bad)).startswith("554 5.6.0 ")
    (submission,) = stand.stored
    assert (submission.stream, submission.tags) == ("broadcast", ("a", "b"))
    assert (submission.metadata, submission.track_opens) == ({"order": "7"}, False)


async def test_a_server_over_its_limit_is_told_to_come_later() -> None:
    stand = Stand()
    full = Limits(hour=1, action=LimitAction.REJECT)
    stand.directory.add_server(replace(SERVER, limits=full))
    async with stand.listening():
        user = await stand.user()
        assert (await user.deliver()).startswith("250 ")
        assert (await user.deliver()).startswith("451 4.7.1 ")
    assert len(stand.stored) == 1


async def test_a_suspended_server_may_log_in_but_not_send() -> None:
    async with Stand().listening() as stand:
        stand.directory.add_server(replace(SERVER, suspended="unpaid"))
        user = await stand.user()
        await user.say("MAIL FROM:<>")
        assert (await user.say("RCPT TO:<ann@example.org>")).startswith("535 5.7.0 ")
        assert (await user.say("DATA")).startswith("554 5.5.1 ")


REFUSED = [
    (b"From: x@other.test\r\n\r\nnot ours\r\n", "530 5.7.1"),
    (b"Subject: nobody\r\n\r\n\r\n", "530 5.7.1"),
    (b"", "530 5.7.1"),
    (b"From: x@acme.test\r\nSubject: a\nb\r\n\r\n", "554 5.6.0"),
    (b"From: x@acme.test\r\n\r\nbare\rreturn\r\n", "554 5.6.0"),
    (b"From: x@acme.test\r\n\r\nnul\0\r\n", "554 5.6.0"),
    (b"From: x@acme.test\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", "554 5.6.0"),
]


@pytest.mark.parametrize(("content", "said"), REFUSED)
async def test_refused_content_is_not_stored_and_the_session_goes_on(
    content: bytes, said: str
) -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        assert (await user.deliver(content)).startswith(said)
        assert stand.stored == []
        assert (await user.deliver()).startswith("250 ")
        assert len(stand.stored) == 1


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n"]
)
async def test_nothing_but_the_proper_end_ends_a_message(end: bytes) -> None:
    smuggled = b"MAIL FROM:<evil@acme.test>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n" + MESSAGE
    async with Stand().listening() as stand:
        user = await stand.user()
        await user.begin()
        user.send(MESSAGE + b"hi" + end + smuggled + b".\r\n")
        assert (await user.reply()).startswith("554 5.6.0 ")
        assert (await user.say("NOOP")).startswith("250 ")
        assert stand.stored == []


async def test_a_command_must_end_in_crlf() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        user.send(b"NOOP\nNOOP\r\n")
        assert [each[:9] for each in await user.replies(2)] == ["500 5.5.2", "250 2.0.0"]


async def test_a_message_over_the_limit_is_read_to_its_end_and_refused() -> None:
    async with Stand(replace(CALM, message_size=50_000)).listening() as stand:
        user = await stand.user()
        assert (await user.say("MAIL FROM:<> SIZE=50001")).startswith("552 5.3.4 ")
        await user.begin()
        for _ in range(64):
            user.send(b"0123456789abcde\r\n" * 4096)
            await user.writer.drain()
        user.send(b".\r\n")
        assert (await user.reply()).startswith("552 5.3.4 ")
        assert (await user.deliver()).startswith("250 ")
        await until(lambda: stand.office.held.held == 0)


async def test_a_message_of_exactly_the_announced_size_is_taken() -> None:
    async with Stand(replace(CALM, message_size=1000)).listening() as stand:
        user = await stand.user()
        head = MESSAGE + b"..\r\n"  # one dot of it is stuffing and does not count
        fill = b"x" * (1000 - len(head) + 1 - 2) + b"\r\n"
        assert (await user.deliver(head + fill)).startswith("250 ")
        assert (await user.deliver(head + b"x" + fill)).startswith("552 5.3.4 ")


async def test_trouble_behind_the_door_promises_nothing() -> None:
    stand = Stand()

    def fail() -> None:
        raise ConnectionError("no table")

    stand.before_accept = fail
    async with stand.listening():
        user = await stand.user()
        assert (await user.deliver()).startswith("451 4.3.0 ")
        stand.before_accept = lambda: None
        assert (await user.deliver()).startswith("250 ")
        assert len(stand.stored) == 1


async def test_an_acceptance_outlives_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "egress.submission")
    stand, reached, go_on = Stand(), threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        assert go_on.wait(20)

    stand.before_accept = wait
    async with stand.listening():
        user = await stand.user()
        await user.begin()
        user.send(MESSAGE + b".\r\n")
        await until(reached.is_set)
        user.hang_up()
        await until(lambda: not stand.office.sessions)
        go_on.set()
        await until(lambda: stand.office.held.held == 0)
        assert len(stand.stored) == 1
    (line,) = [vars(each) for each in caplog.records if each.message == "message"]
    assert line["reply"].startswith("250 2.0.0 ")


async def test_a_message_cut_off_before_its_end_is_nobodys() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        await user.begin()
        user.send(MESSAGE + b"more\r\n.")
        await until(lambda: stand.office.held.held > 0)
        user.hang_up()
        await until(lambda: not stand.office.sessions)
        assert stand.office.held.held == 0
        assert stand.stored == []


async def test_the_organisations_domains_may_send_too() -> None:
    async with Stand().listening() as stand:
        stand.directory.add_domain(Domain("big.test", "organisation#acme", True, "s", b"k"))
        user = await stand.user()
        content = b"From: a@big.test\r\n\r\n\r\n"
        assert (await user.deliver(content)).startswith("250 ")


WALKS = walks(globals())


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.__name__)
def test_all_of_it_holds_on_uvloop_too(walk: Walk) -> None:
    on_uvloop(walk)
