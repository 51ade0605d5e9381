"""Torture: commands in any order, known or not, once or a thousand times."""

from dataclasses import replace

from tests.egress.submission_stand import CALM, MESSAGE
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
    run,
)

BEFORE_ANYTHING = (
    Case("mail-before-ehlo", MAIL, "503 5.5.1", Start.STRANGER),
    Case("rcpt-before-ehlo", RCPT, "530 5.7.0", Start.STRANGER),
    Case("data-before-ehlo", b"DATA\r\n", "530 5.7.0", Start.STRANGER),
    Case("bdat-before-ehlo", b"BDAT 6 LAST\r\nRSET\r\n", "530 5.7.0", Start.STRANGER),
    Case("auth-in-clear", b"AUTH PLAIN AGEAYg==\r\n", "530 5.7.0", Start.GREETED),
    Case("mail-in-clear", MAIL, "530 5.7.0", Start.GREETED),
    Case(
        "what-needs-no-greeting",
        b"RSET\r\nNOOP\r\nHELP\r\nVRFY ann\r\n",
        "250 2.0.0, 250 2.0.0, 214 2.0.0, 252 2.0.0",
        Start.STRANGER,
    ),
    Case("quit-first", b"QUIT\r\n", "221 2.0.0", Start.STRANGER, stays=False),
    Case("quit-with-an-argument", b"QUIT now\r\n", "501 5.5.4", Start.STRANGER),
    Case("starttls-with-an-argument", b"STARTTLS now\r\n", "501 5.5.4", Start.GREETED),
    Case("mail-without-a-login", MAIL, "530 5.7.0", Start.SECURE),
    Case("whole-message-without-a-login", OPEN, "530 5.7.0, 530 5.7.0", Start.SECURE),
    Case("mail-before-ehlo-inside-tls", MAIL, "503 5.5.1", Start.IMPLICIT),
)
GREETINGS = (
    Case("ehlo-without-a-name", b"EHLO\r\nEHLO \r\n", "501 5.5.4, 501 5.5.4"),
    Case("ehlo-with-two-names", b"EHLO a.test b.test\r\n", "501 5.5.4"),
    Case("helo-without-a-name", b"HELO\r\n", "501 5.5.4"),
    Case("ehlo-with-a-name-of-256", b"EHLO " + b"a" * 256 + b"\r\n", "501 5.5.4"),
    Case("ehlo-with-a-name-of-255", b"EHLO " + b"a" * 255 + b"\r\n", "250"),
    Case("a-second-ehlo-keeps-the-login", b"EHLO other.test\r\n" + MAIL, "250, 250 2.1.0"),
    Case("ehlo-ends-a-transaction", OPEN + b"EHLO a\r\nDATA\r\n", f"{OPENED}, 250, 503 5.5.1"),
    Case("helo-ends-a-transaction", OPEN + b"HELO a\r\nDATA\r\n", f"{OPENED}, 250, 503 5.5.1"),
    Case("a-refused-ehlo-ends-nothing", OPEN + b"EHLO\r\n" + RCPT,
         f"{OPENED}, 501 5.5.4, 250 2.1.5"),
    Case(
        "helo-has-no-extensions",
        b"HELO a.test\r\nMAIL FROM:<a@acme.test> SMTPUTF8\r\n" + MAIL
        + b"RCPT TO:<ann@example.org> NOTIFY=NEVER\r\n",
        "250, 555 5.5.4, 250 2.1.0, 555 5.5.4",
    ),
    Case("no-login-behind-helo", b"HELO a.test\r\nAUTH PLAIN\r\n", "250, 503 5.5.1", Start.SECURE),
)  # fmt: skip
TRANSACTIONS = (
    Case("rcpt-without-mail", RCPT, "503 5.5.1"),
    Case("data-without-mail", b"DATA\r\n", "503 5.5.1"),
    Case("mail-twice", MAIL + MAIL + RCPT, "250 2.1.0, 503 5.5.1, 250 2.1.5"),
    Case("data-without-rcpt", MAIL + b"DATA\r\n", "250 2.1.0, 554 5.5.1"),
    Case("data-with-an-argument", OPEN + b"DATA now\r\n", f"{OPENED}, 501 5.5.4"),
    Case("rset-ends-a-transaction", OPEN + b"RSET\r\nDATA\r\n", f"{OPENED}, 250 2.0.0, 503 5.5.1"),
    Case(
        "a-refused-rset-ends-nothing",
        OPEN + b"RSET all\r\nDATA\r\n" + MESSAGE + b".\r\n",
        f"{OPENED}, 501 5.5.4, 354, 250 2.0.0",
        stored=1,
    ),
    Case("rcpt-behind-the-message", WHOLE + RCPT, f"{TAKEN}, 503 5.5.1", stored=1),
    Case("data-behind-the-message", WHOLE + b"DATA\r\n", f"{TAKEN}, 503 5.5.1", stored=1),
    Case("three-messages-in-one-piece", WHOLE * 3, ", ".join([TAKEN] * 3), stored=3),
    Case("quit-in-a-transaction", OPEN + b"QUIT\r\n", f"{OPENED}, 221 2.0.0", stays=False),
    Case("what-follows-quit-is-not-run", b"QUIT\r\n" + WHOLE, "221 2.0.0", stays=False),
    Case(
        "nothing-in-between-does-harm",
        MAIL + b"NOOP\r\nHELP\r\nVRFY x\r\n" + RCPT + b"NOOP x\r\nDATA\r\n" + MESSAGE + b".\r\n",
        "250 2.1.0, 250 2.0.0, 214 2.0.0, 252 2.0.0, 250 2.1.5, 250 2.0.0, 354, 250 2.0.0",
        stored=1,
    ),
    Case("starttls-inside-tls", b"STARTTLS\r\n", "503 5.5.1"),
    Case("starttls-inside-tls-of-a-transaction", OPEN + b"STARTTLS\r\n" + RCPT,
         f"{OPENED}, 503 5.5.1, 250 2.1.5"),
)  # fmt: skip
STRANGE = tuple(
    Case(f"unknown-{line.split()[0].decode().lower()}", line + b"\r\n", "502 5.5.1", Start.STRANGER)
    for line in (
        b"EXPN list", b"TURN", b"ETRN example.org", b"ATRN", b"SEND FROM:<a@b.test>",
        b"SOML FROM:<a@b.test>", b"XCLIENT ADDR=192.0.2.1", b"XFORWARD ADDR=192.0.2.1",
        b"GET / HTTP/1.1", b"LHLO a", b"BURL imap://x LAST", b"MAILFROM:<a@b.test>", b"EHLOa",
    )
)  # fmt: skip
STORMS = (
    Case("ten-unknown-commands", b"BOGUS\r\n" * 10, ", ".join(["502 5.5.1"] * 10), Start.STRANGER),
    Case(
        "eleven-unknown-commands",
        b"BOGUS\r\n" * 20,
        ", ".join(["502 5.5.1"] * 10 + ["421 4.7.0"]),
        Start.STRANGER,
        stays=False,
    ),
    Case(
        "an-http-request",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n" + OPEN + b"DATA\r\n",
        "502 5.5.1, 502 5.5.1, 502 5.5.1, 500 5.5.2, 503 5.5.1, 530 5.7.0, 530 5.7.0",
        Start.STRANGER,
    ),
    Case("a-storm-of-rset", b"RSET\r\n" * 2000, ", ".join(["250 2.0.0"] * 2000), Start.STRANGER),
    Case("a-storm-of-ehlo", b"EHLO a\r\n" * 500, ", ".join(["250"] * 500), Start.STRANGER),
    Case("a-storm-of-transactions", (OPEN + b"RSET\r\n") * 9,
         ", ".join([f"{OPENED}, 250 2.0.0"] * 9)),
    Case(
        "commands-are-counted",
        b"NOOP\r\n" * 60,
        ", ".join(["250 2.0.0"] * 50 + ["421 4.7.0"]),
        Start.STRANGER,
        stays=False,
        limits=replace(CALM, commands=50),
    ),
    Case(
        "transactions-are-counted",
        (MAIL + b"RSET\r\n") * 4,
        "250 2.1.0, 250 2.0.0, 250 2.1.0, 250 2.0.0, 421 4.7.0",
        stays=False,
        limits=replace(CALM, transactions=2),
    ),
)  # fmt: skip
CASES = BEFORE_ANYTHING + GREETINGS + TRANSACTIONS + STRANGE + STORMS


@cases(CASES)
async def test_any_order_gets_the_right_codes(case: Case) -> None:
    await run(case)
