"""nodemailer from npm, over submission with STARTTLS and both plain logins."""

from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import Run
from tests.support.customer import Customer, wait_for

pytestmark = [pytest.mark.clients, pytest.mark.stack]


@pytest.fixture
def mailer(customer: Customer, run_node: Run) -> Run:
    login = customer.status["smtp"]

    def send(**changes: Any) -> dict[str, Any]:
        order = {
            "host": login["host"],
            "port": login["submission_port"],
            "user": login["username"],
            "password": login["password"],
            "from": customer.sender,
            "subject": "from nodemailer, grün",
        }
        return run_node("nodemailer_client.js", order | changes, ca=Path(login["ca_file"]))

    return send


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
def test_a_message_is_submitted_and_arrives(
    mailer: Run, customer: Customer, recipient: str, method: str
) -> None:
    done = mailer(to=recipient, method=method)
    assert done["accepted"] == [recipient]
    assert done["reply"].startswith("250 ")
    [found] = wait_for(lambda: customer.mailbox(recipient), what="the message")
    mail = customer.mail(found["id"])
    assert (mail["subject"], mail["dkim"]) == ("from nodemailer, grün", "pass")
    assert mail["text"].splitlines()[:2] == [".dot first", "then grün"]


def test_a_wrong_password_is_its_own_error(mailer: Run, customer: Customer, recipient: str) -> None:
    refusal = mailer(to=recipient, method="PLAIN", password="x" * 24)
    assert refusal["code"] == "EAUTH"
    assert refusal["reply"].startswith("535 ")
    assert customer.mailbox(recipient) == []
