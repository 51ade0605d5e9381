"""Torture: parameters of MAIL and RCPT (RFC 1870, 3461, 6152, 6531), abused."""

from tests.support.submission_torture import MAIL, OPENED, Case, cases, run

OF_MAIL = {
    "size-of-nothing": ("SIZE=", "501 5.5.4"),
    "size-negative": ("SIZE=-1", "501 5.5.4"),
    "size-with-a-plus": ("SIZE=+1", "501 5.5.4"),
    "size-of-a-word": ("SIZE=big", "501 5.5.4"),
    "size-of-21-digits": ("SIZE=" + "9" * 21, "501 5.5.4"),
    "size-of-20-digits": ("SIZE=" + "9" * 20, "552 5.3.4"),
    "size-of-zero": ("SIZE=0", "250 2.1.0"),
    "size-with-zeros": ("SIZE=00000000000000000001", "250 2.1.0"),
    "size-in-arabic-digits": ("SIZE=٣", "501 5.5.4"),
    "size-twice": ("SIZE=1 SIZE=1", "501 5.5.4"),
    "size-twice-in-other-letters": ("SIZE=1 size=2", "501 5.5.4"),
    "body-of-nothing": ("BODY", "501 5.5.4"),
    "body-unknown": ("BODY=9BIT", "501 5.5.4"),
    "body-small-letters": ("body=8bitmime", "250 2.1.0"),
    "body-with-a-dotless-i": ("BODY=8B\u0131TMIME", "501 5.5.4"),
    "smtputf8-with-a-value": ("SMTPUTF8=YES", "501 5.5.4"),
    "smtputf8-twice": ("SMTPUTF8 SMTPUTF8", "501 5.5.4"),
    "smtputf8": ("SMTPUTF8", "250 2.1.0"),
    "ret-of-nothing": ("RET", "501 5.5.4"),
    "ret-unknown": ("RET=BODY", "501 5.5.4"),
    "ret-with-a-long-s": ("RET=HDR\u017f", "501 5.5.4"),
    "ret-twice": ("RET=FULL RET=HDRS", "501 5.5.4"),
    "ret-small-letters": ("ret=hdrs", "250 2.1.0"),
    "envid-of-nothing": ("ENVID=", "501 5.5.4"),
    "envid-of-100": ("ENVID=" + "e" * 100, "250 2.1.0"),
    "envid-of-101": ("ENVID=" + "e" * 101, "501 5.5.4"),
    "envid-bad-xtext": ("ENVID=a+2", "501 5.5.4"),
    "envid-small-xtext": ("ENVID=a+2b", "501 5.5.4"),
    "envid-with-an-equals-sign": ("ENVID=a=b", "501 5.5.4"),
    "envid-in-utf8": ("ENVID=ä", "501 5.5.4"),
    "envid-of-an-escaped-newline": ("ENVID=a+0D+0AX", "250 2.1.0"),
    "auth-of-brackets": ("AUTH=<>", "250 2.1.0"),
    "auth-in-utf8": ("AUTH=ä", "501 5.5.4"),
    "mtrk": ("MTRK=x", "555 5.5.4"),
    "notify-on-mail": ("NOTIFY=NEVER", "555 5.5.4"),
    "requiretls": ("REQUIRETLS", "555 5.5.4"),
    "holdfor": ("HOLDFOR=9", "555 5.5.4"),
    "of-an-equals-sign": ("=", "501 5.5.4"),
    "without-a-name": ("=1", "501 5.5.4"),
    "hyphen-first": ("-SIZE=1", "501 5.5.4"),
    "of-brackets": ("<>", "501 5.5.4"),
    "two-hundred": (" ".join(f"X{n}" for n in range(200)), "555 5.5.4"),
}
OF_RCPT = {
    "notify-of-nothing": ("NOTIFY", "501 5.5.4"),
    "notify-empty": ("NOTIFY=", "501 5.5.4"),
    "notify-unknown": ("NOTIFY=ALWAYS", "501 5.5.4"),
    "notify-never-and-more": ("NOTIFY=NEVER,FAILURE", "501 5.5.4"),
    "notify-one-twice": ("NOTIFY=DELAY,DELAY", "501 5.5.4"),
    "notify-with-an-empty-part": ("NOTIFY=DELAY,", "501 5.5.4"),
    "notify-with-a-long-s": ("NOTIFY=SUCCE\u017fS", "501 5.5.4"),
    "notify-twice": ("NOTIFY=DELAY NOTIFY=FAILURE", "501 5.5.4"),
    "notify-all": ("notify=failure,delay,success", "250 2.1.5"),
    "orcpt-of-nothing": ("ORCPT", "501 5.5.4"),
    "orcpt-without-a-type": ("ORCPT=a@b.test", "501 5.5.4"),
    "orcpt-without-an-address": ("ORCPT=rfc822;", "501 5.5.4"),
    "orcpt-bad-xtext": ("ORCPT=rfc822;a+b@c.test", "501 5.5.4"),
    "orcpt-of-500": ("ORCPT=rfc822;" + "a" * 493, "250 2.1.5"),
    "orcpt-of-501": ("ORCPT=rfc822;" + "a" * 494, "501 5.5.4"),
    "orcpt-of-other-type": ("ORCPT=x400;/C=x", "501 5.5.4"),
    "orcpt-in-utf8-unannounced": ("ORCPT=utf-8;ä@b.test", "501 5.5.4"),
    "orcpt-twice": ("ORCPT=rfc822;a ORCPT=rfc822;b", "501 5.5.4"),
    "size-on-rcpt": ("SIZE=1", "555 5.5.4"),
    "smtputf8-on-rcpt": ("SMTPUTF8", "555 5.5.4"),
    "unknown-on-rcpt": ("BY=120;R", "555 5.5.4"),
}
UTF8 = tuple(
    Case(f"utf8-{name}", line.encode() + b"\r\n", said)
    for name, line, said in (
        ("sender-unannounced", "MAIL FROM:<ä@acme.test>", "553 5.6.7"),
        ("sender-announced", "MAIL FROM:<ä@acme.test> SMTPUTF8", "250 2.1.0"),
        ("recipient-unannounced", "MAIL FROM:<>\r\nRCPT TO:<ä@acme.test>", "250 2.1.0, 553 5.6.7"),
        ("recipient-announced", "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<ä@例子.测试>", OPENED),
        ("orcpt-announced", "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<a@b.test> ORCPT=utf-8;ä@c", OPENED),
        ("notify-announced", "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<a@b.test> NOTIFY=SUCCE\u017fS",
         "250 2.1.0, 501 5.5.4"),
        ("wide-at", "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<a\uff20b.test>", "250 2.1.0, 501 5.1.3"),
        ("separator-space", "MAIL FROM:<>\u2003SMTPUTF8", "501 5.1.7"),
        ("no-break-space", "MAIL FROM:<>\u00a0SMTPUTF8", "501 5.1.7"),
    )
)  # fmt: skip
CASES = (
    tuple(
        Case(f"mail-{name}", f"MAIL FROM:<shop@acme.test> {text}\r\n".encode(), said)
        for name, (text, said) in OF_MAIL.items()
    )
    + tuple(
        Case(f"rcpt-{name}", MAIL + f"RCPT TO:<ann@example.org> {text}\r\n".encode(),
             f"250 2.1.0, {said}")
        for name, (text, said) in OF_RCPT.items()
    )
    + UTF8
)  # fmt: skip


@cases(CASES)
async def test_any_parameter_gets_the_right_codes(case: Case) -> None:
    await run(case)
