"""What a path may do: the effective settings, after all layers have been laid over each other.

How layers are written, checked and laid over each other is in `mailroom/domain/shaping/`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from mailroom.domain.sending.rate import Rate

_ONE_A_MINUTE = Rate(1, 60)
_HUNDRED_A_MINUTE = Rate(100, 60)
_HUNDRED_A_SECOND = Rate(100)


class TlsUse(StrEnum):
    """TLS towards a site. Values are stored; never rename them."""

    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"  # encrypted, whoever it is
    VERIFIED = "verified"  # and the certificate is the host's
    NONE = "none"


class IpUse(StrEnum):
    """Which kind of address is tried first, or alone. Values are stored; never rename them."""

    IPV4_FIRST = "ipv4-first"
    IPV6_FIRST = "ipv6-first"
    IPV4_ONLY = "ipv4-only"
    IPV6_ONLY = "ipv6-only"


@dataclass(frozen=True, slots=True)
class BackoffSettings:
    """The twin of a path's limits while it is in BACKOFF; `seconds` is how long that lasts."""

    connections: int = 1
    message_rate: Rate | None = _ONE_A_MINUTE
    connection_rate: Rate | None = _ONE_A_MINUTE
    seconds: float = 5_400.0
    clean_deliveries: int = 20  # so many without trouble end it sooner; 0 never does


@dataclass(frozen=True, slots=True)
class PathSettings:
    """The limits and habits of one path. Rates None are without limit; times are seconds.

    `connections` is the most the controller may open, `start_connections` where it begins.
    `message_rate` counts attempted recipients, `byte_rate` octets. `host_connections` is the most
    to one address of theirs. `tenant_share` (0 to 1) is the most of the connections that one
    tenant gets while others wait. Replies change an `adaptive`
    path; one that is not goes on as it is set, whatever is said about it.
    """

    connections: int = 10
    start_connections: int = 2
    host_connections: int = 10
    connection_rate: Rate | None = _HUNDRED_A_MINUTE
    ramp_interval: float = 0.0
    message_rate: Rate | None = _HUNDRED_A_SECOND
    byte_rate: Rate | None = None
    messages_per_connection: int = 100
    idle: float = 15.0
    age: float = 300.0
    addresses: int = 5
    connect_timeout: float = 30.0
    tls: TlsUse = TlsUse.OPPORTUNISTIC
    ip: IpUse = IpUse.IPV4_FIRST
    tenant_share: float = 0.5
    adaptive: bool = True
    backoff: BackoffSettings = field(default_factory=BackoffSettings)


@dataclass(frozen=True, slots=True)
class AddressLimits:
    """What one source address may do over all sites (L6)."""

    connections: int | None = None
    message_rate: Rate | None = None


class SharedScope(StrEnum):
    """What a limit over several addresses counts. Values are stored; never rename them."""

    POOL_PROVIDER = "pool-provider"  # L7
    DKIM_PROVIDER = "dkim-provider"  # L8
    TENANT_PROVIDER = "tenant-provider"  # L9
    TENANT = "tenant"
    CAMPAIGN = "campaign"  # L10: a server's tag


@dataclass(frozen=True, slots=True)
class SharedLimit:
    """A limit over all addresses and hosts, kept in reserved slices.

    `match` are the parts of the key it is for, `*` for any: (pool, provider), (domain, provider),
    (tenant, provider), (tenant,), (tenant, tag). The first of a shaping set that matches counts.
    """

    scope: SharedScope
    match: tuple[str, ...]
    rate: Rate
