"""Torture: AUTH in every wrong way, and guessing."""

import base64
import hmac
from dataclasses import replace

from tests.egress.submission_stand import CALM, SECRET, Client, Stand, plain
from tests.support.submission_torture import (
    MAIL,
    OPENED,
    RCPT,
    Case,
    Start,
    cases,
    customer,
    run,
    stand_for,
)


def b64(octets: bytes) -> bytes:
    return base64.b64encode(octets)


RIGHT = plain(SECRET).encode()
WRONG = plain("wrong").encode()
AUTH_PLAIN = b"AUTH PLAIN "

COMMANDS = tuple(
    Case(f"auth-{name}", line + b"\r\n", said, Start.SECURE)
    for name, line, said in (
        ("of-nothing", b"AUTH", "501 5.5.4"),
        ("of-a-space", b"AUTH ", "501 5.5.4"),
        ("unknown", b"AUTH GSSAPI", "504 5.5.4"),
        ("unknown-with-response", b"AUTH XOAUTH2 dXNlcj0=", "504 5.5.4"),
        ("cram-that-is-off", b"AUTH CRAM-MD5", "504 5.5.4"),
        ("joined", b"AUTHPLAIN", "502 5.5.1"),
        ("with-an-equals-sign", b"AUTH=PLAIN", "502 5.5.1"),
        ("plain-of-an-equals-sign", b"AUTH PLAIN =", "501 5.5.2"),
        ("plain-of-a-star", b"AUTH PLAIN *", "501 5.5.2"),
        ("plain-of-no-base64", b"AUTH PLAIN !!!!", "501 5.5.2"),
        ("plain-without-padding", b"AUTH PLAIN AGEAYg", "501 5.5.2"),
        ("plain-padded-twice", b"AUTH PLAIN AGEAYg====", "501 5.5.2"),
        ("plain-padded-inside", b"AUTH PLAIN AGE=AYg=", "501 5.5.2"),
        ("plain-in-url-letters", b"AUTH PLAIN AP__-_8=", "501 5.5.2"),
        ("plain-in-two-words", b"AUTH PLAIN AGEA Yg==", "501 5.5.2"),
        ("plain-of-one-part", AUTH_PLAIN + b64(b"secret"), "501 5.5.2"),
        ("plain-of-two-parts", AUTH_PLAIN + b64(b"a\0secret"), "501 5.5.2"),
        ("plain-of-four-parts", AUTH_PLAIN + b64(b"\0a\0secret\0"), "501 5.5.2"),
        ("plain-of-nothing-but-nuls", AUTH_PLAIN + b64(b"\0\0"), "535 5.7.8"),
        ("plain-of-a-thousand-nuls", AUTH_PLAIN + b64(b"\0" * 1000), "501 5.5.2"),
        ("plain-not-in-utf8", AUTH_PLAIN + b64(b"\0a\0\xff\xfe"), "535 5.7.8"),
        ("plain-with-a-longer-secret", AUTH_PLAIN + plain(SECRET + "x").encode(), "535 5.7.8"),
        ("plain-with-a-space-behind", AUTH_PLAIN + plain(SECRET + " ").encode(), "535 5.7.8"),
        ("plain-with-an-api-key", AUTH_PLAIN + plain("an-api-key").encode(), "535 5.7.8"),
        ("login-of-no-base64", b"AUTH LOGIN !!!!", "501 5.5.2"),
        ("in-utf8", "AUTH PLAÏN".encode(), "500 5.5.2"),
    )
)
EXCHANGES = tuple(
    Case(f"exchange-{name}", b"\r\n".join([*lines, b""]), said, Start.SECURE)
    for name, lines, said in (
        ("called-off", [b"AUTH PLAIN", b"*"], "334, 501 5.7.0"),
        ("called-off-at-the-name", [b"AUTH LOGIN", b"*"], "334, 501 5.7.0"),
        ("called-off-at-the-password", [b"AUTH LOGIN YQ==", b"*"], "334, 501 5.7.0"),
        ("called-off-twice", [b"AUTH PLAIN", b"*", b"*"], "334, 501 5.7.0, 502 5.5.1"),
        ("called-off-with-more", [b"AUTH PLAIN", b"**"], "334, 501 5.5.2"),
        ("of-an-empty-line", [b"AUTH PLAIN", b""], "334, 501 5.5.2"),
        ("of-an-equals-sign", [b"AUTH PLAIN", b"="], "334, 501 5.5.2"),
        ("of-a-command", [b"AUTH PLAIN", b"NOOP", b"NOOP"], "334, 501 5.5.2, 250 2.0.0"),
        ("of-quit", [b"AUTH PLAIN", b"QUIT"], "334, 501 5.5.2"),
        ("of-8-bit", [b"AUTH PLAIN", b"\xff\xfe"], "334, 501 5.5.2"),
        ("of-nul", [b"AUTH PLAIN", b"AGE\0AYg=="], "334, 501 5.5.2"),
        ("with-a-bare-cr", [b"AUTH PLAIN", b"AGEA\rYg=="], "334, 501 5.5.2"),
        ("with-a-bare-lf", [b"AUTH PLAIN", b"AGEA\nYg=="], "334, 500 5.5.2, 502 5.5.1"),
        ("with-a-space", [b"AUTH PLAIN", b" AGEAYg=="], "334, 501 5.5.2"),
        ("of-a-wrong-password", [b"AUTH PLAIN", WRONG, MAIL[:-2]], "334, 535 5.7.8, 530 5.7.0"),
        ("login-empty-name", [b"AUTH LOGIN", b"", b"d3Jvbmc="], "334, 334, 535 5.7.8"),
        ("login-equals-sign", [b"AUTH LOGIN =", b"d3Jvbmc="], "334, 535 5.7.8"),
        ("login-empty-password", [b"AUTH LOGIN YQ==", b""], "334, 535 5.7.8"),
        ("login-bad-name", [b"AUTH LOGIN", b"a"], "334, 501 5.5.2"),
        ("login-bad-password", [b"AUTH LOGIN YQ==", b"a"], "334, 501 5.5.2"),
        ("login-password-as-name", [b"AUTH LOGIN", b64(SECRET.encode()), b"YQ=="],
         "334, 334, 535 5.7.8"),
        ("within-an-exchange", [b"AUTH LOGIN", b"AUTH PLAIN"], "334, 501 5.5.2"),
    )
)  # fmt: skip
CRAM = tuple(
    Case(f"cram-{name}", b"AUTH CRAM-MD5" + response + b"\r\n", said, Start.SECURE, cram=True)
    for name, response, said in (
        ("with-an-initial-response", b" YQ==", "501 5.5.4"),
        ("of-no-base64", b"\r\n!!!!", "334, 501 5.5.2"),
        ("of-nothing", b"\r\n", "334, 501 5.5.2"),
        ("called-off", b"\r\n*", "334, 501 5.7.0"),
        ("without-a-digest", b"\r\n" + b64(b"acme/shop"), "334, 501 5.5.2"),
        ("without-a-name", b"\r\n" + b64(b" " + b"0" * 32), "334, 501 5.5.2"),
        ("with-a-short-digest", b"\r\n" + b64(b"acme/shop " + b"0" * 31), "334, 501 5.5.2"),
        ("with-a-digest-of-letters", b"\r\n" + b64(b"acme/shop " + b"z" * 32), "334, 501 5.5.2"),
        ("with-a-wrong-digest", b"\r\n" + b64(b"acme/shop " + b"0" * 32), "334, 535 5.7.8"),
        ("of-an-unknown-name", b"\r\n" + b64(b"acme/none " + b"0" * 32), "334, 535 5.7.8"),
        ("with-a-long-name", b"\r\n" + b64(b"a" * 256 + b" " + b"0" * 32), "334, 501 5.5.2"),
        ("with-a-name-not-in-utf8", b"\r\n" + b64(b"\xff\xfe " + b"0" * 32), "334, 535 5.7.8"),
        ("with-a-name-of-nul", b"\r\n" + b64(b"\0 " + b"0" * 32), "334, 535 5.7.8"),
        ("with-the-secret-itself", b"\r\n" + RIGHT, "334, 501 5.5.2"),
    )
)
ORDER = (
    Case("auth-behind-a-login", AUTH_PLAIN + RIGHT + b"\r\n", "503 5.5.1"),
    Case("auth-of-garbage-behind-a-login", b"AUTH X!\r\n", "503 5.5.1"),
    Case("auth-in-a-transaction", MAIL + AUTH_PLAIN + RIGHT + b"\r\n" + RCPT,
         f"{OPENED[:9]}, 503 5.5.1, 250 2.1.5", Start.SECURE, known=True),
    Case("auth-before-ehlo", AUTH_PLAIN + RIGHT + b"\r\n", "503 5.5.1", Start.IMPLICIT),
    Case("auth-before-tls", AUTH_PLAIN + RIGHT + b"\r\n", "530 5.7.0", Start.GREETED),
    Case("auth-before-tls-unknown", b"AUTH FOO\r\n", "530 5.7.0", Start.GREETED),
    Case("three-wrong-passwords", (AUTH_PLAIN + WRONG + b"\r\n") * 5,
         "535 5.7.8, 535 5.7.8, 421 4.7.0", Start.SECURE, stays=False),
    Case("wrong-passwords-of-all-kinds", AUTH_PLAIN + WRONG + b"\r\nAUTH LOGIN YQ==\r\nYQ==\r\n"
         + AUTH_PLAIN + WRONG + b"\r\n" + AUTH_PLAIN + RIGHT + b"\r\n",
         "535 5.7.8, 334, 535 5.7.8, 421 4.7.0", Start.SECURE, stays=False),
    Case("ehlo-does-not-forgive", (AUTH_PLAIN + WRONG + b"\r\nEHLO a\r\n") * 3,
         "535 5.7.8, 250, 535 5.7.8, 250, 421 4.7.0", Start.SECURE, stays=False),
    Case("malformed-responses-are-errors", b"AUTH PLAIN !\r\n" * 12,
         ", ".join(["501 5.5.2"] * 10 + ["421 4.7.0"]), Start.SECURE, stays=False),
    Case("unknown-mechanisms-are-errors", b"AUTH X\r\n" * 12,
         ", ".join(["504 5.5.4"] * 10 + ["421 4.7.0"]), Start.SECURE, stays=False),
    Case("calling-off-is-bounded-by-commands", b"AUTH PLAIN\r\n*\r\n" * 20,
         ", ".join(["334, 501 5.7.0"] * 10 + ["421 4.7.0"]), Start.SECURE, stays=False,
         limits=replace(CALM, commands=23)),
)  # fmt: skip
CASES = COMMANDS + EXCHANGES + CRAM + ORDER


