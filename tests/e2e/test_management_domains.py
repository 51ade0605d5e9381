"""Domains of the management API on a running stack: from nothing to two signatures, a record that
breaks and is told of once, and a tracking domain in links; and the brake of a server that bounces.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.support.api_tenant import Api, ApiServer, ApiTenant, api_tenant_of, publish
from tests.support.customer import Customer, wait_for
from tests.support.killing import Victim

pytestmark = pytest.mark.stack
LINK = "https://example.com/offer"


def box(behaviour: str = "accept") -> str:
    return f"{behaviour}+{secrets.token_hex(6)}@sim.test"


def events(server: ApiServer, *names: str) -> list[dict[str, Any]]:
    """Calls of the server's webhook about these events, oldest first."""
    return [
        hook
        for hook in reversed(server.customer.webhooks())
        if hook["name"] == server.id and hook["event"] in names
    ]


def signatures(server: ApiServer, address: str, domain: str) -> list[str]:
    """The algorithms a new message is signed with for `domain`, once it has arrived."""
    to = box()
    server.sender("POST", "/messages", server.letter([to]) | {"from": address})
    mail = server.arrived(to)
    assert mail["dkim"] == "pass"
    signed = [value for name, value in mail["headers"] if name.lower() == "dkim-signature"]
    tags = [
        dict(part.strip().split("=", 1) for part in value.split(";") if "=" in part)
        for value in signed
    ]
    return sorted(each["a"] for each in tags if each["d"] == domain)


def test_a_domain_goes_from_nothing_to_two_signatures_by_itself(api_tenant: ApiTenant) -> None:
    server = api_tenant.server("Domains")
    name = f"d{secrets.token_hex(4)}.mailroom.test"
    made = server.owner("POST", f"{server.path}/domains", {"name": name})
    path, address = f"{server.path}/domains/{made['id']}", f"shop@{name}"
    assert (made["verified_at"], made["dns_state"]) == (None, "unknown")
    assert server.owner.ask("POST", f"{path}/verify").status == 422
    checked = server.owner("POST", f"{path}/check")
    states = {each["purpose"]: each["state"] for each in checked["records"]}
    assert states["ownership"] == states["dkim"] == states["spf"] == "missing"
    keys = server.owner("POST", f"{path}/keys", {"kind": "ed25519"})["keys"]
    assert {key["kind"]: key["state"] for key in keys} == {"rsa": "active", "ed25519": "pending"}

    # Nobody asks for the next look: the platform takes it by itself.
    publish(server.customer, server.owner.get(f"{path}/dns")["records"])
    seen = wait_for(
        lambda: [d for d in [server.owner.get(path)] if d["dns_state"] == "ok"],
        what="the scheduler to see the records",
    )[0]
    assert (seen["verified_by"], seen["return_path_ok"]) == ("dns", True)
    assert {key["state"] for key in seen["keys"]} == {"active"}
    assert signatures(server, address, name) == ["ed25519-sha256", "rsa-sha256"]
    assert events(server, "DomainDNSError", "DomainDNSRecovered") == []


def test_a_broken_record_is_told_once_and_so_is_its_mending(customer: Customer) -> None:
    tenant = api_tenant_of(customer)
    server = tenant.server("Watched")
    (domain,) = server.owner.get(f"/organisations/{tenant.organisation}/domains")["data"]
    path = f"/organisations/{tenant.organisation}/domains/{domain['id']}"
    records = server.owner.get(f"{path}/dns")["records"]
    (good,) = [each for each in records if each["purpose"] == "dkim"]
    publish(customer, [{**good, "value": good["value"][:-20] + "AAAAAAAAAAAAAAAAAAAA"}])
    doubted = server.owner("POST", f"{path}/check")
    (dkim,) = [each for each in doubted["records"] if each["purpose"] == "dkim"]
    assert dkim["state"] == "invalid"
    assert doubted["state"] == "ok"  # until a second look agrees

    (told,) = wait_for(lambda: events(server, "DomainDNSError"), what="the second look's news")
    payload = told["payload"]
    assert (payload["domain"], payload["dkim_status"]) == (tenant.domain, "Invalid")
    assert (payload["spf_status"], payload["server"]["permalink"]) == (
        *("OK", server.owner.get(server.path)["permalink"]),
    )
    assert server.owner.get(path)["dns_state"] == "invalid"
    for _ in range(3):
        server.owner("POST", f"{path}/check")
    publish(customer, [good])
    assert server.owner("POST", f"{path}/check")["state"] == "ok"
    wait_for(lambda: events(server, "DomainDNSRecovered"), what="the good news")
    assert len(events(server, "DomainDNSError")) == 1


