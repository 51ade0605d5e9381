"""Torture: everything in one piece although something in it goes wrong (RFC 2920), and clients
that close their side in the middle."""

from dataclasses import replace

from mailroom.domain.message import Server
from tests.egress.submission_stand import MESSAGE, SERVER, until
from tests.support.submission_torture import (
    MAIL,
    OPEN,
    OPENED,
    RCPT,
    TAKEN,
    WHOLE,
    Case,
    Start,
    cases,
    customer,
    run,
    stand_for,
)

BAD_MAIL = b"MAIL FROM:<a b>\r\n"
BAD_RCPT = b"RCPT TO:<nobody>\r\n"
CONTENT = MESSAGE + b".\r\n"
LINE_BY_LINE = "502 5.5.1, 502 5.5.1, 500 5.5.2, 502 5.5.1, 502 5.5.1"  # MESSAGE as commands

PIPELINES = (
    Case("bad-mail-then-the-rest", BAD_MAIL + RCPT + b"DATA\r\n",
         "501 5.1.7, 503 5.5.1, 503 5.5.1"),
    Case("bad-mail-then-content", BAD_MAIL + RCPT + b"DATA\r\n" + CONTENT,
         f"501 5.1.7, 503 5.5.1, 503 5.5.1, {LINE_BY_LINE}"),
    Case("bad-rcpt-then-data", MAIL + BAD_RCPT + b"DATA\r\n", "250 2.1.0, 501 5.1.3, 554 5.5.1"),
    Case("bad-rcpt-then-content", MAIL + BAD_RCPT + b"DATA\r\n" + CONTENT,
         f"250 2.1.0, 501 5.1.3, 554 5.5.1, {LINE_BY_LINE}"),
    Case("no-rcpt-then-content", MAIL + b"DATA\r\n" + CONTENT,
         f"250 2.1.0, 554 5.5.1, {LINE_BY_LINE}"),
    Case("one-good-recipient-is-enough", MAIL + BAD_RCPT + RCPT + BAD_RCPT + b"DATA\r\n" + CONTENT,
         "250 2.1.0, 501 5.1.3, 250 2.1.5, 501 5.1.3, 354, 250 2.0.0", stored=1),
    Case("a-recipient-behind-a-refused-data", MAIL + b"DATA\r\n" + RCPT + b"DATA\r\n" + CONTENT,
         "250 2.1.0, 554 5.5.1, 250 2.1.5, 354, 250 2.0.0", stored=1),
    Case("a-refused-message-then-a-good-one", OPEN + b"DATA\r\n\r\n.\r\n" + WHOLE,
         f"{OPENED}, 354, 530 5.7.1, {TAKEN}", stored=1),
    Case("a-good-message-then-a-bad-mail", WHOLE + BAD_MAIL + RCPT + b"DATA\r\n" + WHOLE,
         f"{TAKEN}, 501 5.1.7, 503 5.5.1, 503 5.5.1, {TAKEN}", stored=2),
    Case("refused-parameter-then-the-rest", MAIL.replace(b">", b"> BY=1;R") + RCPT + b"DATA\r\n",
         "555 5.5.4, 503 5.5.1, 503 5.5.1"),
    Case("too-large-then-the-rest", MAIL.replace(b">", b"> SIZE=99999999") + RCPT + b"DATA\r\n",
         "552 5.3.4, 503 5.5.1, 503 5.5.1"),
    Case("malformed-lines-in-between", MAIL + b"\xff\r\n" + RCPT + b"NOOP\nX\r\n" + b"DATA\r\n"
         + CONTENT, "250 2.1.0, 500 5.5.2, 250 2.1.5, 500 5.5.2, 502 5.5.1, 354, 250 2.0.0",
         stored=1),
    Case("an-overlong-line-in-between", MAIL + b"RCPT TO:<" + b"x" * 2000 + b">\r\n" + RCPT
         + b"RSET\r\n", "250 2.1.0, 500 5.5.2, 250 2.1.5, 250 2.0.0"),
    Case("errors-until-the-end", BAD_MAIL + b"BOGUS\r\n" * 11 + WHOLE,
         ", ".join(["501 5.1.7"] + ["502 5.5.1"] * 10 + ["421 4.7.0"]), stays=False),
    Case("commands-behind-quit", OPEN + b"QUIT\r\n" + WHOLE, f"{OPENED}, 221 2.0.0", stays=False),
    Case("before-the-greeting", b"EHLO a\r\nNOOP\r\nQUIT\r\n", "220, 250, 250 2.0.0, 221 2.0.0",
         Start.CONNECTED, stays=False),
    Case("a-login-and-a-message-in-one-piece",
         b"AUTH PLAIN\r\nAGEAYS1zZWNyZXQtb2YtMjQtY2hhcmFjdGVycw==\r\n" + WHOLE,
         f"334, 235 2.7.0, {TAKEN}", Start.SECURE, stored=1),
    Case("a-failed-login-and-a-message-in-one-piece",
         b"AUTH PLAIN AGEAYg==\r\n" + OPEN + b"DATA\r\n",
         "535 5.7.8, 530 5.7.0, 530 5.7.0, 530 5.7.0", Start.SECURE),
)  # fmt: skip
HALF_CLOSED = (
    Case("half-closed-at-once", b"", "220", Start.CONNECTED, stays=False, ends=True),
    Case("half-closed-in-a-command", b"EHL", "", Start.STRANGER, stays=False, ends=True),
    Case("half-closed-behind-cr", b"NOOP\r", "", Start.STRANGER, stays=False, ends=True),
    Case("half-closed-behind-a-command", b"NOOP\r\n", "250 2.0.0", Start.STRANGER, stays=False,
         ends=True),
    Case("half-closed-behind-starttls", b"STARTTLS\r\n", "220 2.0.0", Start.GREETED, stays=False,
         ends=True),
    Case("half-closed-behind-starttls-injected", b"STARTTLS\r\nNOOP\r\n", "220 2.0.0",
         Start.GREETED, stays=False, ends=True),
    Case("half-closed-in-a-transaction", OPEN, OPENED, Start.GREETED, stays=False, ends=True,
         known=True),
    Case("half-closed-behind-data", OPEN + b"DATA\r\n", f"{OPENED}, 354", Start.GREETED,
         stays=False, ends=True, known=True),
    Case("half-closed-in-a-message", OPEN + b"DATA\r\n" + MESSAGE, f"{OPENED}, 354",
         Start.GREETED, stays=False, ends=True, known=True),
    Case("half-closed-before-the-last-lf", WHOLE[:-1], f"{OPENED}, 354", Start.GREETED,
         stays=False, ends=True, known=True),
    Case("half-closed-behind-the-dot", WHOLE, TAKEN, Start.GREETED, stays=False, ends=True,
         known=True, stored=1),
    Case("half-closed-behind-two-messages", WHOLE * 2, f"{TAKEN}, {TAKEN}", Start.GREETED,
         stays=False, ends=True, known=True, stored=2),
    Case("half-closed-in-a-chunk", OPEN + b"BDAT 99 LAST\r\n" + MESSAGE, OPENED, Start.GREETED,
         stays=False, ends=True, known=True),
    Case("half-closed-between-chunks", OPEN + b"BDAT 5\r\nFrom:", f"{OPENED}, 250 2.0.0",
         Start.GREETED, stays=False, ends=True, known=True),
    Case("half-closed-behind-the-last-chunk",
         OPEN + b"BDAT %d LAST\r\n" % len(MESSAGE) + MESSAGE, f"{OPENED}, 250 2.0.0",
         Start.GREETED, stays=False, ends=True, known=True, stored=1),
)  # fmt: skip
CASES = PIPELINES + HALF_CLOSED


