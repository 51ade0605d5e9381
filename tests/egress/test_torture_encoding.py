"""Torture: octets that are no text, text that is no command, addresses that are none, and every
known way to make two servers disagree about where a message ends."""

from tests.egress.submission_stand import MESSAGE
from tests.support.submission_torture import (
    MAIL,
    OPEN,
    OPENED,
    TAKEN,
    WHOLE,
    Case,
    cases,
    run,
)

BAD_LINES = {
    "nul": b"NOOP \0",
    "nul-first": b"\0NOOP",
    "bare-cr": b"NOOP\rNOOP",
    "cr-cr-lf": b"NOOP\r",
    "tab": b"NOOP\tx",
    "escape": b"NOOP \x1b[2J",
    "delete": b"NOOP \x7f",
    "latin-1": b"MAIL FROM:<j\xfcrgen@acme.test> SMTPUTF8",
    "overlong-dot": b"RCPT TO:<a@b\xc0\xaec.test>",
    "overlong-slash": b"MAIL FROM:<a\xe0\x80\xaf@acme.test> SMTPUTF8",
    "surrogate": b"MAIL FROM:<a\xed\xa0\x80@acme.test> SMTPUTF8",
    "beyond-unicode": b"MAIL FROM:<a\xf4\x90\x80\x80@acme.test> SMTPUTF8",
    "cut-utf8": b"MAIL FROM:<a\xe2\x82",
    "next-line-control": "MAIL FROM:<a\u0085b@acme.test> SMTPUTF8".encode(),
    "byte-order-mark": "\ufeffMAIL FROM:<>".encode(),
    "utf-16": "NOOP".encode("utf-16-le"),
    "dotless-i-verb": "MA\u0131L FROM:<>".encode(),
    "wide-letters": "\uff2d\uff21\uff29\uff2c FROM:<>".encode(),
    "utf8-name": "EHLO münchen.test".encode(),
    "leading-space": b" NOOP",
    "spaces-only": b"   ",
    "tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
LINES = (
    *(Case(f"line-with-{name}", line + b"\r\n", "500 5.5.2") for name, line in BAD_LINES.items()),
    Case("line-that-ends-in-lf", b"NOOP\nNOOP\r\n", "500 5.5.2, 250 2.0.0"),
    Case("lf-cr", b"NOOP\n\rNOOP\r\n", "500 5.5.2, 500 5.5.2"),
    Case("a-line-cut-by-nul-is-not-two", b"RSET\0NOOP\r\n", "500 5.5.2"),
    Case("lower-case", b"mail from:<> \r\nrcpt to:<ann@example.org>\r\nrset\r\n",
         f"{OPENED}, 250 2.0.0"),
)  # fmt: skip
RECIPIENTS = {
    "no-brackets": (b"ann@example.org", "250 2.1.5"),
    "space-before": (b" <ann@example.org>", "250 2.1.5"),
    "source-route": (b"<@a.test,@b.test:ann@example.org>", "250 2.1.5"),
    "quoted-local-part": (b'<"ann b"@example.org>', "250 2.1.5"),
    "quoted-brackets": (b'<"a>b<c"@example.org>', "250 2.1.5"),
    "quoted-at": (b'<"a@b"@example.org>', "250 2.1.5"),
    "null": (b"<>", "501 5.1.3"),
    "nothing": (b"", "501 5.1.3"),
    "postmaster-alone": (b"<postmaster>", "501 5.1.3"),
    "no-local-part": (b"<@example.org>", "501 5.1.3"),
    "no-domain": (b"<ann@>", "501 5.1.3"),
    "one-label": (b"<ann@localhost>", "501 5.1.3"),
    "two-ats": (b"<a@b@example.org>", "501 5.1.3"),
    "dot-first": (b"<.ann@example.org>", "501 5.1.3"),
    "dots-together": (b"<a..b@example.org>", "501 5.1.3"),
    "empty-label": (b"<ann@example..org>", "501 5.1.3"),
    "label-with-hyphen-first": (b"<ann@-example.org>", "501 5.1.3"),
    "ipv4-literal": (b"<ann@[127.0.0.1]>", "501 5.1.3"),
    "ipv6-literal": (b"<ann@[IPv6:::1]>", "501 5.1.3"),
    "brackets-twice": (b"<<ann@example.org>>", "501 5.1.3"),
    "bracket-not-closed": (b"<ann@example.org", "501 5.1.3"),
    "bracket-not-opened": (b"ann@example.org>", "501 5.1.3"),
    "text-behind-bracket": (b"<ann@example.org>x", "501 5.1.3"),
    "space-inside": (b"<ann @example.org>", "501 5.1.3"),
    "quote-not-closed": (b'<"ann@example.org>', "501 5.1.3"),
    "route-without-address": (b"<@a.test:>", "501 5.1.3"),
    "display-name": (b"Ann <ann@example.org>", "501 5.5.4"),
    "list": (b"<a@example.org>,<b@example.org>", "501 5.1.3"),
    "percent-newline": (b"<ann%0aRSET@example.org>", "250 2.1.5"),
    "utf8-unannounced": ("<jürgen@example.org>".encode(), "553 5.6.7"),
}
ADDRESSES = (
    *(
        Case(f"recipient-{name}", MAIL + b"RCPT TO:" + address + b"\r\n", f"250 2.1.0, {said}")
        for name, (address, said) in RECIPIENTS.items()
    ),
    Case("recipient-without-colon", MAIL + b"RCPT TO <a@example.org>\r\n", "250 2.1.0, 501 5.5.4"),
    Case("recipient-of-nothing", MAIL + b"RCPT\r\n", "250 2.1.0, 501 5.5.4"),
    Case("sender-not-closed", b"MAIL FROM:<shop@acme.test\r\n", "501 5.1.7"),
    Case("sender-with-to", b"MAIL TO:<shop@acme.test>\r\n", "501 5.5.4"),
    Case("sender-of-nothing", b"MAIL FROM:\r\n", "501 5.1.7"),
)  # fmt: skip
SECOND = b"MAIL FROM:<admin@bank.test>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\n" + MESSAGE
FALSE_ENDS = {
    "lf-dot-lf": b"\n.\n",
    "lf-dot-crlf": b"\n.\r\n",
    "crlf-dot-lf": b"\r\n.\n",
    "cr-dot-cr": b"\r.\r",
    "cr-dot-crlf": b"\r.\r\n",
    "crlf-dot-cr": b"\r\n.\r",
    "lf-dot-cr": b"\n.\r",
    "cr-dot-lf": b"\r.\n",
    "crcrlf": b"\r\r\n.\r\r\n",
    "crlf-dot-crcrlf": b"\r\n.\r\r\n",
    "lflf": b"\n\n.\n\n",
    "nul-before-dot": b"\r\n\0.\r\n",
    "nul-behind-dot": b"\r\n.\0\r\n",
    "lf-dot-dot-lf": b"\n..\n",
}
TEXT_ENDS = {
    "space-behind-dot": b"\r\n. \r\n",
    "space-before-dot": b"\r\n .\r\n",
    "tab-behind-dot": b"\r\n.\t\r\n",
    "two-dots": b"\r\n..\r\n",
    "vertical-tab": b"\x0b.\x0b",
    "form-feed": b"\x0c.\x0c",
    "next-line": b"\xc2\x85.\xc2\x85",
    "line-separator": "\u2028.\u2028".encode(),
    "raw-85": b"\x85.\x85",
}
SMUGGLING = tuple(
    Case(f"false-end-{name}", OPEN + b"DATA\r\n" + MESSAGE + end + SECOND + b".\r\n",
         f"{OPENED}, 354, 554 5.6.0")
    for name, end in FALSE_ENDS.items()
) + tuple(
    Case(f"text-{name}", OPEN + b"DATA\r\n" + MESSAGE + end + SECOND + b".\r\n", TAKEN, stored=1)
    for name, end in TEXT_ENDS.items()
) + (
    Case("bare-lf-in-the-header", WHOLE.replace(b"hi\r\n", b"hi\nBcc: x@y.test\r\n"),
         f"{OPENED}, 354, 554 5.6.0"),
    Case("nul-in-the-body", WHOLE.replace(b"hello", b"hel\0lo"), f"{OPENED}, 354, 554 5.6.0"),
    Case("nothing-but-a-dot", OPEN + b"DATA\r\n.\r\n", f"{OPENED}, 354, 530 5.7.1"),
    Case("eight-bit-octets", WHOLE.replace(b"hello", bytes(range(128, 256))), TAKEN, stored=1),
    Case("the-end-in-a-chunk", OPEN + b"BDAT %d LAST\r\n" % len(MESSAGE + b".\r\n" + SECOND)
         + MESSAGE + b".\r\n" + SECOND, f"{OPENED}, 250 2.0.0", stored=1),
)  # fmt: skip
CASES = LINES + ADDRESSES + SMUGGLING


@cases(CASES)
async def test_any_octets_get_the_right_codes(case: Case) -> None:
    stand = await run(case)
    assert {each.mail_from for each in stand.stored} == {"shop@acme.test"}
