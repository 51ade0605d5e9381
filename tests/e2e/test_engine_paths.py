"""Paths on a running stack: they find a receiver's limits, close, stay closed, and stand apart."""

from collections.abc import Iterator

import pytest

from tests.support.api_tenant import ApiTenant
from tests.support.customer import Customer, wait_for
from tests.support.operator import Operator
from tests.support.receiver import Receiver, receiver_of

pytestmark = pytest.mark.stack
_GMAIL = ".gmail-alike.test"
_DMARC = "421 4.7.32 Your email has been rate limited because the From: header is not aligned"


@pytest.fixture
def gmail(customer: Customer, operator: Operator) -> Iterator[Receiver]:
    """A site whose hosts are Google's, as far as the shaping says."""
    site = receiver_of(customer, "g", under=_GMAIL.removeprefix("."))
    with (
        operator.shaped(providers={"gmail": {"mx": [_GMAIL], "roll_up": "mx_set"}}),
        site.running(),
    ):
        wait_for(lambda: is_in_use(operator), what="hosts to use the shaping")
        yield site


def is_in_use(operator: Operator) -> bool:
    now = operator.api.get("/egress/shaping")["version"]["number"]
    used = [host["shaping"] for host in operator.api.get("/egress/hosts")["data"]]
    return bool(used) and all(str(now) in each.split() for each in used)


def test_a_limit_of_connections_is_found_with_few_deferrals(
    customer: Customer, api_tenant: ApiTenant, operator: Operator
) -> None:
    server = api_tenant.server("Many")
    site = receiver_of(customer, "crowd")
    site.most = 4
    # The local set begins with all its connections; the Internet's with two.
    begins = {site.site: {"connections": 20, "start_connections": 2}}
    with operator.shaped(sites=begins), site.running():
        wait_for(lambda: is_in_use(operator), what="hosts to use the shaping")
        boxes = [[site.box() for _ in range(50)] for _ in range(6)]
        for each in boxes:
            server.send(each)
        wait_for(lambda: len(site.taken) >= 300, within=60, what="all to arrive")
        assert sorted(site.recipients) == sorted(to for each in boxes for to in each)
        assert site.turned_away < 0.2 * (len(site.taken) + site.turned_away)


def test_a_dead_site_does_not_delay_others_and_gets_its_mail_when_it_lives(
    customer: Customer, api_tenant: ApiTenant
) -> None:
    server = api_tenant.server("Parked")
    dead = receiver_of(customer, "dead")
    ids: dict[str, int] = {}
    for _ in range(6):
        ids |= server.send([dead.box() for _ in range(50)])
    with receiver_of(customer, "alive").running() as alive:
        server.send([alive.box() for _ in range(50)])
        wait_for(lambda: len(alive.taken) == 50, within=10, what="others' mail")
    first = next(iter(ids.values()))

    def told() -> bool:
        events = server.message(first)["events"]
        return any("refused" in str(each).lower() for each in events)

    wait_for(told, within=30, what="the history to say why")
    with dead.running():
        wait_for(lambda: len(dead.taken) == 300, within=90, what="all to arrive")
    assert set(dead.recipients) == set(ids)


def test_what_a_receiver_has_against_one_domain_is_no_matter_of_another_tenant(
    customer: Customer, api_tenant: ApiTenant, gmail: Receiver
) -> None:
    blamed, good = api_tenant.server("Blamed"), customer
    gmail.refuse = lambda to, _peer: _DMARC if to.startswith("blamed") else ""
    for number in range(5):
        blamed.send([gmail.box(f"blamed-{number}")])
    wait_for(lambda: gmail.refused, what="the refusal")
    boxes = [gmail.box() for _ in range(30)]
    good.send(boxes)
    wait_for(lambda: len(gmail.taken) == 30, within=20, what="the other tenant's mail")
    assert set(gmail.recipients) == set(boxes)


def test_a_message_rate_that_is_published_counts_without_a_restart(
    customer: Customer, api_tenant: ApiTenant, operator: Operator
) -> None:
    server = api_tenant.server("Shaped")
    with receiver_of(customer, "rate").running() as site:
        server.send([site.box() for _ in range(20)])
        wait_for(lambda: len(site.taken) == 20, within=20, what="mail without a limit")
        slow = {site.site: {"message_rate": "2/min", "backoff": {"message_rate": "1/min"}}}
        with operator.shaped(sites=slow):
            wait_for(lambda: is_in_use(operator), what="hosts to use the shaping")
            ids = list(server.send([site.box() for _ in range(20)]).values())
            path = wait_for(
                lambda: next((p for p in operator.paths(site.site) if p["binding"]), None),
                within=20,
                what="mail to wait for the rate",
            )
            assert path["state"] == "normal"
            assert len(site.taken) < 40
        wait_for(lambda: len(site.taken) == 40, within=40, what="the rest after going back")
        server.in_state(ids[-1], "sent")
