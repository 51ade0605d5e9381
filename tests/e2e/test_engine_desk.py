"""What operators look at on a running stack: commands, health and metrics of the sender."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_cli import Tool
from tests.support.customer import Customer, wait_for

pytestmark = pytest.mark.stack


@pytest.fixture
def desk(tmp_path: Path, customer: Customer) -> Tool:
    """The operator's command line."""
    status = customer.status
    return Tool(tmp_path, MAILROOM_URL=status["api_url"], MAILROOM_API_KEY=status["platform_key"])


def rows(answer: Any) -> Any:
    return answer["data"] if isinstance(answer, dict) and "data" in answer else answer


def test_commands_show_hosts_paths_addresses_and_orders(desk: Tool, customer: Customer) -> None:
    (id_,) = customer.send(["accept+engine-desk@sim.test"]).values()
    wait_for(lambda: customer.settled(id_))
    wait_for(lambda: desk.json("egress", "status")["hosts"] >= 1, within=20)
    path = wait_for(lambda: rows(desk.json("egress", "paths")), within=20, every=1)[0]
    told = desk.json("egress", "why", path["address"], path["site"])
    assert {"state", "settings", "binding"} <= told.keys()
    rows(desk.json("egress", "ips", "list"))
    pause = ("pause", "--campaign", "nobody-has-this-tag", "--reason", "a test", "--for", "1m")
    order = desk.json("egress", *pause)["id"]
    assert order in {each["id"] for each in rows(desk.json("egress", "orders", "list"))}
    ended, _, remarks = desk("egress", "orders", "cancel", order, "--yes")
    assert ended == 0, remarks


def test_a_host_speaks_with_a_receiver_and_resolves_where_mail_goes(desk: Tool) -> None:
    trace = desk.json("egress", "trace", "sim.test", "--recipient", "accept@sim.test")
    assert trace["state"] == "done"
    assert any("RCPT" in line["text"] for line in trace["lines"])
    found = desk.json("egress", "resolve", "sim.test")
    assert "mx1.sim.test" in json.dumps(found["lines"])


def test_the_sender_tells_its_health_and_its_metrics(customer: Customer) -> None:
    url = customer.status["control_url"]
    health = wait_for(
        lambda: (answer := customer.http(f"{url}/health")).status == 200 and answer, within=30
    )
    assert json.loads(health.body)["ok"] is True
    metrics = customer.http(f"{url}/metrics").body.decode()
    assert "mailroom_egress_sent_total" in metrics
    assert json.loads(customer.http(f"{url}/view").body)["process"]
