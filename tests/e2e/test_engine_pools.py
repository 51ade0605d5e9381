"""Pools on a running stack: which address mail leaves from, and what becomes of an address."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.api_tenant import ApiServer, ApiTenant
from tests.support.customer import Customer, wait_for
from tests.support.operator import Operator
from tests.support.receiver import Receiver, receiver_of

pytestmark = pytest.mark.stack


@dataclass(frozen=True)
class Pool:
    """A pool with addresses: id by IPv4."""

    id: str
    addresses: dict[str, str]

    def change(self, operator: Operator, ipv4: str, **fields: Any) -> None:
        path = f"/pools/{self.id}/addresses/{self.addresses[ipv4]}"
        etag = operator.api.ask("GET", path).headers.get("etag")
        headers = {"if_match": etag} if etag else {}
        operator.api("PATCH", path, fields, **headers)


def pool_of(operator: Operator, addresses: int, **fields: Any) -> Pool:
    name = f"pool {secrets.token_hex(4)}"
    made = operator.api("POST", "/pools", {"name": name, **fields})["id"]
    ids = {}
    net = f"127.{1 + secrets.randbelow(250)}.{secrets.randbelow(250)}"  # a run of its own
    for octet in range(1, addresses + 1):
        body = {"ipv4": f"{net}.{octet}", "hostname": f"out{octet}.mailroom.test"}
        address = operator.api("POST", f"/pools/{made}/addresses", {**body, "state": "warm"})
        ids[body["ipv4"]] = address["id"]
    return Pool(made, ids)


def leased(operator: Operator, pool: Pool, *ipv4: str) -> bool:
    held = {
        each["ipv4"]
        for each in operator.api.get("/egress/ips", pool=pool.id, limit=100)["data"]
        if each["owner"]
    }
    return held == set(ipv4)


def sends_from(server: ApiServer, pool: Pool, domain: str) -> None:
    server.owner("POST", f"{server.path}/pool-rules", {"pool": pool.id, "to": [domain]})


def peers(site: Receiver) -> set[str]:
    return {each.peer for each in site.taken}


@pytest.fixture
def site(customer: Customer) -> Iterator[Receiver]:
    with receiver_of(customer, "pools").running() as made:
        yield made


def send_until(server: ApiServer, site: Receiver, wanted: set[str]) -> None:
    """Send until a round of mail came from exactly the addresses wanted."""

    def look() -> bool:
        before = len(site.taken)
        for _ in range(8):
            server.send([site.box()])
        wait_for(lambda: len(site.taken) >= before + 8, within=30)
        return {each.peer for each in site.taken[before:]} == wanted

    wait_for(look, within=45, what=f"mail from {wanted}: {peers(site)}")


def test_mail_leaves_from_all_addresses_of_its_pool_and_from_none_that_drains(
    api_tenant: ApiTenant, operator: Operator, site: Receiver
) -> None:
    pool = pool_of(operator, 2)
    first, second = pool.addresses
    server = api_tenant.server("Pooled")
    sends_from(server, pool, site.domain)
    wait_for(lambda: leased(operator, pool, first, second), within=45, what="leases")

    send_until(server, site, {first, second})
    assert {(each.peer, each.helo) for each in site.taken} == {
        (ipv4, f"out{ipv4.rpartition('.')[2]}.mailroom.test") for ipv4 in (first, second)
    }

    pool.change(operator, first, state="draining")
    send_until(server, site, {second})

    pool.change(operator, second, state="disabled")
    pool.change(operator, first, state="warm")
    wait_for(lambda: leased(operator, pool, first), within=45, what="the disabled one's lease")
    send_until(server, site, {first})


def test_a_pool_of_another_organisation_is_not_used(
    api_tenant: ApiTenant, operator: Operator, site: Receiver
) -> None:
    pool = pool_of(operator, 1, purpose="dedicated", organisations=["somebody-else"])
    server = api_tenant.server(f"Stranger {secrets.token_hex(3)}")
    refused = server.owner.ask(
        "POST", f"{server.path}/pool-rules", {"pool": pool.id, "to": [site.domain]}
    )
    assert refused.status == 422
    wait_for(lambda: leased(operator, pool, *pool.addresses), within=45, what="its lease")
    (id_,) = server.send([site.box()]).values()
    server.in_state(id_, "sent")
    assert not peers(site) & set(pool.addresses)


def test_greylisted_mail_comes_again_from_the_address_that_was_told_to_wait(
    api_tenant: ApiTenant, operator: Operator, site: Receiver
) -> None:
    pool = pool_of(operator, 2)
    server = api_tenant.server("Greylisted")
    sends_from(server, pool, site.domain)
    wait_for(lambda: leased(operator, pool, *pool.addresses), within=45, what="leases")
    first: dict[str, str] = {}

    def greylist(to: str, peer: str) -> str:
        if first.setdefault(to, peer) == peer and to in {each.to for each in site.refused}:
            return ""
        return "451 4.7.1 Greylisted, please try again in 300 seconds"

    site.refuse = greylist
    boxes = [site.box() for _ in range(8)]
    for to in boxes:
        server.send([to])
    wait_for(lambda: len(site.taken) == len(boxes), within=60, what="the second tries")
    assert {each.to: each.peer for each in site.taken} == first
    assert len(site.refused) == len(boxes)
    assert set(first.values()) == set(pool.addresses)
