"""What an installation of Postal holds, as far as it is imported: neutral, frozen values.

Numbers are those of Postal's rows. Secrets (keys of credentials, DKIM keys) are hidden from any
text these values are shown as.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Organisation:
    """A row of `organizations`."""

    number: int
    name: str
    permalink: str
    time_zone: str = "UTC"
    pool: int | None = None
    suspended: str | None = None  # the reason


@dataclass(frozen=True, slots=True)
class Server:
    """A row of `servers`. `mode` is `Live` or `Development`; None retention keeps for ever."""

    number: int
    organisation: int
    name: str
    permalink: str
    token: str
    mode: str = "Live"
    send_limit: int | None = None
    message_days: int | None = None
    raw_days: int | None = None
    privacy: bool = False
    allow_sender: bool = False
    postmaster: str | None = None
    pool: int | None = None
    suspended: str | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """A row of `domains`. Its owner is a server or an organisation; the key is PEM."""

    number: int
    name: str
    server: int | None
    organisation: int | None
    verified: bool
    verification_token: str
    selector: str
    dkim_key: str = field(repr=False)
    return_path_ok: bool = False
    use_for_any: bool = False


@dataclass(frozen=True, slots=True)
class TrackDomain:
    """A row of `track_domains`: `name` stands before the domain's."""

    number: int
    server: int
    domain: int
    name: str
    ssl: bool = True
    clicks: bool = True
    opens: bool = True
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Credential:
    """A row of `credentials`: `kind` is `SMTP`, `API` or `SMTP-IP`, whose key is a network."""

    number: int
    server: int
    kind: str
    name: str
    key: str = field(repr=False)
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A row of `http_endpoints`, `smtp_endpoints` or `address_endpoints`; `kind` says which."""

    number: int
    server: int
    kind: str  # http, smtp or address
    name: str
    settings: Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class Route:
    """A row of `routes`, with the endpoints it has: (kind, number), the first of them its own."""

    number: int
    server: int
    name: str
    domain: int | None
    mode: str
    spam_mode: str
    token: str
    endpoints: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Webhook:
    """A row of `webhooks` with those of `webhook_events`."""

    number: int
    server: int
    name: str
    url: str
    enabled: bool = True
    all_events: bool = True
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """A row of `ip_pools`."""

    number: int
    name: str
    default: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """A row of `ip_addresses`."""

    number: int
    pool: int
    ipv4: str
    ipv6: str
    hostname: str
    priority: int = 100


@dataclass(frozen=True, slots=True)
class PoolRule:
    """A row of `ip_pool_rules`; senders and recipients are addresses or domains."""

    number: int
    pool: int
    server: int | None
    organisation: int | None
    senders: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suppression:
    """A row of a server's `suppressions`. Times are Unix seconds."""

    server: int
    address: str
    reason: str
    added_at: float
    until: float | None


@dataclass(frozen=True, slots=True)
class Link:
    """A row of a server's `links`."""

    server: int
    token: str
    url: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """A row that cannot be used, and why."""

    table: str
    number: str
    reason: str


@dataclass(frozen=True, slots=True)
class Installation:
    """All of it but what the message databases hold, which may be millions of rows."""

    organisations: tuple[Organisation, ...] = ()
    servers: tuple[Server, ...] = ()
    domains: tuple[Domain, ...] = ()
    track_domains: tuple[TrackDomain, ...] = ()
    credentials: tuple[Credential, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    routes: tuple[Route, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    pools: tuple[Pool, ...] = ()
    addresses: tuple[Address, ...] = ()
    rules: tuple[PoolRule, ...] = ()
    shared_pools: tuple[tuple[int, int], ...] = ()  # (organisation, pool)
    complaints: tuple[Complaint, ...] = ()
