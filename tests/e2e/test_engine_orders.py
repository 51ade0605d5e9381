"""Orders of operators on a running stack: what waits obeys them, and what comes later too."""

from collections import Counter
from collections.abc import Iterator
from threading import Event

import pytest

from mailroom.domain.message import DeliveryKey, ServerId
from tests.support.api_tenant import ApiServer, ApiTenant
from tests.support.customer import Customer, wait_for
from tests.support.operator import Operator
from tests.support.receiver import Receiver, receiver_of

pytestmark = pytest.mark.stack
EFFECTIVE = 5.0 + 3.0  # seconds: what is promised, and the time to ask a busy machine


@pytest.fixture
def site(customer: Customer) -> Iterator[Receiver]:
    with receiver_of(customer, "orders").running() as made:
        yield made


def send(server: ApiServer, site: Receiver, to: str = "") -> int:
    """Send one message; return its id."""
    (id_,) = server.send([to or site.box()]).values()
    return id_


def until_state(server: ApiServer, site: Receiver, state: str) -> int:
    """Send until a message ends in a state: hosts hear of an order within seconds."""

    def look() -> int:
        id_ = send(server, site)
        found = wait_for(
            lambda: (now := server.message(id_)["state"]) in {"sent", state} and now, within=30
        )
        return id_ if found == state else 0

    return wait_for(look, within=EFFECTIVE, what=f"new mail to be {state}")


def arrives(server: ApiServer, site: Receiver) -> int:
    """Send one message; return its id if it arrives at once, else minus that."""
    to = site.box()
    id_ = send(server, site, to)
    try:
        wait_for(lambda: to in site.recipients, within=4)
    except AssertionError:
        return -id_
    return id_


def until_kept_back(server: ApiServer, site: Receiver) -> int:
    """Send until a message does not arrive at once; return its id."""
    return wait_for(lambda: max(0, -arrives(server, site)), what="new mail to wait")


def until_arriving(server: ApiServer, site: Receiver) -> None:
    """Send until a message arrives at once."""
    wait_for(lambda: arrives(server, site) > 0, within=2 * EFFECTIVE, what="new mail to go")


def test_a_bounce_order_is_for_waiting_mail_and_for_what_comes_later(
    api_tenant: ApiTenant, operator: Operator, site: Receiver
) -> None:
    server, other = api_tenant.server("Bounced"), api_tenant.server("Not bounced")
    gate = Event()
    site.pause = gate.wait
    ids = list(server.send([site.box() for _ in range(40)]).values())

    def states() -> Counter[str]:
        return Counter(server.message(id_)["state"] for id_ in ids)

    # As many as there may be connections are under way; the others wait on the host.
    wait_for(lambda: states()["attempting"] == len(site.began) > 0, within=20)
    try:
        with operator.ordered("bounce", arguments={"quiet": True}, tenant=server.id):
            wait_for(
                lambda: states()["bounced"] == len(ids) - len(site.began),
                within=EFFECTIVE,
                what="what waited to bounce",
            )
            gate.set()
            until_state(server, site, "bounced")
            other.in_state(send(other, site), "sent")
    finally:
        gate.set()
    # Whatever had begun is not touched.
    wait_for(lambda: states()["sent"] == len(ids) - states()["bounced"], within=20)


def test_paused_mail_waits_and_says_why_and_what_comes_after_the_order_does_not(
    api_tenant: ApiTenant, operator: Operator, site: Receiver
) -> None:
    server = api_tenant.server("Paused")
    with operator.ordered("pause", tenant=server.id) as pause:
        id_ = until_kept_back(server, site)
        key = DeliveryKey.from_postal_id(ServerId(server.id), id_)
        told = operator.api.get(f"/egress/why/{key}")
        assert pause in {order["id"] for order in told["orders"]}
        assert server.message(id_)["state"] != "sent"
    until_arriving(server, site)


def test_held_mail_is_let_go_by_a_release_order(
    api_tenant: ApiTenant, operator: Operator, site: Receiver
) -> None:
    server = api_tenant.server("Held")
    with operator.ordered("hold", domain=site.domain):
        id_ = until_state(server, site, "held")
    # A host that has not heard yet would hold it again.
    until_arriving(server, site)
    with operator.ordered("release", tenant=server.id):
        server.in_state(id_, "sent")


def test_dropped_mail_ends_without_a_word(
    api_tenant: ApiTenant, operator: Operator, site: Receiver
) -> None:
    server = api_tenant.server("Dropped")
    with operator.ordered("drop", domain=site.domain):
        until_state(server, site, "bounced")


def test_a_path_that_is_suspended_opens_again_when_the_order_is_taken_back(
    api_tenant: ApiTenant, operator: Operator, site: Receiver
) -> None:
    server = api_tenant.server("Suspended path")
    server.in_state(send(server, site), "sent")
    with operator.ordered("suspend", site=site.site):
        until_kept_back(server, site)
        for id_ in server.send(["accept+engine-orders@sim.test"]).values():
            server.in_state(id_, "sent")
    until_arriving(server, site)
