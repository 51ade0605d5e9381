"""Public addresses that can be moved from one machine's network interface to another's."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ElasticIp:
    """A public address; `interface` and `private` say where it is now, "" for nowhere."""

    public: str
    allocation: str
    interface: str = ""
    private: str = ""


@dataclass(frozen=True, slots=True)
class PrivateIp:
    """An address of a network interface; `public` is what leads there, "" for nothing."""

    address: str
    primary: bool = False
    public: str = ""


class ElasticIps(Protocol):
    """Those of one account and region."""

    def find(self, public: Collection[str]) -> Mapping[str, ElasticIp]:
        """Return those of the public addresses that are Elastic IPs of ours, by address."""

    def private_ips(self, interface: str) -> Sequence[PrivateIp]:
        """Return the addresses of an interface."""

    def associate(self, elastic: ElasticIp, interface: str, private: str) -> None:
        """Lead a public address to a private one, away from wherever it was."""
