"""The platform's operator on a running stack: orders, paths, pools and what is published."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.support.api_tenant import Api
from tests.support.customer import Customer, wait_for


@dataclass(frozen=True)
class Operator:
    """Calls the API with the platform's key."""

    api: Api

    def order(self, verb: str, seconds: float = 120, arguments: Any = None, **selector: Any) -> str:
        """Give an order; return its id."""
        body = {
            "verb": verb,
            "reason": "a test",
            "seconds": seconds,
            "selector": selector,
            "arguments": arguments or {},
        }
        return str(self.api("POST", "/egress/orders", body)["id"])

    def cancel(self, order: str) -> None:
        """Take an order back."""
        self.api("DELETE", f"/egress/orders/{order}")

    @contextmanager
    def ordered(self, verb: str, arguments: Any = None, **selector: Any) -> Iterator[str]:
        """Have an order in force while the block runs."""
        order = self.order(verb, arguments=arguments, **selector)
        try:
            yield order
        finally:
            self.api.ask("DELETE", f"/egress/orders/{order}")

    def paths(self, site: str) -> list[dict[str, Any]]:
        """The paths to a site that hosts show."""
        found: list[dict[str, Any]] = self.api.get("/egress/paths", site=site, limit=100)["data"]
        return found

    def path_in(self, state: str, site: str, within: float = 30) -> dict[str, Any]:
        """Wait for a path to a site to be in a state."""

        def look() -> dict[str, Any] | None:
            return next((each for each in self.paths(site) if each["state"] == state), None)

        return wait_for(look, within=within, what=f"{site} to be {state}: {self.paths(site)}")

    def path(self, address: str, site: str) -> dict[str, Any]:
        """One path, whole."""
        found: dict[str, Any] = self.api.get(f"/egress/paths/{address}/{quote(site, safe='')}")
        return found

    @contextmanager
    def shaped(self, **additions: Mapping[str, Any]) -> Iterator[None]:
        """Have additions to the shaping in force while the block runs; then go back."""
        now = self.api.get("/egress/shaping")
        document = dict(now["document"])
        for part, layers in additions.items():
            document[part] = {**document.get(part, {}), **layers}
        before = now["version"] or self.publish(now["document"])
        self.publish(document)
        try:
            yield
        finally:
            self.roll_back(before["number"])

    def publish(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Publish shaping; return the version."""
        body = {"document": document, "reason": "a test"}
        found: dict[str, Any] = self.api("POST", "/egress/shaping", body)
        return found

    def roll_back(self, to: int) -> None:
        """Go back to an earlier version of the shaping."""
        self.api("POST", "/egress/shaping/rollback", {"to": to, "reason": "a test"})


def operator_of(customer: Customer) -> Operator:
    """Return the operator of a stack."""
    return Operator(Api(customer.status["api_url"], customer.status["platform_key"]))
