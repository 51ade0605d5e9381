"""Mail that waits for a person: development mode, held credentials, suspension, the send limit."""

import os
import secrets
import signal
import smtplib
from typing import Any

import pytest

from mailroom.domain.message import Credential, Mode
from tests.support.customer import Answer, Customer, wait_for
from tests.support.tenants import Tenants

pytestmark = pytest.mark.stack


def box(behaviour: str = "accept") -> str:
    return f"{behaviour}+{secrets.token_hex(6)}@sim.test"


def by_smtp(customer: Customer, to: str) -> int:
    """Send one message over SMTP; return its id, which stands in the reply to the data."""
    with customer.smtp() as session:
        session.mail(customer.sender)
        session.rcpt(to)
        code, text = session.data(customer.message(to))
    assert code == 250, text
    return int(text.decode().rpartition(" ")[2])


def decide(customer: Customer, id_: int, verb: str) -> Answer:
    url = f"{customer.status['api_url']}/api/v2/messages/{id_}/{verb}"
    headers = {"X-Server-API-Key": customer.status["api_key"]}
    return customer.http(url, data=b"", headers=headers, method="POST")


def in_state(customer: Customer, id_: int, state: str) -> dict[str, Any]:
    """The record, once the message is in `state` and its history says so."""

    def look() -> dict[str, Any] | None:
        record = customer.record(id_)
        told = [event["type"] for event in record["events"]]
        return record if record["state"] == state and state in told else None

    return wait_for(look, what=f"{id_} to be {state}")


def history(record: dict[str, Any]) -> list[str]:
    return [event["type"] for event in record["events"]]


def test_development_mail_is_held_until_a_person_decides(
    customer: Customer, tenants: Tenants
) -> None:
    developer = tenants(mode=Mode.DEVELOPMENT).on(customer)
    kept, dropped, by_hand = box(), box(), box()
    ids = developer.send([kept, dropped])
    ids[by_hand] = by_smtp(developer, by_hand)
    for id_ in ids.values():
        in_state(developer, id_, "held")

    said = developer.api("/api/v1/messages/message", {"id": ids[kept], "_expansions": ["status"]})[
        "data"
    ]["status"]
    assert (said["status"], said["held"]) == ("Held", True)
    assert said["hold_expiry"] > developer.record(ids[kept])["accepted_at"]
    hooks = wait_for(lambda: developer.webhooks_of(ids[by_hand]), what="the webhook of the hold")
    assert {(hook["event"], hook["payload"]["status"]) for hook in hooks} == {
        ("MessageHeld", "Held")
    }
    assert not any(developer.mailbox(to) for to in ids)

    assert decide(developer, ids[kept], "release").status == 200
    assert decide(developer, ids[dropped], "cancel").status == 200
    assert decide(developer, ids[by_hand], "release").status == 200
    for to in (kept, by_hand):
        assert history(in_state(developer, ids[to], "sent")) == [
            "accepted",
            "held",
            "released",
            "sent",
        ]
        assert len(developer.mailbox(to)) == 1
    in_state(developer, ids[dropped], "cancelled")
    entries = developer.api("/api/v1/messages/deliveries", {"id": ids[dropped]})["data"]
    assert [entry["status"] for entry in entries] == ["Held", "HoldCancelled"]
    assert developer.mailbox(dropped) == []
    for to in (kept, dropped):
        assert decide(developer, ids[to], "release").status == 409


def test_a_credential_that_holds_cannot_let_its_own_mail_go(
    customer: Customer, tenants: Tenants
) -> None:
    tenant = tenants(hold=True)
    careful, other_key = tenant.on(customer), secrets.token_hex(16)
    to = box()
    id_ = careful.send([to])[to]
    in_state(careful, id_, "held")
    assert decide(careful, id_, "release").status == 403

    tenant.rows.put_credential(
        Credential(f"{tenant.server.id}-other", tenant.server.id, "api", "Other"), other_key
    )
    careful.status["api_key"] = other_key
    assert decide(careful, id_, "release").status == 200
    in_state(careful, id_, "sent")
    assert len(careful.mailbox(to)) == 1


def test_a_suspended_server_takes_no_mail(customer: Customer, tenants: Tenants) -> None:
    suspended = tenants(suspended="unpaid").on(customer)
    message = {"from": suspended.sender, "to": [box()], "plain_body": "Hi"}
    answer = suspended.api("/api/v1/send/message", message)
    assert (answer["status"], answer["data"]) == ("error", {"code": "ServerSuspended"})
    with suspended.smtp() as session, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        session.sendmail(suspended.sender, [to := box()], suspended.message(to))
    assert refused.value.recipients == {to: (535, b"5.7.0 Mail server has been suspended")}


def test_what_was_queued_before_the_suspension_is_held(
    customer: Customer, tenants: Tenants
) -> None:
    tenant = tenants()
    late = tenant.on(customer)
    to = box()
    sender = customer.stack.status["processes"]["sender"]["pid"]
    # The sender must not have met this tenant yet: it remembers each for a minute.
    os.kill(sender, signal.SIGSTOP)
    try:
        id_ = late.send([to])[to]
        tenant.change(suspended="unpaid")
    finally:
        os.kill(sender, signal.SIGCONT)
    wait_for(lambda: late.webhooks_of(id_), what="the webhook of the hold")
    (hook,) = {hook["uuid"]: hook for hook in late.webhooks_of(id_)}.values()
    assert (hook["event"], hook["payload"]["status"]) == ("MessageHeld", "Held")
    assert "suspended" in hook["payload"]["details"]
    assert late.mailbox(to) == []


def test_what_is_over_the_send_limit_is_held(customer: Customer, tenants: Tenants) -> None:
    limited = tenants(send_limit=5).on(customer)
    ids = limited.send([box() for _ in range(8)])

    def states() -> list[str] | None:
        found = sorted(limited.record(id_)["state"] for id_ in ids.values())
        return found if set(found) <= {"sent", "held"} else None

    assert wait_for(states, what="all to be sent or held") == ["held"] * 3 + ["sent"] * 5
    assert sum(len(limited.mailbox(to)) for to in ids) == 5
