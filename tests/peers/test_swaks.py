"""swaks, the SMTP tester's own client, against the submission port."""

import subprocess
from collections.abc import Callable

import pytest

from tests.support.customer import Customer, wait_for

pytestmark = [pytest.mark.peers, pytest.mark.stack]


def swaks(customer: Customer, to: str, *options: str) -> "subprocess.CompletedProcess[str]":
    smtp = customer.status["smtp"]
    command = ["swaks", "--server", smtp["host"], "--port", str(smtp["submission_port"])]
    command += ["--from", customer.sender, "--to", to, "--h-From", customer.sender]
    command += ["--h-Subject", "from swaks", "--body", "first line\n.dot\nlast", "--timeout", "60"]
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=120, check=False
    )


def over_tls(customer: Customer) -> list[str]:
    return ["--tls", "--tls-verify", "--tls-ca-path", customer.status["smtp"]["ca_file"]]


def login(customer: Customer, password: str) -> list[str]:
    user = customer.status["smtp"]["username"]
    return ["--auth", "PLAIN", "--auth-user", user, "--auth-password", password]


def test_swaks_submits_with_starttls_and_auth_and_the_mail_arrives(
    customer: Customer, recipient: str, needs: Callable[..., None]
) -> None:
    needs("swaks")
    password = customer.status["smtp"]["password"]
    done = swaks(customer, recipient, *over_tls(customer), *login(customer, password))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "=== TLS started" in done.stdout
    (found,) = wait_for(lambda: customer.mailbox(recipient), what="the message")
    mail = customer.mail(found["id"])
    assert mail["subject"] == "from swaks"
    assert mail["text"].splitlines()[:3] == ["first line", ".dot", "last"]
    assert mail["dkim"] == "pass"


def test_without_auth_it_is_refused(
    customer: Customer, recipient: str, needs: Callable[..., None]
) -> None:
    needs("swaks")
    done = swaks(customer, recipient, *over_tls(customer))
    assert done.returncode != 0
    assert " 530 5.7.0 " in done.stdout
    assert customer.mailbox(recipient) == []


def test_a_wrong_password_is_refused(
    customer: Customer, recipient: str, needs: Callable[..., None]
) -> None:
    needs("swaks")
    done = swaks(customer, recipient, *over_tls(customer), *login(customer, "x" * 24))
    assert done.returncode != 0
    assert " 535 " in done.stdout
    assert customer.mailbox(recipient) == []


def test_auth_is_not_offered_before_tls(
    customer: Customer, recipient: str, needs: Callable[..., None]
) -> None:
    needs("swaks")
    done = swaks(customer, recipient, *login(customer, customer.status["smtp"]["password"]))
    assert done.returncode != 0
    assert "250-AUTH" not in done.stdout
    assert "250 AUTH" not in done.stdout
    assert customer.mailbox(recipient) == []
