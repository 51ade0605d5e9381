"""Source addresses and pools, as a host that sends needs them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    warm-up plan, "" for none. `host` is the name of the only host that may use it, "" for any.
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
    host: str = ""

    @property
    def binding(self) -> str:
        """The IPv4 address that a socket is bound to, "" if the system chooses."""
        return self.private or self.ipv4


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A pool; `overflow` is the pool that takes what this one may not send now, "" for none.

    `organisations` are those whose mail may choose it, None for all. `default` says that it takes
    mail that nothing else chooses a pool for.
    """

    id: str
    purpose: str = "mixed"
    overflow: str = ""
    prefer_ipv6: bool = False
    name: str = ""
    organisations: frozenset[str] | None = None
    default: bool = False

    def serves(self, organisation: str) -> bool:
        """Say whether mail of an organisation may choose this pool."""
        return self.organisations is None or organisation in self.organisations


@dataclass(frozen=True, slots=True)
class Fleet:
    """All pools, by their ids, and all source addresses, in the order of theirs."""

    pools: Mapping[str, PoolFacts] = field(default_factory=dict)
    addresses: tuple[SourceAddress, ...] = ()

    @property
    def default(self) -> str:
        """The id of the default pool, "" for none; of several, the one that was made last."""
        return max((pool.id for pool in self.pools.values() if pool.default), default="")

    def of(self, pool: str) -> tuple[SourceAddress, ...]:
        """Return the addresses of a pool."""
        return tuple(each for each in self.addresses if each.pool == pool)
