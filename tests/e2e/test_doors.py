"""The submission doors of a running platform: ways in, ways to log in, and what a message keeps."""

import base64
import random
import secrets
import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mailroom.domain.message import Credential
from tests.support.customer import Customer, wait_for
from tests.support.tenants import Tenant, Tenants

pytestmark = pytest.mark.stack
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
MESSAGE = "From: {sender}\r\nTo: {to}\r\nSubject: by another door\r\n{more}\r\nHello.\r\n"


def box(behaviour: str = "accept", domain: str = "sim.test") -> str:
    return f"{behaviour}+{secrets.token_hex(6)}@{domain}"


def message(customer: Customer, to: str, *headers: str) -> bytes:
    more = "".join(f"{header}\r\n" for header in headers)
    return MESSAGE.format(sender=customer.sender, to=to, more=more).encode()


def trusting(customer: Customer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=customer.status["smtp"]["ca_file"])


def id_in(reply: tuple[int, bytes]) -> int:
    """The id that the reply to the data names."""
    assert reply[0] == 250, reply
    return int(reply[1].decode().rpartition(" ")[2])


def deliver(session: smtplib.SMTP, sender: str, to: str, content: bytes) -> int:
    assert session.mail(sender)[0] == 250
    assert session.rcpt(to)[0] == 250
    return id_in(session.data(content))


def sent(customer: Customer, id_: int) -> dict[str, Any]:
    record = wait_for(lambda: customer.settled(id_), what=f"{id_} to be settled")
    assert record["state"] == "sent", record
    return record


def mail_to(customer: Customer, to: str) -> dict[str, Any]:
    (found,) = customer.mailbox(to)
    return customer.mail(found["id"])


def header(mail: dict[str, Any], name: str) -> list[str]:
    return [value for key, value in mail["headers"] if key.lower() == name]


def header_of(mail: dict[str, Any]) -> bytes:
    return base64.b64decode(mail["raw"]).partition(b"\r\n\r\n")[0]


def test_tls_from_the_first_octet(customer: Customer) -> None:
    login, to = customer.status["smtp"], box()
    with smtplib.SMTP_SSL(
        login["host"], login["tls_port"], context=trusting(customer), timeout=60
    ) as session:
        session.login(login["username"], login["password"])
        id_ = deliver(session, customer.sender, to, message(customer, to))
    sent(customer, id_)
    assert "with ESMTPSA" in header(mail_to(customer, to), "received")[-1]


@contextmanager
def secured(customer: Customer) -> Iterator[smtplib.SMTP]:
    login = customer.status["smtp"]
    with smtplib.SMTP(login["host"], login["submission_port"], timeout=60) as session:
        session.starttls(context=trusting(customer))
        session.ehlo()
        session.user, session.password = login["username"], login["password"]
        yield session


@pytest.mark.parametrize(
    ("mechanism", "answer"),
    [
        ("PLAIN", lambda session: session.auth_plain),
        ("LOGIN", lambda session: session.auth_login),
        ("CRAM-MD5", lambda session: session.auth_cram_md5),
    ],
)
def test_every_mechanism_opens_the_tenants_server(
    customer: Customer,
    tenants: Tenants,
    mechanism: str,
    answer: Callable[[smtplib.SMTP], Callable[..., str]],
) -> None:
    tenant, to = tenants().on(customer), box()
    with secured(tenant) as session:
        assert mechanism in session.esmtp_features["auth"].split()
        assert session.auth(mechanism, answer(session))[0] == 235
        id_ = deliver(session, tenant.sender, to, message(tenant, to))
    sent(tenant, id_)
    assert len(tenant.mailbox(to)) == 1


@pytest.mark.parametrize("secure", [False, True])
def test_an_address_opens_its_server_without_a_login(
    customer: Customer, tenants: Tenants, secure: bool
) -> None:
    tenant, to = tenants(), box()
    mine = tenant.on(customer)
    own = ".".join(["127", *(str(random.randrange(1, 255)) for _ in range(3))])
    tenant.rows.put_network(network_credential(tenant), f"{own}/32")
    smtp = customer.status["smtp"]
    with smtplib.SMTP(
        smtp["host"], smtp["submission_port"], timeout=60, source_address=(own, 0)
    ) as session:
        if secure:
            session.starttls(context=trusting(customer))
        session.ehlo("app.test")
        id_ = deliver(session, mine.sender, to, message(mine, to))
    sent(mine, id_)
    received = header(mail_to(mine, to), "received")[-1]
    assert f"[{own}]" in received
    assert ("with ESMTPS id" if secure else "with ESMTP id") in received


def network_credential(tenant: Tenant) -> Credential:
    return Credential(f"{tenant.server.id}-ip", tenant.server.id, "smtp-ip", "The office")


