"""Who clicked: the verdict that a webhook carries."""

import secrets
import time
from typing import Any

import pytest

from mailroom.domain.visit_rules import RULES_VERSION
from tests.support.customer import Customer, wait_for
from tests.support.tenants import Tenants

pytestmark = pytest.mark.stack
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
TOO_SOON = 2.0  # seconds, of the rules
LATER = 4.0


def test_a_click_at_once_is_a_scanners_and_a_later_one_a_persons(
    customer: Customer, tenants: Tenants
) -> None:
    mine = tenants().on(customer)
    id_, link = wait_for(lambda: clicked_at_once(mine), what="a click soon enough")
    accepted_at = mine.record(id_)["accepted_at"]
    wait_for(lambda: time.time() > accepted_at + LATER, what="a person to have read the mail")
    click(mine, link)

    def clicks() -> list[dict[str, Any]] | None:
        hooks = {hook["uuid"]: hook for hook in mine.webhooks_of(id_)}.values()
        found = [hook for hook in hooks if hook["event"] == "MessageLinkClicked"]
        return sorted(found, key=lambda hook: hook["timestamp"]) if len(found) == 2 else None

    told = [hook["payload"] for hook in wait_for(clicks, what="both clicks")]
    assert [payload["verdict"] for payload in told] == ["link_scanner", "person"]
    assert [payload["rules"] for payload in told] == [RULES_VERSION] * 2


def clicked_at_once(customer: Customer) -> tuple[int, str] | None:
    """Send, click; the message's id and link, or None if that took too long for the rule."""
    to = f"accept+{secrets.token_hex(6)}@{customer.domain}"
    id_ = customer.send([to], html_body='<a href="https://example.com/offer">offer</a>')[to]
    accepted_at = int(customer.record(id_)["accepted_at"])  # what the rule counts from
    wait_for(lambda: customer.mailbox(to), every=0.02, what="the message")
    (link,) = customer.mail(customer.mailbox(to)[0]["id"])["links"]
    click(customer, link)
    return (id_, link) if time.time() < accepted_at + TOO_SOON else None


def click(customer: Customer, link: str) -> None:
    assert customer.http(link, headers={"User-Agent": BROWSER}).status == 307
