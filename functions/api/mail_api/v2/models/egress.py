"""Schemas of what hosts show: how they stand, what waits, and on which paths it goes out."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from mail_api.v2.models.base import Listing, View, one_line

Word = Annotated[str, StringConstraints(max_length=320), AfterValidator(one_line)]


class EgressStatus(View):
    """All hosts together. What waits is counted of mail that hosts hold; `sent`, `deferred` and
    `bounced` are of the last five minutes, of the paths that hosts show."""

    hosts: int
    draining: int
    waiting: int
    in_flight: int
    parked: int
    lanes: dict[str, int]
    paths: dict[str, int] = Field(description="Paths by state")
    sent: int
    deferred: int
    bounced: int
    orders: int = Field(description="Orders in force")
    oldest_at: float | None = Field(description="When the host that was silent longest was heard")


class EgressHost(View):
    """One host, as it showed itself a few seconds ago. `counters` grow from `started_at` on."""

    process: str
    at: float
    version: str
    started_at: float
    draining: bool
    addresses: list[str]
    waiting: int
    in_flight: int
    parked: int
    paths: int
    lanes: dict[str, int]
    counters: dict[str, float]
    rules: str
    shaping: str


class QueueListing(Listing):
    """By what waiting mail is counted."""

    by: Annotated[str, StringConstraints(pattern="^(site|tenant|lane|parked)$")] = Field(
        "site", description="site, tenant, lane, or parked: what was put back to its queue"
    )


class EgressQueue(View):
    """Waiting mail under one name, over all hosts."""

    name: str
    waiting: int
    hosts: int


class PathListing(Listing):
    """Which paths are wanted; all parts that are given have to fit."""

    state: Word = Field("", description="State of the path, such as backoff or suspended")
    provider: Word = Field("", description="Provider of the site")
    site: Word = Field("", description="Key of the site")
    pool: Word = Field("", description="Id of the pool")
    address: Word = Field("", description="Id of the source address")
    process: Word = Field("", description="Id of the host's process")


class EgressError(View):
    """A reply that was no success, or what stood for one."""

    at: float
    code: int
    text: str
    phase: str
    rule: str


class EgressTransition(View):
    """A change of a path's state."""

    at: float
    before: str
    after: str
    cause: str


class EgressPath(View):
    """One path. `binding` is the limiter that mail waits for now, "" for none; `cause` and
    `reply` say why it is in its state, `until` when that ends by itself. `rate` is messages a
    second, null without limit; `queue_age` is the age in seconds of what waits longest."""

    address: str
    site: str
    state: str
    binding: str
    ready: int
    until: float | None
    cause: str
    reply: str
    provider: str
    pool: str
    process: str
    window: float
    connections: int
    rate: float | None
    parked: bool
    queue_age: float
    sent: int
    deferred: int
    bounced: int


class EgressOrderBrief(View):
    """An order that touches what is asked about."""

    id: str
    verb: str
    reason: str
    author: str
    expires_at: float


class EgressPathDetail(EgressPath):
    """A path with its history and settings, newest first. `settings` is null if none are known
    here; `stored` is its record in the table, by which a restart goes on."""

    errors: list[EgressError]
    transitions: list[EgressTransition]
    orders: list[EgressOrderBrief]
    settings: dict[str, Any] | None
    stored: dict[str, Any] | None
    shown_at: float | None = Field(description="When a host last showed it; null: none does")


class SiteListing(Listing):
    """Which sites are wanted."""

    provider: Word = Field("", description="Provider")


class EgressSite(View):
    """A site over all source addresses and hosts."""

    site: str
    provider: str
    paths: int
    in_trouble: int = Field(description="Paths in another state than normal")
    waiting: int
    connections: int
    sent: int
    deferred: int
    bounced: int


class IpListing(Listing):
    """Which addresses are wanted."""

    pool: Word = Field("", description="Id of a pool")


class EgressIp(View):
    """A source address, who holds it, and what it does. `owner` is "" while nobody does."""

    id: str
    pool: str
    ipv4: str | None
    ipv6: str | None
    hostname: str
    state: str
    weight: int | None
    owner: str
    leased_until: float | None
    paths: int
    in_trouble: int
    waiting: int
    warm_up: list[str] = Field(description="Groups it is being warmed up for, and the day")


class WarmUpListing(Listing):
    """Whose warm-up is wanted."""

    address: Word = Field("", description="Id of a source address; all without it")


class WarmUpView(View):
    """How far an address is with one group of providers today. Caps are null once it is warm."""

    address: str
    group: str
    plan: str
    progress: str
    day: int
    days: int
    cap: int | None
    used: int
    hour_cap: int | None
    hour_used: int
    reason: str
    ipv4: str
    pool: str
    state: str
    attempts: int
    attempts_cap: int | None
    connections: int | None
    started_on: str
    facts: dict[str, int]
    history: list[str]


class WhyView(View):
    """Why a delivery is where it is. `next_try_at` is when it is due again at the latest."""

    delivery: str
    recipient: str
    state: str
    attempts: int
    accepted_at: float
    expires_at: float
    next_try_at: float | None
    claimed_until: float | None
    last: dict[str, Any] | None = Field(description="The last thing that happened to it")
    provider: str
    orders: list[EgressOrderBrief]
    paths: list[EgressPath] = Field(description="Paths it may go out on, as hosts show them")
    explanation: str


class EgressSetting(View):
    """One setting; `origin` is the layer that it comes from. A rate null is without limit."""

    name: str
    value: int | float | str | None
    origin: str


class EgressSettings(View):
    """What holds for a path. `version` is that of the published shaping, null for what a release
    brings along. The last two are limits of the address over all sites, null for none."""

    address: str
    site: str
    pool: str
    provider: str
    version: int | None
    settings: list[EgressSetting]
    warmup: str
    retry: str
    address_connections: int | None
    address_message_rate: str | None
