"""`infra/resources.json` as values: what stands in the cloud, read by the provisioner.

Terraform reads the same file with `jsondecode`. Everything is checked when it is read, so a typing
mistake is a sentence that names the place and never a half-made stack.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

ACCESS_KINDS = ("table", "bucket", "key", "queue", "topic")


class ResourcesError(Exception):
    """`infra/resources.json` cannot be used; the message names the entry."""


@dataclass(frozen=True, slots=True)
class Index:
    """A global secondary index."""

    hash_key: str
    range_key: str
    projection: str


@dataclass(frozen=True, slots=True)
class Table:
    """A DynamoDB table, paid per request. `stream` is a view type or empty."""

    hash_key: str
    range_key: str
    attributes: Mapping[str, str]
    indexes: Mapping[str, Index] = field(default_factory=dict)
    stream: str = ""
    ttl: str = ""


@dataclass(frozen=True, slots=True)
class Bucket:
    """An S3 bucket; objects under the prefix `<days>/` expire after that many days."""

    lifecycle_days: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """A symmetric KMS key."""

    description: str


@dataclass(frozen=True, slots=True)
class Queue:
    """An SQS queue; it always has a dead-letter queue. Times in seconds.

    `divide_visibility` says that the visibility time-out waits for a retry, so a stack that
    divides its delays divides it too.
    """

    visibility_seconds: int
    retention_seconds: int
    max_receives: int
    divide_visibility: bool = False


@dataclass(frozen=True, slots=True)
class Topic:
    """An SNS topic. A `family` is not one but all whose names begin with its own and a hyphen:
    made at run time, while what may be done with them is decided here.
    """

    family: bool = False


_FAMILY = Topic(family=True)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A queue that gets what a topic publishes; `raw` leaves SNS's envelope out."""

    topic: str
    queue: str
    raw: bool