def test_without_a_login_from_anywhere_else_nothing_goes(customer: Customer) -> None:
    smtp = customer.status["smtp"]
    with smtplib.SMTP(smtp["host"], smtp["submission_port"], timeout=60) as session:
        session.ehlo()
        assert session.mail(customer.sender)[0] == 530


def test_an_address_outside_ascii_needs_a_receiver_that_takes_it(customer: Customer) -> None:
    taking, refusing = box("käse"), box("käse", "no-smtputf8.sim.test")
    ids = {}
    with customer.smtp() as session:
        session.ehlo()
        session.command_encoding = "utf-8"
        for to in (taking, refusing):
            assert session.mail(customer.sender, ["SMTPUTF8", "BODY=8BITMIME"])[0] == 250
            assert session.rcpt(to)[0] == 250
            ids[to] = id_in(session.data(message(customer, to)))
    sent(customer, ids[taking])
    assert [each["to"] for each in customer.mailbox(taking)] == [taking]
    record = wait_for(lambda: customer.settled(ids[refusing]), what="the bounce")
    assert record["state"] == "bounced"
    assert "5.6.7" in record["events"][-1]["reply"]
    assert customer.mailbox(refusing) == []


def test_a_message_in_chunks_is_one_message(customer: Customer) -> None:
    to = box()
    content = message(customer, to) + b"A line.\r\n" * 3000
    with customer.smtp() as session:
        session.mail(customer.sender)
        session.rcpt(to)
        for start in range(0, len(content), 10_000):
            chunk = content[start : start + 10_000]
            last = b" LAST" if start + 10_000 >= len(content) else b""
            session.sock.sendall(b"BDAT %d%b\r\n" % (len(chunk), last) + chunk)
            reply = session.getreply()
            assert reply[0] == 250, reply
    sent(customer, id_in(reply))
    assert mail_to(customer, to)["text"].count("A line.") == 3000


def test_what_a_client_asks_of_delivery_reports_is_accepted(customer: Customer) -> None:
    to = box()
    with customer.smtp() as session:
        session.ehlo()
        assert session.mail(customer.sender, ["RET=HDRS", "ENVID=order-1"])[0] == 250
        original = to.replace("+", "+2B")  # xtext, RFC 3461 section 4
        assert session.rcpt(to, ["NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;{original}"])[0] == 250
        id_ = id_in(session.data(message(customer, to)))
    sent(customer, id_)


def test_a_tag_in_the_header_is_the_messages_tag(customer: Customer) -> None:
    to = box()
    with customer.smtp() as session:
        content = message(customer, to, "X-Postal-Tag: invoice")
        id_ = deliver(session, customer.sender, to, content)
    assert sent(customer, id_)["tag"] == "invoice"
    (hook, *_) = wait_for(lambda: customer.webhooks_of(id_), what="the webhook")
    assert hook["payload"]["message"]["tag"] == "invoice"


def test_mail_that_was_here_too_often_is_refused(customer: Customer) -> None:
    to = box()
    trace = "Received: from a.test by smtp.mailroom.test with ESMTP; Mon, 1 Jan 2024 00:00:00 +0000"
    with customer.smtp() as session:
        session.mail(customer.sender)
        session.rcpt(to)
        code, text = session.data(message(customer, to, *[trace] * 5))
    assert (code, text[:5]) == (550, b"5.4.6")


def test_a_server_may_say_who_sent_it_again(customer: Customer, tenants: Tenants) -> None:
    saying, silent, to, other = tenants(resent_sender=True).on(customer), customer, box(), box()
    sent(saying, saying.send([to])[to])
    sent(silent, silent.send([other])[other])
    mail = mail_to(saying, to)
    assert header(mail, "resent-sender") == [mail["mail_from"]]
    assert header(mail_to(silent, other), "resent-sender") == []


def test_a_private_server_tells_nobody_where_its_people_are(
    customer: Customer, tenants: Tenants
) -> None:
    private, to, called = tenants(privacy=True).on(customer), box(), box()
    content = message(private, to, "Content-Type: text/html")
    with private.smtp() as session:
        id_ = deliver(session, private.sender, to, content + b"<p>Hello</p>\r\n")
    sent(private, private.send([called])[called])
    sent(private, id_)
    mail = mail_to(private, to)
    for each in (mail, mail_to(private, called)):
        (received,) = header(each, "received")
        assert received.startswith("by ")
        assert b"127.0.0.1" not in header_of(each)

    def opened() -> list[dict[str, Any]]:
        # The tracking function reads the list of private servers once a minute.
        private.http(mail["pixels"][0], headers={"User-Agent": BROWSER})
        loads = [h["payload"] for h in private.webhooks_of(id_) if h["event"] == "MessageLoaded"]
        return [load for load in loads if not load["ip_address"]]

    load = wait_for(opened, within=90, every=1, what="an open without an address")[0]
    assert load["user_agent"] == "Firefox"