@cases(CASES)
async def test_all_replies_come_in_order(case: Case) -> None:
    await run(case)


SUSPENDED: Server = replace(SERVER, suspended="unpaid")
OF_A_SUSPENDED_SERVER = Case("refused", OPEN + b"DATA\r\n", "250 2.1.0, 535 5.7.0, 554 5.5.1")


async def test_recipients_of_a_suspended_server_are_refused_in_order() -> None:
    stand = stand_for(OF_A_SUSPENDED_SERVER)
    stand.directory.add_server(SUSPENDED)
    async with stand.listening():
        user = await stand.user()
        user.send(OF_A_SUSPENDED_SERVER.sent)
        assert [each[:9] for each in await user.replies(3)] == OF_A_SUSPENDED_SERVER.codes


async def test_a_client_that_goes_away_behind_the_dot_has_sent_its_mail_once() -> None:
    case = Case("gone", WHOLE, known=True)
    async with stand_for(case).listening() as stand:
        bystander = await customer(stand)
        client = await stand.client()
        client.send(b"EHLO a\r\n" + WHOLE)
        await client.replies(4)  # up to 354
        client.hang_up()
        await until(lambda: len(stand.stored) == 1)
        assert (await bystander.deliver()).startswith("250 ")
        await until(lambda: len(stand.office.sessions) == 1)
        assert stand.office.held.held == 0
        assert len(stand.stored) == 2
