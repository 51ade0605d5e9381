"""Torture: BDAT that lies about sizes, order and ends (RFC 3030)."""

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

LAST = b"BDAT %d LAST\r\n" % len(MESSAGE) + MESSAGE
BODY = len(b"hello\r\n")
BY_OCTETS = MESSAGE + b"x" * 9_940 + b"\r\n"


def piece(content: bytes, *, last: bool = False) -> bytes:
    return b"BDAT %d%s\r\n" % (len(content), b" LAST" if last else b"") + content


SIZES = tuple(
    # What follows would do harm if it were run: the server must not guess where it ends.
    Case(f"chunk-{name}", OPEN + b"BDAT" + size + b"\r\n" + b"RSET\r\n" + WHOLE,
         f"{OPENED}, {said}", stays=False)
    for name, size, said in (
        ("of-nothing", b"", "501 5.5.4"),
        ("of-a-word", b" many", "501 5.5.4"),
        ("negative", b" -6 LAST", "501 5.5.4"),
        ("with-a-plus", b" +6 LAST", "501 5.5.4"),
        ("with-a-fraction", b" 6.0 LAST", "501 5.5.4"),
        ("hexadecimal", b" 0x6 LAST", "501 5.5.4"),
        ("exponential", b" 6e0 LAST", "501 5.5.4"),
        ("with-an-underscore", b" 1_0 LAST", "501 5.5.4"),
        ("two-sizes", b" 6 6 LAST", "501 5.5.4"),
        ("last-first", b" LAST 6", "501 5.5.4"),
        ("last-twice-in-the-line", b" 6 LAST LAST", "501 5.5.4"),
        ("last-misspelt", b" 6 LASTLY", "501 5.5.4"),
        ("last-joined", b" 6LAST", "501 5.5.4"),
        ("of-10-to-the-30", b" 1" + b"0" * 30, "501 5.5.4"),
        ("of-10-to-the-30-last", b" 1" + b"0" * 30 + b" LAST", "501 5.5.4"),
        ("of-400-digits", b" " + b"9" * 400, "501 5.5.4"),
        ("of-2-to-the-64", b" 18446744073709551616", "501 5.5.4"),
        ("of-2-to-the-63", b" 9223372036854775807", "501 5.5.4"),
        ("of-2-to-the-32", b" 4294967296", "552 5.3.4"),
        ("of-10-to-the-17", b" 100000000000000000 LAST", "552 5.3.4"),
        ("with-a-tab", b"\t6 LAST", "501 5.5.4"),
        ("with-a-nul", b" 6\0 LAST", "501 5.5.4"),
        ("in-arabic-digits", " ٦ LAST".encode(), "501 5.5.4"),
        ("in-latin-1", b" \xb2 LAST", "501 5.5.4"),
        ("in-a-line-too-long", b" 6 LAST" + b" " * 600, "501 5.5.4"),
        ("in-a-line-far-too-long", b" " * 40_000 + b"6 LAST", "501 5.5.4"),
        ("in-a-line-that-ends-in-lf", b" 6 LAST\nRSET\r\n", "501 5.5.4"),
    )
)  # fmt: skip
LIES = (
    Case("announced-too-little", OPEN + b"BDAT %d LAST\r\n" % (len(MESSAGE) - BODY) + MESSAGE,
         f"{OPENED}, 250 2.0.0, 502 5.5.1", stored=1),
    Case("announced-too-little-in-the-header", OPEN + b"BDAT 4 LAST\r\nFrom: RSET\r\n",
         f"{OPENED}, 530 5.7.1, 502 5.5.1"),
    Case("announced-too-much", OPEN + piece(MESSAGE + b"RSET\r\nQUIT\r\n", last=True),
         f"{OPENED}, 250 2.0.0", stored=1),
    Case("last-twice", OPEN + LAST + b"BDAT 0 LAST\r\n", f"{OPENED}, 250 2.0.0, 503 5.5.1",
         stored=1),
    Case("the-whole-message-twice", OPEN + LAST + LAST, f"{OPENED}, 250 2.0.0, 503 5.5.1",
         stored=1),
    Case("without-last", OPEN + piece(MESSAGE) + b"QUIT\r\n", f"{OPENED}, 250 2.0.0, 221 2.0.0",
         stays=False),
    Case("without-last-then-mail", OPEN + piece(MESSAGE) + MAIL + b"RSET\r\n",
         f"{OPENED}, 250 2.0.0, 503 5.5.1, 250 2.0.0"),
    Case("given-up-then-last", OPEN + piece(MESSAGE) + b"RSET\r\nBDAT 0 LAST\r\n",
         f"{OPENED}, 250 2.0.0, 250 2.0.0, 503 5.5.1"),
    Case("given-up-by-ehlo-then-last", OPEN + piece(MESSAGE) + b"EHLO a\r\nBDAT 0 LAST\r\n",
         f"{OPENED}, 250 2.0.0, 250, 503 5.5.1"),
    Case("nothing-as-last", OPEN + b"BDAT 0 LAST\r\n", f"{OPENED}, 530 5.7.1"),
    Case("empty-chunks", OPEN + b"BDAT 0\r\n" * 500 + LAST, f"{OPENED}, "
         + ", ".join(["250 2.0.0"] * 501), stored=1),
    Case("small-letters-and-spaces", OPEN + b"bdat   %d   last  \r\n" % len(MESSAGE) + MESSAGE,
         f"{OPENED}, 250 2.0.0", stored=1),
    Case("leading-zeros", OPEN + b"BDAT 0000%d LAST\r\n" % len(MESSAGE) + MESSAGE,
         f"{OPENED}, 250 2.0.0", stored=1),
)  # fmt: skip
ORDER = (
    Case("chunk-without-mail", LAST, "503 5.5.1"),
    Case("chunk-without-rcpt", MAIL + LAST + RCPT, "250 2.1.0, 503 5.5.1, 503 5.5.1"),
    Case("chunk-behind-a-refused-rcpt", MAIL + b"RCPT TO:<x>\r\n" + piece(MESSAGE) + LAST,
         "250 2.1.0, 501 5.1.3, 503 5.5.1, 503 5.5.1"),
    Case("chunk-of-a-stranger", piece(WHOLE, last=True), "530 5.7.0", Start.STRANGER),
    Case("chunk-without-a-login", piece(WHOLE, last=True), "530 5.7.0", Start.SECURE),
    Case("data-behind-a-chunk", OPEN + piece(MESSAGE[:9]) + b"DATA\r\n"
         + piece(MESSAGE[9:], last=True), f"{OPENED}, 250 2.0.0, 503 5.5.1, 250 2.0.0", stored=1),
    Case("rcpt-behind-a-chunk", OPEN + piece(MESSAGE[:9]) + RCPT + b"RSET\r\n",
         f"{OPENED}, 250 2.0.0, 503 5.5.1, 250 2.0.0"),
    Case("chunk-behind-data", OPEN + b"DATA\r\n" + LAST + b".\r\n", TAKEN, stored=1),
    Case("chunk-behind-the-message", WHOLE + LAST, f"{TAKEN}, 503 5.5.1", stored=1),
    Case("commands-between-chunks", OPEN + piece(MESSAGE[:9]) + b"NOOP\r\nVRFY x\r\nBOGUS\r\n"
         + piece(MESSAGE[9:], last=True),
         f"{OPENED}, 250 2.0.0, 250 2.0.0, 252 2.0.0, 502 5.5.1, 250 2.0.0", stored=1),
    Case("starttls-between-chunks", OPEN + piece(MESSAGE) + b"STARTTLS\r\n",
         f"{OPENED}, 250 2.0.0, 220 2.0.0", Start.GREETED, stays=False, ends=True, known=True),
    Case("binary-body-is-not-offered", MAIL.replace(b">", b"> BODY=BINARYMIME") + RCPT + LAST,
         "501 5.5.4, 503 5.5.1, 503 5.5.1"),
)  # fmt: skip
SMALL = replace(CALM, message_size=1000)
CONTENT = (
    Case("over-the-limit-in-pieces", OPEN + piece(MESSAGE) + piece(b"x" * 500) * 4 + LAST,
         f"{OPENED}, 250 2.0.0, 250 2.0.0, 552 5.3.4, 503 5.5.1, 503 5.5.1, 503 5.5.1",
         limits=SMALL),
    Case("over-the-limit-at-once", OPEN + piece(b"x" * 1001, last=True) + OPEN + LAST,
         f"{OPENED}, 552 5.3.4, {OPENED}, 250 2.0.0", stored=1, limits=SMALL),
    Case("over-the-limit-by-a-megabyte", OPEN + piece(b"RSET\r\n" * 200_000) + b"NOOP\r\n",
         f"{OPENED}, 552 5.3.4, 250 2.0.0", limits=SMALL),
    Case("ten-thousand-chunks-of-an-octet",
         OPEN + b"".join(b"BDAT 1\r\n%c" % octet for octet in BY_OCTETS) + b"BDAT 0 LAST\r\n",
         ", ".join([OPENED] + ["250 2.0.0"] * (len(BY_OCTETS) + 1)), stored=1),
    Case("bare-lf-in-a-chunk", OPEN + piece(MESSAGE) + piece(b"a\nb\r\n", last=True),
         f"{OPENED}, 250 2.0.0, 554 5.6.0"),
    Case("cr-at-the-very-end", OPEN + piece(MESSAGE + b"\r", last=True), f"{OPENED}, 554 5.6.0"),
    Case("lf-at-the-very-beginning", OPEN + piece(b"\n" + MESSAGE, last=True),
         f"{OPENED}, 554 5.6.0"),
    Case("nul-in-a-chunk", OPEN + piece(MESSAGE + b"\0", last=True), f"{OPENED}, 554 5.6.0"),
    Case("no-memory-for-a-chunk", OPEN + piece(b"x" * 2000) + LAST,
         f"{OPENED}, 452 4.3.1, 503 5.5.1", limits=replace(CALM, held_octets=1500)),
)  # fmt: skip
CASES = SIZES + LIES + ORDER + CONTENT


@cases(CASES)
async def test_any_chunks_get_the_right_codes(case: Case) -> None:
    await run(case)
