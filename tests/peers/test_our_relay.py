"""Our sender towards a relay that asks for a login: a real Postfix with Cyrus SASL."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.peers import free_ports
from bench.postfix import Postfix, running_postfix
from egress.connecting import TlsPolicy
from egress.core.mx import MxTarget
from egress.session import Session, Timeouts
from localstack.certificates import ensure_authority, issue
from mailroom.domain.outcome import Verdict, classify_reply
from mailroom.domain.relay import Login
from mailroom.domain.reply import Phase, SmtpReply
from tests.egress.sessions import send
from tests.peers.capture import Capture, capturing
from tests.support.customer import wait_for

pytestmark = [pytest.mark.peers, pytest.mark.usefixtures("needs_postfix")]

HOST = "relay.peer.test"
USER, SECRET = "ann@peer.test", "open sésame " + "x" * 20


@dataclass(frozen=True)
class Relay:
    """Takes mail only inside TLS and from USER, and hands it on to `sink`."""

    postfix: Postfix
    authority: Path
    sink: Capture

    async def open(
        self, tls: TlsPolicy, login: Login | None, host: str = HOST
    ) -> Session | SmtpReply:
        return await Session.open(
            MxTarget(host, "127.0.0.1", self.postfix.port),
            ehlo_name="out.sender.test",
            source_address="127.0.0.1",
            tls=tls,
            timeouts=Timeouts(),
            connect_timeout=10,
            login=login,
            authorities=self.authority,
        )


@contextmanager
def relay(folder: Path, mechanisms: str, *, implicit: bool = False) -> Iterator[Relay]:
    sasl = folder / "postfix" / "config" / "sasl"  # where Debian's Postfix looks
    sasl.mkdir(parents=True)
    base = sasl / "sasldb2"
    subprocess.run(
        ["saslpasswd2", "-p", "-c", "-f", str(base), "-u", "peer.test", "ann"],
        input=SECRET.encode(),
        check=True,
        timeout=30,
    )
    shutil.chown(base, "postfix")
    (sasl / "smtpd.conf").write_text(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\n"
        f"sasldb_path: {base}\nmech_list: {mechanisms}\n"
    )
    certificate, key = issue(folder / "ca", "relay", [HOST])
    (port,) = free_ports(1)
    with capturing() as sink:
        settings = {
            "mynetworks": "",
            "relayhost": f"[127.0.0.1]:{sink.port}",
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_security_options": "noanonymous",
            "smtpd_relay_restrictions": "permit_sasl_authenticated,reject",
            "smtpd_tls_auth_only": "yes",
            "smtpd_tls_security_level": "encrypt",
            "smtpd_tls_wrappermode": "yes" if implicit else "no",
            "smtpd_tls_cert_file": str(certificate),
            "smtpd_tls_key_file": str(key),
        }
        with running_postfix(folder / "postfix", port, settings) as running:
            yield Relay(running, ensure_authority(folder / "ca").certificate, sink)


@pytest.fixture
def folder(open_folder: Path, needs: Callable[..., None]) -> Path:
    needs("saslpasswd2")
    return open_folder


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("policy", [TlsPolicy.VERIFIED, TlsPolicy.IMPLICIT])
async def test_we_log_in_over_verified_tls_and_the_relay_hands_the_mail_on(
    folder: Path, mechanism: str, policy: TlsPolicy
) -> None:
    with relay(folder, mechanism, implicit=policy is TlsPolicy.IMPLICIT) as peer:
        session = await peer.open(policy, Login(USER, SECRET))
        assert isinstance(session, Session), session
        assert session.tls
        replies = [await send(session) for _ in range(3)]
        await session.close()
        assert [reply.code for reply in replies] == [250, 250, 250]
        wait_for(lambda: len(peer.sink.messages) == 3, what="the relayed mail")
        assert peer.postfix.log.count(f"sasl_method={mechanism}, sasl_username={USER}") == 3


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
async def test_a_wrong_secret_is_a_deferral_that_names_no_secret(
    folder: Path, mechanism: str
) -> None:
    with relay(folder, mechanism) as peer:
        refused = await peer.open(TlsPolicy.VERIFIED, Login(USER, "wrong-and-secret"))
        assert isinstance(refused, SmtpReply)
        assert (refused.code, refused.phase) == (535, Phase.AUTH)
        assert "wrong-and-secret" not in refused.text
        assert classify_reply(refused).verdict is Verdict.DEFERRED
        wait_for(lambda: "authentication failed" in peer.postfix.log, what="Postfix's log")


async def test_a_relay_under_another_name_is_not_told_the_secret(folder: Path) -> None:
    with relay(folder, "PLAIN LOGIN CRAM-MD5") as peer:
        refused = await peer.open(TlsPolicy.VERIFIED, Login(USER, SECRET), "other.peer.test")
        assert isinstance(refused, SmtpReply)
        assert refused.phase is Phase.STARTTLS
        wait_for(lambda: "disconnect from" in peer.postfix.log, what="Postfix's log")
        assert "auth=" not in peer.postfix.log


async def test_without_a_login_the_relay_refuses_the_recipient(folder: Path) -> None:
    with relay(folder, "PLAIN") as peer:
        session = await peer.open(TlsPolicy.VERIFIED, None)
        assert isinstance(session, Session)
        refused = await send(session)
        await session.close()
        assert refused.code // 100 == 5
        assert refused.phase is Phase.RCPT
        assert peer.sink.messages == []
