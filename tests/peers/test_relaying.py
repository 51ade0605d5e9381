"""A customer's own Postfix that hands us all its mail, as most applications on servers send."""

import re
import smtplib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.peers import free_ports
from bench.postfix import Postfix, running_postfix
from mailroom.domain.dsn_request import load
from tests.egress.submission_stand import SECRET
from tests.peers.door import SENDER, USER, Door, open_door
from tests.support.customer import Customer, wait_for

pytestmark = [pytest.mark.peers, pytest.mark.usefixtures("needs_postfix")]

MESSAGES = 200
MESSAGE = f"From: {SENDER}\r\nTo: ann@example.org\r\nSubject: relayed\r\n\r\n.dot\r\n".encode()


@contextmanager
def relaying(
    folder: Path, hop: str, login: tuple[str, str], settings: Mapping[str, str]
) -> Iterator[Postfix]:
    """A Postfix whose relayhost is `hop` (`[host]:port`)."""
    passwords = folder / "passwords"
    passwords.write_text(f"{hop} {login[0]}:{login[1]}\n")
    common = {
        "relayhost": hop,
        "smtp_sasl_auth_enable": "yes",
        "smtp_sasl_password_maps": f"texthash:{passwords}",
        "smtp_sasl_security_options": "noanonymous",
    }
    (port,) = free_ports(1)
    with running_postfix(folder / "postfix", port, common | settings) as relay:
        yield relay


def drained(relay: Postfix) -> None:
    wait_for(lambda: relay.queued == 0, within=120, what="an empty queue")


@pytest.fixture
def door() -> Iterator[Door]:
    with open_door() as door:
        yield door


@contextmanager
def to_door(
    door: Door, folder: Path, *, tls_first: bool = False, **settings: str
) -> Iterator[Postfix]:
    """A Postfix that relays to the door; its log shows the dialogue."""
    port = door.tls_port if tls_first else door.port
    shown = {
        "smtp_tls_security_level": "encrypt",
        "smtp_tls_wrappermode": "yes" if tls_first else "no",
        "debug_peer_list": "127.0.0.1",
        "debug_peer_level": "2",
        "smtputf8_enable": "yes",
    }
    with relaying(folder, f"[127.0.0.1]:{port}", (USER, SECRET), shown | settings) as relay:
        yield relay


def dialogue(relay: Postfix) -> list[str]:
    """What its SMTP client said (`> `) and heard (`< `)."""
    lines = re.findall(
        r"postfix/smtp\[\d+\]: ([<>]) 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: (.*)", relay.log
    )
    return [f"{way} {said}" for way, said in lines]


def submit(relay: Postfix, *recipients: str, raw: bytes = MESSAGE, **options: list[str]) -> None:
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=30) as session:
        assert session.sendmail(SENDER, recipients, raw, **options) == {}


@pytest.mark.stack
@pytest.mark.parametrize("way", ["submission_port", "tls_port"])
def test_all_mail_of_a_postfix_is_delivered_once_and_its_queue_is_empty(
    customer: Customer, recipient: str, open_folder: Path, way: str
) -> None:
    smtp, name = customer.status["smtp"], recipient.partition("@")[0]
    settings = {
        "smtp_tls_security_level": "secure",
        "smtp_tls_secure_cert_match": "localhost",
        "smtp_tls_CAfile": smtp["ca_file"],
        "smtp_tls_wrappermode": "yes" if way == "tls_port" else "no",
    }
    recipients = [f"{name}.{number}@sim.test" for number in range(MESSAGES)]
    text = f"From: {customer.sender}\r\nSubject: relayed\r\n\r\nHello.\r\n"
    hop, login = f"[{smtp['host']}]:{smtp[way]}", (smtp["username"], smtp["password"])
    with relaying(open_folder, hop, login, settings) as relay:
        with smtplib.SMTP("127.0.0.1", relay.port, timeout=30) as session:
            for each in recipients:
                session.sendmail(customer.sender, [each], text.encode())
        drained(relay)
        assert relay.log.count("status=sent (250 2.0.0 Ok: queued as ") == MESSAGES
        assert "status=deferred" not in relay.log
        assert "status=bounced" not in relay.log
    found = wait_for(
        lambda: [m for m in [customer.mailbox(f"{name}.")] if len(m) >= MESSAGES],
        within=120,
        what="all messages",
    )[0]
    assert Counter(each["to"] for each in found) == Counter(recipients)
    assert customer.mail(found[0]["id"])["dkim"] == "pass"


@pytest.mark.parametrize("tls_first", [False, True])
def test_a_transaction_is_pipelined_inside_tls(
    door: Door, open_folder: Path, tls_first: bool
) -> None:
    with to_door(door, open_folder, tls_first=tls_first) as relay:
        submit(relay, "ann@example.org", "bob@example.org")
        drained(relay)
        said = dialogue(relay)
    assert ("> STARTTLS" in said) is not tls_first
    start = next(n for n, line in enumerate(said) if line.startswith("> MAIL FROM:"))
    assert [line.split(":")[0] for line in said[start : start + 4]] == [
        "> MAIL FROM", "> RCPT TO", "> RCPT TO", "> DATA",
    ], said  # fmt: skip
    assert sorted(door.names()) == ["ann@example.org", "bob@example.org"]
    assert b"\r\n.dot\r\n" in door.stand.raw()


@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5"])
def test_every_mechanism_opens_it(door: Door, open_folder: Path, mechanism: str) -> None:
    with to_door(door, open_folder, smtp_sasl_mechanism_filter=mechanism) as relay:
        submit(relay, "ann@example.org")
        drained(relay)
        assert any(line.startswith(f"> AUTH {mechanism.upper()}") for line in dialogue(relay))
    assert door.names() == ["ann@example.org"]


def test_what_its_users_ask_of_dsn_and_smtputf8_is_passed_on_to_us(
    door: Door, open_folder: Path
) -> None:
    with to_door(door, open_folder) as relay:
        submit(
            relay,
            "pelé@example.org",
            raw=MESSAGE.replace(b"relayed", "grüße".encode()),
            mail_options=["SMTPUTF8", "BODY=8BITMIME", "RET=HDRS", "ENVID=QQ314159"],
            rcpt_options=["NOTIFY=FAILURE,DELAY"],
        )
        drained(relay)
    (parcel,) = door.parcels
    asked = load(parcel.dsn)
    assert parcel.utf8
    assert door.names() == ["pelé@example.org"]
    assert (asked.returned, asked.envelope_id) == ("HDRS", "QQ314159")
    assert set(asked.recipients[0].notify) == {"FAILURE", "DELAY"}
    assert "grüße".encode() in parcel.raw


def test_a_refused_message_is_not_tried_again(door: Door, open_folder: Path) -> None:
    with to_door(door, open_folder) as relay:
        submit(relay, "ann@example.org", raw=MESSAGE.replace(b"acme.test", b"stranger.test", 1))
        wait_for(lambda: "status=bounced" in relay.log, what="Postfix's log")
        assert "said: 530 5.7.1 " in relay.log
    assert door.parcels == []
