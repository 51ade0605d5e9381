"""Makes bad places of the simulator good: mailboxes by scripts, domains by DNS."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support.customer import Customer

_WELCOME: list[dict[str, Any]] = [
    {"phase": "rcpt", "action": "reply", "code": 250, "text": "2.1.5 well again", "times": 100},
    {"phase": "data", "action": "delay", "seconds": 0, "times": 100},
    {"phase": "dot", "action": "reply", "code": 250, "text": "2.0.0 well again", "times": 100},
]
_EXCHANGER = {"records": [["MX", "10 mx2.sim.test."]]}


class Weather:
    """What a test has made good. Others who share the stack see it too: `restore` in the end."""

    def __init__(self, customer: Customer) -> None:
        ready = json.loads((Path(customer.status["state_dir"]) / "ready" / "dns.json").read_text())
        self._zone = f"http://127.0.0.1:{ready['api_port']}/zone/records"
        self._scripts = f"{customer.status['simulator_url']}/scripts"
        self._customer = customer
        self._changed: list[str] = []

    def heal(self, addresses: Iterable[str]) -> None:
        """Have mail to `addresses` accepted from now on; a sender may know an old MX for longer."""
        for address in addresses:
            local, _, domain = address.partition("@")
            if domain == self._customer.domain:
                self._put(f"{self._scripts}/{quote(local, safe='')}", _WELCOME)
            elif (place := f"{self._zone}/{domain}") not in self._changed:
                self._put(place, _EXCHANGER)

    def restore(self) -> None:
        """Let everything be as the simulator's tables say."""
        while self._changed:
            self._customer.http(self._changed.pop(), method="DELETE")

    def _put(self, url: str, document: object) -> None:
        answer = self._customer.http(
            url,
            data=json.dumps(document).encode(),
            headers={"Content-Type": "application/json"},
            method="PUT",
        )
        assert answer.status == 200, answer
        self._changed.append(url)