def test_links_lead_to_a_tracking_domain_once_its_alias_is_seen(api_tenant: ApiTenant) -> None:
    server = api_tenant.server("Tracking")
    name = f"click{secrets.token_hex(3)}.{api_tenant.domain}"
    wanted = {"name": name, "secure": False}
    made = server.owner("POST", f"{server.path}/tracking-domains", wanted)
    path = f"{server.path}/tracking-domains/{made['id']}"
    assert server.owner.ask("POST", f"{path}/use").status == 422
    publish(server.customer, server.owner.get(f"{path}/dns")["records"])
    assert server.owner("POST", f"{path}/check")["state"] == "ok"
    server.owner("POST", f"{path}/use")
    to = box()
    server.send([to], html=f'<p><a href="{LINK}">it</a></p>')
    mail = server.arrived(to)
    (link,) = mail["links"]
    assert link.startswith(f"http://{name}/")
    way = link.partition(name)[2]
    tracking = server.customer.status["tracking_url"]
    answer = server.customer.http(f"{tracking}{way}", headers={"Host": name})
    assert (answer.status, answer.headers["Location"]) == (307, LINK), answer


def braked(server: ApiServer, state: str) -> Mapping[str, Any]:
    def look() -> Mapping[str, Any] | None:
        found: Mapping[str, Any] = server.owner.get(f"{server.path}/brakes")
        return found if found["state"] == state else None

    return wait_for(look, within=90.0, every=0.5, what=f"the brake to be {state}")


def sent_many(server: ApiServer, recipients: Sequence[str]) -> None:
    for start in range(0, len(recipients), 50):
        server.submit(recipients[start : start + 50])


def test_a_server_that_bounces_is_warned_held_and_lifted(
    customer: Customer, api_tenant: ApiTenant
) -> None:
    server, sender = api_tenant.server("Bouncing"), Victim(customer.stack, "sender")
    limits = {"brake": {"hard_bounces": 1.0}}
    assert server.owner.ask("PATCH", server.path, limits).status == 403
    platform = Api(server.owner.url, customer.status["platform_key"])
    platform("PATCH", server.path, limits)
    sent_many(server, [*(box("hard-bounce") for _ in range(4)), *(box() for _ in range(96))])
    braked(server, "held")

    def told() -> list[str]:
        history = server.owner.get(f"{server.path}/brakes")["history"]
        return sorted(each["event"] for each in history)

    # The state is written before anybody is told of it.
    wanted = ["ServerBrakeHeld", "ServerBrakeWarned"]
    wait_for(lambda: told() == wanted, what="both changes in the history")
    wait_for(
        lambda: len(events(server, "ServerBrakeWarned", "ServerBrakeHeld")) == 2,
        what="both webhooks",
    )
    (held,) = events(server, "ServerBrakeHeld")
    assert (held["payload"]["cause"], held["payload"]["limit"]) == ("bounces", 0.01)

    sender.kill()  # it keeps what it read for a minute
    (kept,) = server.send([to := box()]).values()
    server.in_state(kept, "held")
    appealed = server.owner("POST", f"{server.path}/brakes/appeal", {"text": "A bad list, gone"})
    assert appealed["appeal"] == "A bad list, gone"
    lift = {"days": 1, "factor": 10, "reason": "They are sorry"}
    assert server.owner.ask("POST", f"{server.path}/brakes/lift", lift).status == 403
    assert platform("POST", f"{server.path}/brakes/lift", lift)["state"] == "ok"
    wait_for(lambda: events(server, "ServerBrakeLifted"), what="the webhook of the lift")
    assert time.time() < braked(server, "ok")["lifted_until"]
    assert server.message(kept)["state"] == "held"
    sender.kill()
    assert server.act(kept, "release").status == 200
    server.in_state(kept, "sent")
    assert len(server.customer.mailbox(to)) == 1
