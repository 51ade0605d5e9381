"""Torture: everything that has a length, at its limit and one over it."""

from dataclasses import replace

from tests.egress.submission_stand import CALM, MESSAGE, plain
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


def filled(line: bytes, octets: int) -> bytes:
    """Make a command `octets` long with its CRLF, by spaces at its end."""
    return line.removesuffix(b"\r\n").ljust(octets - 2) + b"\r\n"


def rcpt(address: bytes) -> bytes:
    return MAIL + b"RCPT TO:<" + address + b">\r\n"


def told(rcpt_said: str) -> str:
    return f"250 2.1.0, {rcpt_said}"


def login(octets: int) -> bytes:
    """An AUTH command of that length with its CRLF, and a well-formed PLAIN response."""
    room = octets - len(b"AUTH PLAIN \r\n")
    response = plain("x" * (room // 4 * 3 - len("\0anyone\0"))).encode()
    return b"AUTH PLAIN " + response.ljust(room, b" ") + b"\r\n"


LONGEST_LOCAL = b"l" * 64
LABEL = b"d" * 63
# 254 octets in all: 64, the @, and 189 of domain.
LONGEST_ADDRESS = LONGEST_LOCAL + b"@" + b".".join([LABEL, LABEL, b"d" * 61])
LINES = (
    Case("noop-of-512", filled(b"NOOP x", 512), "250 2.0.0"),
    Case("noop-of-513", filled(b"NOOP x", 513), "500 5.5.2"),
    Case("mail-of-1181", filled(MAIL, 1181), "250 2.1.0"),
    Case("mail-of-1182", filled(MAIL, 1182), "500 5.5.2"),
    Case("rcpt-of-1048", MAIL + filled(RCPT, 1048), told("250 2.1.5")),
    Case("rcpt-of-1049", MAIL + filled(RCPT, 1049), told("500 5.5.2")),
    Case("auth-of-12288", login(12_288), "535 5.7.8", Start.SECURE),
    Case("auth-of-12289", login(12_289), "500 5.5.6", Start.SECURE),
    Case("auth-of-60000", login(60_000), "500 5.5.6", Start.SECURE),
    Case("response-of-12289", b"AUTH PLAIN\r\n" + login(12_300)[11:], "334, 500 5.5.6",
         Start.SECURE),
    Case("response-of-a-megabyte", b"AUTH PLAIN\r\n" + b"A" * 1_000_000 + b"\r\n",
         "334, 500 5.5.6", Start.SECURE),
    Case("unknown-verb-of-510", b"X" * 510 + b"\r\n", "502 5.5.1", Start.STRANGER),
    Case("unknown-verb-of-511", b"X" * 511 + b"\r\n", "500 5.5.2", Start.STRANGER),
    Case("line-of-900000", b"X" * 900_000 + b"\r\n", "500 5.5.2", Start.STRANGER),
    Case("line-that-never-ends", b"X" * 3_000_000, "", Start.STRANGER, stays=False),
    Case("overlong-lines-are-errors", (b"X" * 600 + b"\r\n") * 11,
         ", ".join(["500 5.5.2"] * 10 + ["421 4.7.0"]), Start.STRANGER, stays=False),
    Case("empty-lines-are-errors", b"\r\n" * 20,
         ", ".join(["500 5.5.2"] * 10 + ["421 4.7.0"]), Start.STRANGER, stays=False),
)  # fmt: skip
ADDRESSES = (
    Case("local-part-of-64", rcpt(LONGEST_LOCAL + b"@example.org"), told("250 2.1.5")),
    Case("local-part-of-65", rcpt(b"l" * 65 + b"@example.org"), told("501 5.1.3")),
    Case("local-part-of-65-in-utf8", MAIL.replace(b">", b"> SMTPUTF8")
         + "RCPT TO:<{}l@example.org>\r\n".format("é" * 32).encode(), told("501 5.1.3")),
    Case("label-of-63", rcpt(b"ann@" + LABEL + b".org"), told("250 2.1.5")),
    Case("label-of-64", rcpt(b"ann@d" + LABEL + b".org"), told("501 5.1.3")),
    Case("address-of-254", rcpt(LONGEST_ADDRESS), told("250 2.1.5")),
    Case("address-of-255", rcpt(LONGEST_ADDRESS + b"d"), told("501 5.1.3")),
    Case("address-of-500", rcpt(b"a@" + b"d." * 249), told("501 5.1.3")),
    Case("sender-of-254", b"MAIL FROM:<" + LONGEST_ADDRESS + b">\r\n", "250 2.1.0"),
    Case("sender-of-255", b"MAIL FROM:<d" + LONGEST_ADDRESS + b">\r\n", "501 5.1.7"),
    Case("quotes-without-end", rcpt(b'"' * 900), told("501 5.1.3")),
    Case("escapes-without-end", rcpt(b'"' + b"\\" * 901 + b"@example.org"), told("501 5.1.3")),
    Case("a-thousand-dots", rcpt(b"." * 900 + b"@example.org"), told("501 5.1.3")),
)  # fmt: skip
SMALL = replace(CALM, message_size=1000)
FITTING = MESSAGE + b"x" * (1000 - len(MESSAGE) - 2) + b"\r\n"
MESSAGES = (
    Case("message-of-the-limit", WHOLE.replace(MESSAGE, FITTING), TAKEN, stored=1, limits=SMALL),
    Case("message-one-over-the-limit", WHOLE.replace(MESSAGE, b"x" + FITTING),
         f"{OPENED}, 354, 552 5.3.4", limits=SMALL),
    Case("message-far-over-the-limit", WHOLE.replace(MESSAGE, FITTING * 500) + b"NOOP\r\n",
         f"{OPENED}, 354, 552 5.3.4, 250 2.0.0", limits=SMALL),
    Case("size-of-the-limit", MAIL.replace(b">", b"> SIZE=1000"), "250 2.1.0", limits=SMALL),
    Case("size-one-over", MAIL.replace(b">", b"> SIZE=1001"), "552 5.3.4", limits=SMALL),
    Case("size-that-lies", WHOLE.replace(b"st>", b"st> SIZE=1", 1).replace(MESSAGE, FITTING * 500),
         f"{OPENED}, 354, 552 5.3.4", limits=SMALL),
    Case("stuffed-dots-do-not-count", OPEN + b"DATA\r\n" + MESSAGE + b"..\r\n" * 300 + b".\r\n",
         TAKEN, stored=1, limits=SMALL),
    Case("one-line-of-a-megabyte", WHOLE.replace(b"hello", b"h" * 1_000_000), TAKEN, stored=1),
    Case("a-header-of-600000", WHOLE.replace(b"hi", b"h" * 600_000), f"{OPENED}, 354, 554 5.6.0"),
    Case("a-header-of-50000-fields", WHOLE.replace(b"hi", b"h" + b"\r\nX: y" * 50_000),
         f"{OPENED}, 354, 554 5.6.0"),
)  # fmt: skip
MANY = b"".join(b"RCPT TO:<u%d@example.org>\r\n" % number for number in range(1000))
RECIPIENTS = (
    Case(
        "a-thousand-recipients",
        MAIL + MANY + b"DATA\r\n" + MESSAGE + b".\r\n",
        ", ".join(
            ["250 2.1.0"] + ["250 2.1.5"] * 150 + ["452 4.5.3"] * 850 + ["354", "250 2.0.0"]
        ),
        stored=1,
    ),
    Case("one-recipient-a-thousand-times", MAIL + RCPT * 1000 + b"DATA\r\n" + MESSAGE + b".\r\n",
         ", ".join(["250 2.1.0"] + ["250 2.1.5"] * 1000 + ["354", "250 2.0.0"]), stored=1),
    Case("a-thousand-refused-recipients", MAIL + b"RCPT TO:<x>\r\n" * 1000 + b"DATA\r\n",
         ", ".join(["250 2.1.0"] + ["501 5.1.3"] * 1000 + ["554 5.5.1"])),
)  # fmt: skip
CASES = LINES + ADDRESSES + MESSAGES + RECIPIENTS


@cases(CASES)
async def test_any_length_gets_the_right_codes(case: Case) -> None:
    await run(case)
