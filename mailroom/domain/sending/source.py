"""Source addresses and pools, as a host that sends needs them."""

from dataclasses import dataclass
from enum import StrEnum

HOST_POOL = "host"  # what a host sends from when no pool is named: the address in its settings


class AddressState(StrEnum):
    """How far an address is. Values are stored; never rename them."""

    COLD = "cold"
    WARMING = "warming"
    WARM = "warm"
    DRAINING = "draining"  # no new mail; what is under way is finished
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """An address we send from. `weight` from 0 (none) to 100 shares a pool's mail out.

    `ipv4` and `ipv6` are the public ones, `private` is what the host binds to where that is
    another (an Elastic IP's network interface); "" lets the system choose. `plan` names the
    warm-up plan, "" for none.
    """

    id: str
    pool: str
    ehlo_name: str
    ipv4: str = ""
    ipv6: str = ""
    private: str = ""
    weight: int = 100
    state: AddressState = AddressState.WARM
    plan: str = ""


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A pool; `overflow` is the pool that takes what this one may not send now, "" for none."""

    id: str
    purpose: str = "mixed"
    overflow: str = ""
    prefer_ipv6: bool = False
