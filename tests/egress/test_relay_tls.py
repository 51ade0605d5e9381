"""TLS policies towards a relay, with real certificates: what is required is had or nothing goes."""

import ssl
from pathlib import Path

import pytest

from egress.session import Session, TlsPolicy
from mailroom.domain.outcome import Verdict, classify_reply
from mailroom.domain.relay import Login
from mailroom.domain.reply import Phase, SmtpReply
from tests.egress.relay_peer import LoginMx, trusted
from tests.egress.scripted_mx import ScriptedMx, listening, self_signed
from tests.egress.sessions import TLS_OFFER, opened, send

Trusted = tuple[Path, ssl.SSLContext]


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Trusted:
    return trusted(tmp_path_factory.mktemp("authority"), "relay.test")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Trusted:
    return trusted(tmp_path_factory.mktemp("stranger"), "relay.test")


async def test_required_takes_any_certificate() -> None:
    async with listening(ScriptedMx({"EHLO": TLS_OFFER}, tls=self_signed())) as mx:
        session = await opened(mx, tls=TlsPolicy.REQUIRED)
        assert isinstance(session, Session)
        assert (await send(session)).code == 250
        await session.close()
    assert (session.tls, mx.over_tls) == (True, 1)


async def test_verified_takes_a_certificate_for_the_name(relay: Trusted) -> None:
    authority, certificate = relay
    async with listening(ScriptedMx({"EHLO": TLS_OFFER}, tls=certificate)) as mx:
        session = await opened(mx, tls=TlsPolicy.VERIFIED, host="relay.test", authorities=authority)
        assert isinstance(session, Session)
        assert (await send(session)).code == 250
        await session.close()
    assert session.tls


async def test_implicit_speaks_tls_from_the_first_octet_and_logs_in(relay: Trusted) -> None:
    authority, certificate = relay
    async with listening(LoginMx(offers="PLAIN"), implicit=certificate) as mx:
        session = await opened(
            mx,
            tls=TlsPolicy.IMPLICIT,
            host="relay.test",
            authorities=authority,
            login=Login("ann", "open sesame"),
        )
        assert isinstance(session, Session)
        assert (await send(session)).code == 250
        await session.close()
    assert (session.tls, mx.logins) == (True, ["PLAIN"])
    assert mx.verbs()[:3] == ["EHLO", "AUTH", "MAIL"]


@pytest.mark.parametrize("policy", [TlsPolicy.VERIFIED, TlsPolicy.IMPLICIT])
@pytest.mark.parametrize("wrong", ["another name", "unknown authority", "no authority given"])
async def test_a_certificate_that_proves_nothing_stops_verified_mail(
    policy: TlsPolicy, wrong: str, relay: Trusted, stranger: Trusted
) -> None:
    authority, certificate = relay
    host = "other.test" if wrong == "another name" else "relay.test"
    trust = {"unknown authority": stranger[0], "no authority given": None}.get(wrong, authority)
    mx = ScriptedMx({"EHLO": TLS_OFFER}, tls=certificate)
    implicit = certificate if policy is TlsPolicy.IMPLICIT else None
    async with listening(mx, implicit=implicit):
        reply = await opened(mx, tls=policy, host=host, authorities=trust)
        await mx.quiet()
    assert isinstance(reply, SmtpReply)
    assert (reply.code, reply.phase) == (0, Phase.STARTTLS)
    assert "certificate" in reply.text
    assert classify_reply(reply).verdict is Verdict.DEFERRED
    assert not {"MAIL", "AUTH"} & set(mx.verbs())


async def test_implicit_at_a_host_that_speaks_plain_text_defers(relay: Trusted) -> None:
    async with listening(ScriptedMx()) as mx:
        reply = await opened(mx, tls=TlsPolicy.IMPLICIT, authorities=relay[0])
        await mx.quiet()
    assert isinstance(reply, SmtpReply)
    assert classify_reply(reply).verdict is Verdict.DEFERRED
    assert not any(b"EHLO" in line for line in mx.commands)


async def test_none_never_asks_for_tls() -> None:
    async with listening(ScriptedMx({"EHLO": TLS_OFFER}, tls=self_signed())) as mx:
        session = await opened(mx, tls=TlsPolicy.NONE)
        assert isinstance(session, Session)
        await session.close()
    assert (session.tls, "STARTTLS" in mx.verbs()) == (False, False)
