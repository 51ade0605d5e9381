"""@atech/postal from npm, which speaks HTTPS to a host's port 443 and to nothing else."""

from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import API_HOST, Run
from tests.support.customer import Customer, wait_for

pytestmark = [pytest.mark.clients, pytest.mark.stack]


@pytest.fixture
def client(customer: Customer, run_node: Run, https_api: tuple[int, Path]) -> Run:
    port, ca = https_api

    def send(**changes: Any) -> dict[str, Any]:
        order = {
            "host": API_HOST,
            "port": port,
            "key": customer.status["api_key"],
            "from": customer.sender,
            "subject": "from @atech/postal",
        }
        return run_node("postal_client.js", order | changes, ca=ca, preload="redirect.js")

    return send


@pytest.mark.parametrize("raw", [False, True])
def test_a_message_is_sent_and_arrives(
    client: Run, customer: Customer, recipient: str, raw: bool
) -> None:
    answer = client(to=[recipient], raw=raw)
    entry = answer["recipients"][recipient]
    assert isinstance(entry["id"], int)
    assert len(entry["token"]) == 16
    [found] = wait_for(lambda: customer.mailbox(recipient), what="the message")
    mail = customer.mail(found["id"])
    assert (mail["subject"], mail["dkim"]) == ("from @atech/postal", "pass")
    # JavaScript's number is the id we know.
    assert customer.record(entry["id"])["recipient"] == recipient


def test_a_refusal_is_what_its_users_print(client: Run, customer: Customer, recipient: str) -> None:
    refusal = client(to=[recipient], **{"from": "me@elsewhere.test"})["refusal"]
    assert refusal["code"] == "UnauthenticatedFromAddress"
    assert refusal["message"]
    assert client(to=[recipient], key="x" * 24)["refusal"]["code"] == "InvalidServerAPIKey"
    assert customer.mailbox(recipient) == []
