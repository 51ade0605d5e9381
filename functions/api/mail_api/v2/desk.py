"""What the operations work with: the use cases' ports, plugged in once per process.

An area of the API that needs more than the register gets it through a field of its own, a function
that builds it at its first use: a process that never serves that area never pays for it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mail_api.wiring import Api
from mailroom.domain.tenancy.access import Principal, Scope, Target, Verdict, decide
from mailroom.errors import ForbiddenError, NotFoundError
from mailroom.ports.last_use import LastUse
from mailroom.ports.registry import Keyring, Registry
from mailroom.ports.requests import Answers, RequestLimits
from mailroom.usecases.registrar import Registrar


def _unplugged() -> Any:
    raise RuntimeError("this process was not given what this part of the API needs")


@dataclass(frozen=True, slots=True)
class Rates:
    """How many requests a key may make in a window of seconds."""

    limit: int = 600
    window: float = 60.0


@dataclass(frozen=True, slots=True)
class Desk:
    """One per process. `settings` are what people are shown: host names and limits."""

    registrar: Registrar
    registry: Registry
    keyring: Keyring
    answers: Answers
    limits: RequestLimits
    api: Callable[[], Api]
    last_use: LastUse
    rates: Rates = field(default_factory=Rates)
    public_rates: Rates = field(default_factory=lambda: Rates(limit=60))  # of an IP address
    tracking_url: str = ""
    large_url: str = ""
    areas: dict[str, Callable[[], Any]] = field(default_factory=dict)

    def area(self, name: str) -> Any:
        """Return what an area of the API was plugged in with. Raises RuntimeError if nothing."""
        return self.areas.get(name, _unplugged)()

    def authorise(self, principal: Principal, scope: Scope, target: Target) -> None:
        """See that a principal may do something. Raises NotFoundError and ForbiddenError."""
        verdict = decide(principal, scope, target)
        if verdict is Verdict.HIDDEN:
            raise NotFoundError("there is nothing with that id")
        if verdict is Verdict.FORBIDDEN:
            raise ForbiddenError(f"this needs the scope {scope}")