@cases(CASES)
async def test_any_login_gets_the_right_codes(case: Case) -> None:
    await run(case)


BRAKED = replace(CALM, client_failures=4, user_failures=4, login_failures=2)


async def wrong(stand: Stand, number: int) -> None:
    """Fail so many logins, on as many connections as that takes."""
    while number > 0:
        client = await stand.secure_client()
        for said in ("535 5.7.8", "421 4.7.0"):
            assert (await client.say(f"AUTH PLAIN {WRONG.decode()}")).startswith(said)
            number -= 1


async def test_an_address_that_guesses_is_braked_and_no_other_one() -> None:
    async with stand_for(Case("guesses", b"", limits=BRAKED)).listening() as stand:
        await wrong(stand, 4)
        client = await stand.secure_client()
        assert (await client.say(f"AUTH PLAIN {RIGHT.decode()}")).startswith("421 4.7.0 ")
        assert await client.is_hung_up_on()
        other = await customer(stand)
        assert (await other.deliver()).startswith("250 ")


async def digest(client: Client, user: str, secret: str, asked: str = "") -> str:
    """Answer a CRAM-MD5 challenge, or another one that was `asked` before."""
    challenge = base64.b64decode(asked or (await client.say("AUTH CRAM-MD5"))[4:])
    made = hmac.new(secret.encode(), challenge, "md5").hexdigest()
    return await client.say(b64(f"{user} {made}".encode()).decode())


async def test_a_user_name_under_attack_is_braked_and_no_other_one() -> None:
    limits = replace(BRAKED, client_failures=100)
    async with stand_for(Case("guesses", b"", limits=limits, cram=True)).listening() as stand:
        for _ in range(2):
            client = await stand.secure_client()
            for said in ("535 5.7.8 ", "421 4.7.0 "):
                assert (await digest(client, "ACME_shop", "guess")).startswith(said)
        client = await stand.secure_client()
        assert (await digest(client, "acme/shop", SECRET)).startswith("454 4.7.0 ")
        assert (await digest(client, "acme/other", SECRET)).startswith("535 5.7.8 ")
        assert (await client.say(f"AUTH PLAIN {RIGHT.decode()}")).startswith("235 ")


async def test_an_answer_to_an_older_challenge_opens_nothing() -> None:
    async with stand_for(Case("replay", b"", cram=True)).listening() as stand:
        client = await stand.secure_client()
        old = (await client.say("AUTH CRAM-MD5"))[4:]
        assert (await client.say("*")).startswith("501 5.7.0 ")
        assert (await client.say("AUTH CRAM-MD5"))[4:] != old
        assert (await digest(client, "acme/shop", SECRET, asked=old)).startswith("535 5.7.8 ")
