"""What nodemailer can ask of a submission server: both ports, a pool, DSN, SMTPUTF8, CRAM-MD5."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailroom.domain.dsn_request import load
from tests.clients.conftest import Run
from tests.egress.submission_stand import SECRET
from tests.peers.door import SENDER, USER, Door, open_door
from tests.support.customer import Customer, wait_for

pytestmark = pytest.mark.clients


@pytest.fixture
def door() -> Iterator[Door]:
    with open_door() as door:
        yield door


@pytest.fixture
def mailer(door: Door, run_node: Run, tmp_path: Path) -> Run:
    def send(*, transport: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        order = {
            "host": "127.0.0.1",
            "port": door.tls_port if (transport or {}).get("secure") else door.port,
            "user": USER,
            "password": SECRET,
            "from": SENDER,
            "subject": "from nodemailer",
            "transport": {"tls": {"rejectUnauthorized": False}} | (transport or {}),
        }
        return run_node("nodemailer_client.js", order | changes, ca=tmp_path / "none.pem")

    return send


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("secure", [False, True])
def test_every_mechanism_opens_both_ports(
    mailer: Run, door: Door, method: str, secure: bool
) -> None:
    transport = {"secure": secure, "requireTLS": not secure}
    done = mailer(to="ann@example.org", method=method, transport=transport)
    assert done["accepted"] == ["ann@example.org"], done
    assert door.names() == ["ann@example.org"]


def test_a_pool_sends_many_messages_over_few_connections(
    mailer: Run, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "egress.submission.session")
    names = [f"u{number}@example.org" for number in range(100)]
    pool = {"pool": True, "maxConnections": 5, "maxMessages": 50}
    answers = mailer(each=names, transport=pool)["answers"]
    assert all(answer["reply"].startswith("250 2.0.0 ") for answer in answers), answers
    assert Counter(door.names()) == Counter(names)

    def carried() -> list[int]:
        ended = [each for each in caplog.records if each.getMessage() == "session"]
        return [vars(each)["transactions"] for each in ended]

    wait_for(lambda: sum(carried()) == len(names), what="the ends of all sessions")
    assert len(carried()) <= 10


def test_dsn_options_are_kept(mailer: Run, door: Door) -> None:
    dsn = {
        "id": "QQ314159",
        "return": "headers",
        "notify": ["failure", "delay"],
        "recipient": "ann@example.org",
    }
    done = mailer(to="ann@example.org", message={"dsn": dsn})
    assert done["accepted"] == ["ann@example.org"], done
    asked = load(door.parcels[0].dsn)
    assert (asked.returned, asked.envelope_id) == ("HDRS", "QQ314159")
    assert set(asked.recipients[0].notify) == {"FAILURE", "DELAY"}
    assert asked.recipients[0].original == "rfc822;ann@example.org"


def test_addresses_outside_ascii_go_by_smtputf8(mailer: Run, door: Door) -> None:
    done = mailer(to="pelé@example.org")
    assert done["reply"].startswith("250 2.0.0 "), done
    assert door.parcels[0].utf8
    assert door.names() == ["pelé@example.org"]


def test_a_big_message_arrives_and_one_over_the_limit_is_refused(
    mailer: Run, door: Door, tmp_path: Path
) -> None:
    attached = tmp_path / "attached"
    attached.write_bytes(bytes(range(256)) * 30_000)
    file = [{"filename": "grün.bin", "path": str(attached)}]
    done = mailer(to="ann@example.org", message={"attachments": file})
    assert done["reply"].startswith("250 2.0.0 "), done
    assert len(door.stand.raw()) > 10_000_000
    refused = mailer(to="bob@example.org", message={"attachments": file * 3})
    assert refused["reply"].startswith("552 5.3.4 "), refused
    assert door.names() == ["ann@example.org"]


@pytest.mark.stack
def test_the_tls_port_of_a_whole_platform_is_verified_and_the_mail_arrives(
    customer: Customer, run_node: Run, recipient: str
) -> None:
    login = customer.status["smtp"]
    order = {
        "host": login["host"],
        "port": login["tls_port"],
        "user": login["username"],
        "password": login["password"],
        "from": customer.sender,
        "to": recipient,
        "subject": "from nodemailer",
        "transport": {"secure": True, "pool": True},
    }
    done = run_node("nodemailer_client.js", order, ca=Path(login["ca_file"]))
    assert done["accepted"] == [recipient], done
    [found] = wait_for(lambda: customer.mailbox(recipient), what="the message")
    assert customer.mail(found["id"])["dkim"] == "pass"
