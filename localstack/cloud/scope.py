"""What every step of the provisioner works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import ClientError

from localstack.naming import Names
from localstack.resources import Resources


class Session(Protocol):
    """Gives clients of AWS services: boto3's session or localstack-client's."""

    def client(self, service_name: str, **kwargs: Any) -> Any:
        """Return a client."""


@dataclass(frozen=True, slots=True)
class Options:
    """How one deployment differs from another. `delay_divisor` shortens waits (1 on AWS);
    `concurrency` bounds the batches a queue's function works on at once (0: no bound);
    `zips` are the apps' packages for `runtime`; `common` are variables every process gets.
    """

    prefix: str
    region: str
    delay_divisor: float
    concurrency: int
    zips: Mapping[str, Path]
    runtime: str
    common: Mapping[str, str]


@dataclass(slots=True)
class Scope:
    """The deployment being made. `addresses` fills as resources come to be (see
    `naming.environment`), `keys` likewise with the ARNs of KMS keys.
    """

    session: Session
    resources: Resources
    options: Options
    account: str
    keys: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> Names:
        """The names as far as they are known."""
        return Names(self.options.prefix, self.account, self.options.region, self.keys)

    def client(self, service: str) -> Any:
        """Return the deployment's one client of a service."""
        if service not in self.clients:
            self.clients[service] = self.session.client(service)
        return self.clients[service]


def attempt(codes: tuple[str, ...], call: Callable[..., Any], **arguments: Any) -> Any | None:
    """Return what `call(**arguments)` answers, or None if AWS answers with one of `codes`.

    Any other error is raised.
    """
    try:
        return call(**arguments)
    except ClientError as problem:
        if problem.response["Error"]["Code"] not in codes:
            raise
        return None