@dataclass(frozen=True, slots=True)
class Access:
    """What a process may do with one resource, and so which address it is given."""

    kind: str
    resource: str
    actions: tuple[str, ...]

    @property
    def place(self) -> str:
        """The resource as `kind:name`, the key of every table of addresses."""
        return f"{self.kind}:{self.resource}"


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function: one handler of one Chalice app."""

    app: str
    handler: str
    memory_mb: int
    timeout_seconds: int
    access: tuple[Access, ...]


@dataclass(frozen=True, slots=True)
class EventSource:
    """An event source mapping from a queue, or from a table's stream if `stream` is set.

    `retries` bounds the attempts at one batch of a stream, `concurrency` the batches of a queue
    under way at once where the deployment sets no bound itself. A batch waits `window_seconds` to
    be full, which one of over ten records of a queue must. If there are `filters` (patterns of
    Lambda's event filtering), only records that match one of them reach the function.
    """

    function: str
    batch_size: int
    queue: str = ""
    stream: str = ""
    retries: int = 0
    concurrency: int = 0
    window_seconds: int = 0
    filters: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """An EventBridge rule that invokes a function."""

    function: str
    expression: str


@dataclass(frozen=True, slots=True)
class Api:
    """An HTTP API whose `$default` route is one function."""

    function: str


@dataclass(frozen=True, slots=True)
class Resources:
    """All of it, by logical name. `movers` are host processes that move Elastic IPs."""

    tables: Mapping[str, Table]
    buckets: Mapping[str, Bucket]
    keys: Mapping[str, Key]
    queues: Mapping[str, Queue]
    topics: Mapping[str, Topic]
    subscriptions: tuple[Subscription, ...]
    functions: Mapping[str, Function]
    mappings: Mapping[str, EventSource]
    schedules: Mapping[str, Schedule]
    apis: Mapping[str, Api]
    hosts: Mapping[str, tuple[Access, ...]]
    movers: frozenset[str] = frozenset()

    @property
    def places(self) -> frozenset[str]:
        """Every resource that can be given access to, as `kind:name`."""
        groups = {"table": self.tables, "bucket": self.buckets, "key": self.keys}
        more: dict[str, Mapping[str, Any]] = {"queue": self.queues, "topic": self.topics}
        return frozenset(f"{kind}:{n}" for kind, group in (groups | more).items() for n in group)

    @property
    def apps(self) -> tuple[str, ...]:
        """The Chalice apps that have to be packaged."""
        return tuple(sorted({function.app for function in self.functions.values()}))


def parse_resources(text: str) -> Resources:
    """Read the file's text. Raises ResourcesError for anything unknown, missing or dangling."""
    try:
        raw = json.loads(text)
    except ValueError as problem:
        raise ResourcesError(f"not JSON: {problem}") from None
    if not isinstance(raw, dict) or raw.pop("version", None) != 1:
        raise ResourcesError("version 1 is needed")
    subscriptions = raw.pop("subscriptions", [])
    like = partial(_host, raw.get("functions", {}))
    hosts: Mapping[str, dict[str, Any]] = raw.get("hosts", {})
    movers = frozenset(name for name, host in hosts.items() if host.get("elastic_ips"))
    resources = Resources(
        tables=_group(raw, "tables", _table),
        buckets=_group(raw, "buckets", _bucket),
        keys=_group(raw, "keys", lambda entry: Key(**entry)),
        queues=_group(raw, "queues", lambda entry: Queue(**entry)),
        topics=_group(raw, "topics", lambda entry: Topic(**entry)),
        subscriptions=tuple(_numbered(subscriptions, "subscriptions", Subscription)),
        functions=_group(raw, "functions", _function),
        mappings=_group(raw, "mappings", _mapping),
        schedules=_group(raw, "schedules", lambda entry: Schedule(**entry)),
        apis=_group(raw, "apis", lambda entry: Api(**entry)),
        hosts=_group(raw, "hosts", like),
        movers=movers,
    )
    if raw:
        raise ResourcesError(f"unknown section {sorted(raw)[0]!r}")
    dangling = next(_dangling(resources), None)
    if dangling:
        raise ResourcesError(dangling)
    return resources


def load_resources(root: Path) -> Resources:
    """Read the resources of the project at `root`. Raises ResourcesError, OSError."""
    return parse_resources((root / "infra" / "resources.json").read_text())


def _group(raw: dict[str, Any], section: str, read: Any) -> dict[str, Any]:
    entries = raw.pop(section, {})
    found = {}
    for name, entry in entries.items():
        try:
            found[name] = read(dict(entry))
        except (TypeError, KeyError, ValueError) as problem:
            raise ResourcesError(f"{section}.{name}: {problem}") from None
    return found


def _numbered(entries: list[Any], section: str, read: Any) -> list[Any]:
    by_number = {section: {str(n): entry for n, entry in enumerate(entries)}}
    return list(_group(by_number, section, lambda entry: read(**entry)).values())


def _table(entry: dict[str, Any]) -> Table:
    indexes = {name: Index(**index) for name, index in entry.pop("indexes", {}).items()}
    return Table(**entry, indexes=indexes)


def _bucket(entry: dict[str, Any]) -> Bucket:
    return Bucket(lifecycle_days=tuple(entry.pop("lifecycle_days", ())), **entry)


def _function(entry: dict[str, Any]) -> Function:
    return Function(access=_accesses(entry.pop("access")), **entry)


def _host(functions: Mapping[str, Any], entry: dict[str, Any]) -> tuple[Access, ...]:
    """Read a host process: what it has access to, or the function that it is `like`."""
    given = functions[entry["like"]] if "like" in entry else entry
    return _accesses(given["access"])


def _mapping(entry: dict[str, Any]) -> EventSource:
    return EventSource(filters=tuple(entry.pop("filters", ())), **entry)


def _accesses(entry: Mapping[str, list[str]]) -> tuple[Access, ...]:
    found = []
    for place, actions in entry.items():
        kind, _, name = place.partition(":")
        if kind not in ACCESS_KINDS:
            raise ValueError(f"access to {place!r}: no such kind")
        found.append(Access(kind, name, tuple(actions)))
    return tuple(found)


def _dangling(resources: Resources) -> Iterator[str]:
    """Name every reference to something that is not in the file."""
    owners = {**{n: f.access for n, f in resources.functions.items()}, **resources.hosts}
    for owner, accesses in owners.items():
        for access in accesses:
            if access.place not in resources.places:
                yield f"{owner}: no {access.place}"
    for name in sorted(resources.functions.keys() & resources.hosts.keys()):
        yield f"hosts.{name}: a function has the same name"
    for subscription in resources.subscriptions:
        yield from _dangling_subscription(subscription, resources)
    groups: tuple[Mapping[str, EventSource | Schedule | Api], ...] = (
        resources.mappings,
        resources.schedules,
        resources.apis,
    )
    for name, user in ((name, user) for group in groups for name, user in group.items()):
        if user.function not in resources.functions:
            yield f"{name}: no function {user.function!r}"
    for name, mapping in resources.mappings.items():
        yield from _dangling_source(name, mapping, resources)


def _dangling_subscription(subscription: Subscription, resources: Resources) -> Iterator[str]:
    if resources.topics.get(subscription.topic, _FAMILY).family:
        yield f"subscriptions: no topic {subscription.topic!r}"
    if f"queue:{subscription.queue}" not in resources.places:
        yield f"subscriptions: no queue {subscription.queue!r}"


def _dangling_source(name: str, mapping: EventSource, resources: Resources) -> Iterator[str]:
    if bool(mapping.queue) == bool(mapping.stream):
        yield f"mappings.{name}: needs a queue or a stream"
    elif mapping.queue and mapping.queue not in resources.queues:
        yield f"mappings.{name}: no queue {mapping.queue!r}"
    elif mapping.stream and not getattr(resources.tables.get(mapping.stream), "stream", ""):
        yield f"mappings.{name}: table {mapping.stream!r} has no stream"
