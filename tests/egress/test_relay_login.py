"""Logging in at a relay that really checks: the mechanism, the words, and what never goes out."""

import base64
from dataclasses import replace

import pytest

from egress.core.relay_login import Mechanism, answer, choose, opening
from egress.session import Session, TlsPolicy
from mailroom.domain.outcome import Verdict, classify_reply
from mailroom.domain.relay import Login
from mailroom.domain.reply import Phase, SmtpReply
from tests.egress.relay_peer import LoginMx
from tests.egress.scripted_mx import HANG_UP, listening, self_signed
from tests.egress.sessions import opened, send

LOGIN = Login("ann", "open sesame")
UMLAUT = Login("j\u00f6rg", "p\u00e4sswort")


async def refusal(mx: LoginMx, login: Login = LOGIN, **how: object) -> SmtpReply:
    async with listening(mx):
        reply = await opened(mx, login=login, **how)  # type: ignore[arg-type]
        await mx.quiet()
    assert isinstance(reply, SmtpReply)
    return reply


@pytest.mark.parametrize(
    "login", [LOGIN, UMLAUT, Login("a", "s" * 1024)], ids=lambda login: login.user
)
@pytest.mark.parametrize(
    ("offers", "chosen"),
    [
        ("PLAIN LOGIN CRAM-MD5", "CRAM-MD5"),
        ("LOGIN plain", "PLAIN"),
        ("GSSAPI NTLM LOGIN", "LOGIN"),
    ],
)
async def test_each_mechanism_logs_in_and_mail_goes_on(
    offers: str, chosen: str, login: Login
) -> None:
    mx = LoginMx(offers=offers, user=login.user, secret=login.secret, tls=self_signed())
    async with listening(mx):
        session = await opened(mx, login=login)
        assert isinstance(session, Session)
        reply = await send(session)
        await session.close()
    assert (mx.logins, session.tls, reply.code) == ([chosen], True, 250)


async def test_a_host_that_wants_no_initial_response_is_asked_twice() -> None:
    mx = LoginMx(offers="PLAIN", tls=self_signed(), takes_initial=False)
    async with listening(mx):
        session = await opened(mx, login=LOGIN)
        assert isinstance(session, Session)
        await session.close()
    assert mx.logins == ["PLAIN"]


async def test_cram_md5_is_left_alone_where_it_is_not_allowed() -> None:
    mx = LoginMx(tls=self_signed())
    async with listening(mx):
        session = await opened(mx, login=replace(LOGIN, cram=False))
        assert isinstance(session, Session)
        await session.close()
    assert mx.logins == ["PLAIN"]


@pytest.mark.parametrize("offers", ["PLAIN", "LOGIN"])
async def test_a_password_never_goes_out_without_tls(offers: str) -> None:
    mx = LoginMx(offers=offers, starttls=False)
    reply = await refusal(mx)
    assert (reply.code, reply.enhanced_text, reply.phase) == (451, "4.7.11", Phase.AUTH)
    assert mx.verbs() == ["EHLO", "QUIT"]


@pytest.mark.parametrize("offers", ["PLAIN", "LOGIN"])
async def test_a_password_does_not_go_out_after_a_handshake_that_failed(offers: str) -> None:
    mx = LoginMx(offers=offers)  # offers STARTTLS and has none
    reply = await refusal(mx)
    assert (reply.enhanced_text, mx.connections) == ("4.7.11", 2)
    assert "AUTH" not in mx.verbs()


async def test_a_relay_may_say_that_its_password_needs_no_tls() -> None:
    mx = LoginMx(offers="PLAIN", starttls=False)
    async with listening(mx):
        session = await opened(mx, login=replace(LOGIN, allow_plain=True))
        assert isinstance(session, Session)
        await session.close()
    assert mx.logins == ["PLAIN"]


@pytest.mark.parametrize("offers", ["PLAIN", "LOGIN", "CRAM-MD5"])
async def test_a_wrong_password_is_our_trouble_and_defers(offers: str) -> None:
    reply = await refusal(LoginMx(offers=offers, tls=self_signed()), Login("ann", "wrong"))
    assert (reply.code, reply.phase) == (535, Phase.AUTH)
    assert classify_reply(reply).verdict is Verdict.DEFERRED


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"454 4.7.0 later\r\n", 454),
        (b"421 4.7.0 enough\r\n", 421),
        (b"503 5.5.1 what?\r\n", 503),
        (HANG_UP, 0),
        (b"334\r\n334 not base64!\r\n", 0),
        (b"nonsense\r\n", 0),
    ],
)
async def test_whatever_a_relay_says_to_auth_defers(said: bytes, code: int) -> None:
    reply = await refusal(LoginMx({"AUTH": said}, offers="CRAM-MD5", starttls=False))
    assert (reply.code, reply.phase) == (code, Phase.AUTH)
    assert classify_reply(reply).verdict is Verdict.DEFERRED


async def test_an_offer_we_cannot_take_defers() -> None:
    reply = await refusal(LoginMx(offers="GSSAPI XOAUTH2", tls=self_signed()))
    assert (reply.code, reply.phase) == (451, Phase.AUTH)


async def test_a_challenge_that_is_none_is_cancelled() -> None:
    mx = LoginMx({"AUTH": b"334 ***\r\n", "*": b"501 5.0.0 cancelled\r\n"}, offers="CRAM-MD5")
    reply = await refusal(mx, tls=TlsPolicy.NONE)
    assert (reply.code, reply.phase) == (501, Phase.AUTH)
    assert mx.verbs() == ["EHLO", "AUTH", "*", "QUIT"]


@pytest.mark.parametrize("echo", [LOGIN.secret, base64.b64encode(b"\0ann\0open sesame").decode()])
async def test_a_relay_that_repeats_the_password_gets_it_into_no_log(echo: str) -> None:
    said = f"535 5.7.8 {echo} is wrong\r\n".encode()
    reply = await refusal(LoginMx({"AUTH": said}, offers="CRAM-MD5", starttls=False))
    assert reply == SmtpReply(535, "5.7.8 *** is wrong", Phase.AUTH)


def test_a_secret_is_in_no_repr() -> None:
    assert "sesame" not in repr(LOGIN)


def test_the_digest_is_that_of_rfc_2195() -> None:
    challenge = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"
    said = answer(Mechanism.CRAM_MD5, Login("tim", "tanstaaftanstaaf"), challenge, 0)
    assert said == b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n"


def test_a_long_message_does_not_stand_in_the_command() -> None:
    assert opening(Mechanism.PLAIN, Login("a", "s" * 600)) == b"AUTH PLAIN\r\n"
    assert opening(Mechanism.PLAIN, Login("a", "b")) == b"AUTH PLAIN AGEAYg==\r\n"


def test_cram_md5_needs_no_tls() -> None:
    assert choose("PLAIN CRAM-MD5", LOGIN, tls=False) is Mechanism.CRAM_MD5
