"""A real Postfix as the MX we deliver to."""

import grp
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.peers import free_ports
from bench.postfix import Postfix, running_postfix
from bench.sample import message
from egress.connecting import Timeouts, TlsPolicy
from egress.core.mx import MxAnswer, MxTarget
from egress.sender.copies import Copy
from egress.session import Session
from localstack.certificates import issue
from mailroom.domain.reply import Phase, SmtpReply
from tests.support.customer import wait_for
from tests.support.socket_stand import sending

pytestmark = [pytest.mark.peers, pytest.mark.usefixtures("needs_postfix")]

# What breaks careless senders: leading dots, a lone dot, tabs and blanks at line ends, empty
# lines at the end, octets above 127 and a line of 998.
AWKWARD = (
    b"From: a@sender.test\r\nTo: ann@peer.test\r\nSubject: awkward\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n"
    b".leading\r\n..two\r\n.\r\n\ttab \t\r\n"
    + "Grüße".encode()
    + b"\r\n"
    + b"x" * 998
    + b"\r\n\r\n\r\n"
)


@pytest.fixture
def mailbox_host(open_folder: Path) -> Iterator[Postfix]:
    """Postfix as the MX of peer.test, whose one mailbox is `ann`, with STARTTLS."""
    mail = open_folder / "mail"
    mail.mkdir()
    nobody = pwd.getpwnam("nobody").pw_uid
    mail.chmod(0o777)
    certificate, key = issue(open_folder / "ca", "mx", ["mx.peer.test"])
    settings = {
        "virtual_mailbox_domains": "peer.test",
        "virtual_mailbox_base": str(mail),
        "virtual_mailbox_maps": "inline:{ann@peer.test=ann/}",
        "virtual_minimum_uid": "1",
        "virtual_uid_maps": f"static:{nobody}",
        "virtual_gid_maps": f"static:{grp.getgrnam('nogroup').gr_gid}",
        "smtpd_tls_cert_file": str(certificate),
        "smtpd_tls_key_file": str(key),
        "smtpd_tls_security_level": "may",
        "local_header_rewrite_clients": "",  # we are a stranger, though on the same host
    }
    (port,) = free_ports(1)
    with running_postfix(open_folder / "postfix", port, settings) as running:
        yield running


def maildir(host: Postfix) -> list[bytes]:
    """The delivered messages without the fields that Postfix put in front."""
    files = sorted((host.folder.parent / "mail" / "ann" / "new").glob("*"))
    return [file.read_bytes() for file in files]


def an_answer(host: Postfix) -> MxAnswer:
    return MxAnswer((MxTarget("mx.peer.test", "127.0.0.1", host.port),))


async def nothing() -> None:
    pass


async def open_session(host: Postfix) -> Session:
    session = await Session.open(
        an_answer(host).targets[0],
        ehlo_name="out.sender.test",
        source_address="127.0.0.1",
        tls=TlsPolicy.OPPORTUNISTIC,
        timeouts=Timeouts(),
        connect_timeout=10,
    )
    assert isinstance(session, Session), session
    return session


async def offer(session: Session, to: str, raw: bytes) -> SmtpReply:
    return await session.transact("b+1@rp.sender.test", to, raw, before_dot=nothing)


async def test_mail_reaches_a_postfix_mailbox_octet_by_octet(mailbox_host: Postfix) -> None:
    session = await open_session(mailbox_host)
    assert session.tls
    assert "pipelining" in session.extensions
    replies = [await offer(session, "ann@peer.test", raw) for raw in (AWKWARD, message())]
    await session.close()
    assert [reply.code for reply in replies] == [250, 250]
    stored = wait_for(lambda: [m for m in [maildir(mailbox_host)] if len(m) == 2], what="mail")[0]
    for raw in (AWKWARD, message()):
        wanted = raw.replace(b"\r\n", b"\n")
        assert [mail.endswith(b"\n" + wanted) for mail in stored].count(True) == 1
    assert all(b"Return-Path: <b+1@rp.sender.test>\n" in mail for mail in stored)
    wait_for(lambda: mailbox_host.log.count("status=sent") == 2, what="Postfix's log")


async def test_a_refusal_is_data_and_the_connection_goes_on(mailbox_host: Postfix) -> None:
    session = await open_session(mailbox_host)
    refused = await offer(session, "nobody@peer.test", AWKWARD)
    assert (refused.code, refused.phase) == (550, Phase.RCPT)
    assert refused.text.startswith("5.1.1")
    accepted = await offer(session, "ann@peer.test", AWKWARD)
    assert accepted.code == 250
    await session.close()
    wait_for(lambda: ": disconnect from" in mailbox_host.log, what="Postfix's log")
    assert mailbox_host.log.count(": connect from") == 1


async def test_a_message_over_the_size_limit_is_refused_before_it_is_sent(
    mailbox_host: Postfix,
) -> None:
    session = await open_session(mailbox_host)
    huge = AWKWARD + b"x" * 78 + b"\r\n" + (b"y" * 78 + b"\r\n") * 140_000
    refused = await offer(session, "ann@peer.test", huge)
    assert refused.code == 552
    assert refused.phase in (Phase.MAIL, Phase.RCPT)
    await session.close()


async def test_the_sender_keeps_its_connection_to_postfix(
    mailbox_host: Postfix, tmp_path: Path
) -> None:
    copy = Copy("b+1@rp.sender.test", AWKWARD)
    async with sending(tmp_path) as sender:
        for _ in range(3):
            outcome = await sender.sent(
                an_answer(mailbox_host), copy=copy, recipient="ann@peer.test"
            )
            assert (outcome.code, outcome.tls, outcome.mx) == (250, True, "mx.peer.test")
    wait_for(lambda: ": disconnect from" in mailbox_host.log, what="Postfix's log")
    assert mailbox_host.log.count(": connect from") == 1
