"""swaks, the SMTP tester's own client, against a whole platform with verified certificates."""

import pytest

from mailroom.domain.message import Credential
from tests.peers.swaks import Transcript, run_swaks
from tests.support.customer import Customer, wait_for
from tests.support.tenants import tenants_of

pytestmark = [pytest.mark.peers, pytest.mark.stack]

LETTER = "first line\n.dot\nlast"


def swaks(customer: Customer, to: str, *options: str, port: str = "submission_port") -> Transcript:
    smtp = customer.status["smtp"]
    envelope = ["--from", customer.sender, "--to", to, "--h-From", customer.sender]
    mail = [*envelope, "--h-Subject", "from swaks", "--body", LETTER]
    return run_swaks(smtp["host"], smtp[port], *mail, *options)


def over_tls(customer: Customer) -> list[str]:
    return ["--tls", *verified(customer)]


def verified(customer: Customer) -> list[str]:
    return ["--tls-verify", "--tls-ca-path", customer.status["smtp"]["ca_file"]]


def login(customer: Customer, password: str = "", mechanism: str = "PLAIN") -> list[str]:
    smtp = customer.status["smtp"]
    options = ["--auth", mechanism, "--auth-user", smtp["username"]]
    return [*options, "--auth-password", password or smtp["password"]]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("port", ["submission_port", "tls_port"])
def test_swaks_submits_and_the_mail_arrives_signed(
    customer: Customer, recipient: str, mechanism: str, port: str
) -> None:
    tls = ["--tls-on-connect", *verified(customer)] if port == "tls_port" else over_tls(customer)
    logged_in = login(customer, mechanism=mechanism)
    done = swaks(customer, recipient, *tls, *logged_in, "--pipeline", port=port)
    assert done.code == 0, done.text
    assert "=== TLS started" in done.text
    [found] = wait_for(lambda: customer.mailbox(recipient), what="the message")
    mail = customer.mail(found["id"])
    assert mail["subject"] == "from swaks"
    assert mail["text"].splitlines()[:3] == LETTER.splitlines()
    assert mail["dkim"] == "pass"


def test_cram_md5_opens_no_credential_that_does_not_allow_it(
    customer: Customer, recipient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = tenants_of(customer.stack, monkeypatch)()
    unmarked, secret = Credential("unmarked", tenant.server.id, "smtp", "no digests"), "s" * 24
    tenant.rows.put_credential(unmarked, secret)
    mine = tenant.on(customer)
    done = swaks(mine, recipient, *over_tls(mine), *login(mine, secret, "CRAM-MD5"))
    assert done.code != 0
    assert " 535 5.7.8 " in done.text
    assert customer.mailbox(recipient) == []
    assert swaks(mine, recipient, *over_tls(mine), *login(mine, secret)).code == 0


def test_without_auth_it_is_refused(customer: Customer, recipient: str) -> None:
    done = swaks(customer, recipient, *over_tls(customer))
    assert done.code != 0
    assert " 530 5.7.0 " in done.text
    assert customer.mailbox(recipient) == []


def test_a_wrong_password_is_refused(customer: Customer, recipient: str) -> None:
    done = swaks(customer, recipient, *over_tls(customer), *login(customer, "x" * 24))
    assert done.code != 0
    assert " 535 " in done.text
    assert customer.mailbox(recipient) == []


def test_auth_is_not_offered_before_tls(customer: Customer, recipient: str) -> None:
    done = swaks(customer, recipient, *login(customer))
    assert done.code != 0
    assert "250-AUTH" not in done.text
    assert "250 AUTH" not in done.text
    assert customer.mailbox(recipient) == []
