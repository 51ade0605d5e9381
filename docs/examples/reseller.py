"""A reseller's script: a new customer from nothing to the first message, over the management API.

    python docs/examples/reseller.py --url https://api.example --key PLATFORM_KEY

Only the standard library. It makes an organisation, a pool, two servers, a domain whose DNS it
publishes, keys and a webhook; sends; reads statistics; suspends one server. Running it again makes
another customer. On the local stack add `--zone-api` and `--webhook` (tests/e2e/test_reseller.py
does), elsewhere publish the records that it prints.
"""

import argparse
import json
import secrets
import sys
import time
import urllib.error
import urllib.request
from typing import Any

PATIENCE = 90.0  # seconds


class Mailroom:
    """The API with one key."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url.rstrip("/") + "/api/v2", key

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """Make one call and return its JSON; leave the program with the refusal's own words."""
        request = urllib.request.Request(
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._key}",
                "Content-Type": "application/json",
                # A call that is repeated after a lost answer must not make a second customer.
                **({"Idempotency-Key": secrets.token_hex(16)} if method != "GET" else {}),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refusal:
            sys.exit(f"{method} {path}: {refusal.code} {refusal.read().decode()}")


def main() -> None:
    """Set a customer up and send for it."""
    options = arguments()
    platform = Mailroom(options.url, options.key)
    name = options.name or f"customer-{secrets.token_hex(3)}"

    organisation = platform("POST", "/organisations", {"name": name, "external_id": name})["id"]
    pool = platform("POST", "/pools", {"name": name, "organisations": [organisation]})["id"]
    key = platform(
        "POST", f"/organisations/{organisation}/keys", {"name": "Reseller", "scopes": ["*"]}
    )["secret"]
    say(organisation=organisation, pool=pool)

    # From here on the customer's own key is enough, and it sees nothing of other customers.
    customer = Mailroom(options.url, key)
    servers = f"/organisations/{organisation}/servers"
    limits = {"hour": 1_000, "action": "delay"}
    live = customer("POST", servers, {"name": "Live", "limits": limits, "pool": pool})["id"]
    trial = customer("POST", servers, {"name": "Trial", "mode": "sandbox"})["id"]
    say(live=live, trial=trial)

    domain = customer("POST", f"/servers/{live}/domains", {"name": f"{name}.{options.domain}"})
    dns = f"/servers/{live}/domains/{domain['id']}"
    publish(customer("GET", f"{dns}/dns")["records"], options.zone_api)
    until_verified(customer, dns)
    say(domain=domain["name"], verified=True)

    credential = {"type": "API", "name": "Application", "scopes": ["messages:send"]}
    sending = customer("POST", f"/servers/{live}/credentials", credential)["secret"]
    if options.webhook:
        hook = {"name": "Application", "url": options.webhook, "events": ["MessageSent"]}
        customer("POST", f"/servers/{live}/webhooks", hook)

    application = Mailroom(options.url, sending)
    message = {
        "from": f"Shop <shop@{domain['name']}>",
        "to": [options.recipient],
        "subject": "Welcome",
        "html": "<p>It works.</p>",
        "tags": ["welcome"],
        "metadata": {"customer": name},
    }
    sent = application("POST", f"/servers/{live}/messages", message)
    say(sent=sent)

    say(statistics=delivered(customer, live))
    customer("POST", f"/servers/{trial}/suspend", {"reason": "The trial is over"})
    say(suspended=customer("GET", f"/servers/{trial}")["suspended"])


def publish(records: list[dict[str, Any]], zone_api: str) -> None:
    """Publish the records in the local stack's DNS, or show them to whoever does it by hand."""
    by_name: dict[str, list[list[str]]] = {}
    for each in records:
        print(f"{each['name']:<50} {each['type']:<6} {each['value']}")
        by_name.setdefault(each["name"], []).append([each["type"], each["value"]])
    for name, values in by_name.items() if zone_api else ():
        request = urllib.request.Request(
            f"{zone_api}/{name}",
            method="PUT",
            data=json.dumps({"records": values}).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=10).close()


def until_verified(customer: Mailroom, domain: str) -> None:
    """Ask for the check until the domain is verified and its DNS is as it should be."""
    deadline = time.monotonic() + PATIENCE
    while True:
        verified = customer("POST", f"{domain}/verify")["verified_at"]
        checked = customer("POST", f"{domain}/check")
        if verified and checked["state"] == "ok":
            return
        if time.monotonic() > deadline:
            sys.exit(f"the domain is not ready: {json.dumps(checked, indent=1)}")
        time.sleep(2)


def delivered(customer: Mailroom, server: str) -> dict[str, int]:
    """Return today's counts as soon as they show a delivery."""
    deadline = time.monotonic() + PATIENCE
    while True:
        total: dict[str, int] = customer("GET", f"/servers/{server}/statistics?by=day")["total"]
        if total["delivered"]:
            return total
        if time.monotonic() > deadline:
            sys.exit(f"nothing was delivered: {total}")
        time.sleep(1)


def say(**facts: Any) -> None:
    """Print one line of JSON, for people and for the test of this script."""
    print(json.dumps(facts), flush=True)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--url", required=True, help="base URL of the API")
    parser.add_argument("--key", required=True, help="a platform key")
    parser.add_argument("--name", default="", help="the customer's; one is made up without")
    parser.add_argument("--domain", default="example.com", help="its domain will be below this")
    parser.add_argument("--recipient", default="accept@sim.test")
    parser.add_argument("--webhook", default="", help="URL of the customer's application")
    parser.add_argument("--zone-api", default="", help="of the local stack's DNS server")
    return parser.parse_args()


if __name__ == "__main__":
    main()
