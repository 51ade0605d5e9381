"""The reseller's script of the docs on a running stack; another tenant sees nothing of it."""

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.customer import Customer, wait_for

pytestmark = pytest.mark.stack
ROOT = Path(__file__).resolve().parents[2]


def test_a_reseller_sets_a_customer_up_and_sends(customer: Customer) -> None:
    status = customer.status
    ready = json.loads(Path(status["state_dir"], "ready", "dns.json").read_text())
    name = f"reseller-{secrets.token_hex(4)}"
    done = subprocess.run(
        [
            *(sys.executable, ROOT / "docs" / "examples" / "reseller.py"),
            *("--url", status["api_url"], "--key", status["platform_key"], "--name", name),
            *("--domain", "mailroom.test", "--recipient", f"accept+{name}@sim.test"),
            *("--webhook", f"{status['simulator_url']}/webhooks/{name}"),
            *("--zone-api", f"http://127.0.0.1:{ready['api_port']}/zone/records"),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    facts: dict[str, object] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            facts |= json.loads(line)
    assert facts["statistics"]["delivered"] == 1
    assert facts["suspended"] == "The trial is over"
    mail = wait_for(lambda: customer.mailbox(f"accept+{name}@sim.test"), what="the message")
    assert customer.mail(mail[0]["id"])["dkim"] == "pass"
    hooks = wait_for(
        lambda: [hook for hook in customer.webhooks() if hook["name"] == name],
        what="the webhook",
    )
    assert hooks[0]["event"] == "MessageSent"
    assert hooks[0]["payload"]["message"]["tag"] == "welcome"
    told = customer.http(
        f"{status['api_url']}/api/v2/servers/{facts['live']}",
        headers={"Authorization": f"Bearer {status['api_key']}"},
    )
    assert told.status == 404
