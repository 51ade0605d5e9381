"""The rows as pynamodb models. Rows stay in the adapters; only domain values leave.

Attribute names are short because every octet of an item is paid for on each write; what they
mean stands beside them. Times are milliseconds since 1970 except `ttl` (seconds, DynamoDB's
own unit).
"""

from dataclasses import dataclass
from typing import Any, TypeVar

from pynamodb.attributes import (
    BinaryAttribute,
    BooleanAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from mailroom.settings import Settings

M = TypeVar("M", bound=Model)


class Row(Model):
    """What every row has."""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    v = NumberAttribute(default=1)
    ttl = NumberAttribute(null=True)


class SubmissionRow(Row):
    """`<server>#<number>` / `s`: its existence is the acceptance."""

    at = NumberAttribute()
    exp = NumberAttribute()
    mail_from = UnicodeAttribute()
    author = UnicodeAttribute()
    domain = UnicodeAttribute()
    subject = UnicodeAttribute(default="")
    mid = UnicodeAttribute(null=True)
    tag = UnicodeAttribute(null=True)
    size = NumberAttribute()
    rcpts = NumberAttribute()
    source = UnicodeAttribute()
    bounce = BooleanAttribute(default=False)
    inline = BinaryAttribute(null=True, legacy_encoding=False)
    body = UnicodeAttribute(null=True)
    cred = UnicodeAttribute(default="")
    ssl = BooleanAttribute(null=True)
    hold = BooleanAttribute(null=True)
    utf8 = BooleanAttribute(null=True)
    dsn = UnicodeAttribute(null=True)
    stream = UnicodeAttribute(null=True)
    tags = UnicodeAttribute(null=True)
    meta = UnicodeAttribute(null=True)
    t_open = BooleanAttribute(null=True)
    t_click = BooleanAttribute(null=True)
    send_at = NumberAttribute(null=True)
    days = NumberAttribute(null=True)
    raw_until = NumberAttribute(null=True)
    test = BooleanAttribute(null=True)
    indiv = BooleanAttribute(null=True)
    day_key = UnicodeAttribute(null=True)
    mid_key = UnicodeAttribute(null=True)
    tag_key = UnicodeAttribute(null=True)


class TagRow(Row):
    """`<server>#<number>` / `t#<n>`: a submission's tag after its first, for the tag index."""

    at = NumberAttribute()
    tag_key = UnicodeAttribute()


class DeliveryRow(Row):
    """`<server>#<number>` / `d#<index>`. `event` is the JSON of the last fact (the outbox).

    `stick` is the source address that must come again, `stall` counts tries that no receiver
    heard of, `late` says that its delay was told.
    """

    state = UnicodeAttribute()
    rcpt = UnicodeAttribute()
    at = NumberAttribute()
    exp = NumberAttribute()
    att = NumberAttribute(default=0)
    unc = NumberAttribute(default=0)
    gen = NumberAttribute(default=0)
    claim = UnicodeAttribute(null=True)
    until = NumberAttribute(null=True)
    due_shard = UnicodeAttribute(null=True)
    due_at = NumberAttribute(null=True)
    event = UnicodeAttribute(null=True)
    manual = BooleanAttribute(null=True)
    merge = UnicodeAttribute(null=True)
    bulk = BooleanAttribute(null=True)
    stick = UnicodeAttribute(null=True)
    stall = NumberAttribute(null=True)
    late = BooleanAttribute(null=True)
    rcpt_key = UnicodeAttribute(null=True)


class HistoryRow(Row):
    """`<server>#<number>` / `h#<index>#<ms>#<event id>`: one recorded fact."""

    event = UnicodeAttribute()


class FirstViewRow(Row):
    """`<server>#<number>` / `u#<index>`: ids of a delivery's first open and click, of anybody and
    of a person. It has no `event`, so nothing is published when it changes."""

    opened = UnicodeAttribute(null=True, attr_name="o")
    opened_human = UnicodeAttribute(null=True, attr_name="oh")
    clicked = UnicodeAttribute(null=True, attr_name="c")
    clicked_human = UnicodeAttribute(null=True, attr_name="ch")


class WatchRow(Row):
    """`<shard>` / `<ms>#<server>#<number>`: look at this submission then."""


class NotificationRow(Row):
    """`<server>#<webhook>` / `<ms>#<uuid>#<try>`: one webhook call and its answer."""

    uuid = UnicodeAttribute()
    event = UnicodeAttribute()
    url = UnicodeAttribute()
    attempt = NumberAttribute()
    at = NumberAttribute()
    status = NumberAttribute()
    answer = UnicodeAttribute(default="")
    problem = UnicodeAttribute(default="")
    payload = UnicodeAttribute()
    again = BooleanAttribute()
    replay = BooleanAttribute(null=True)
    cut = BooleanAttribute(null=True)
    sec = NumberAttribute(null=True)


class GateRow(Row):
    """`gate#<endpoint>` / `-` beside the notifications: an endpoint in trouble (`breaker.py`)."""

    gate = UnicodeAttribute()
    ver = NumberAttribute()


class DirectoryRow(Row):
    """Organisations, servers, credentials, domains, webhooks, keys: `json` and secret parts."""

    json = UnicodeAttribute()
    wrapped = BinaryAttribute(null=True, legacy_encoding=False)
    ver = NumberAttribute(null=True)  # the revision of a record; none counts as 1
    servers = UnicodeSetAttribute(null=True)  # of `platform` / `private` alone


class CounterRow(Row):
    """`stat#<server>#<dimension>#<value>` / `h#<Unix hour>` and `d#<Unix day>`: statistics.

    Attributes are made by `add`; `token` names the last addition. Rows of release 0.1 are
    `<server>#<hour>#<shard>` / `hour`.
    """

    token = UnicodeAttribute(null=True, attr_name="t")


class CounterNamesRow(Row):
    """`stat#<server>` / `<dimension>#<Unix day>`: the values that have statistics that day."""

    names = UnicodeSetAttribute(null=True)


class WatchedServerRow(Row):
    """`watched#<ten minutes>` / `<server>`: brakes look at this server."""


class BrakeRow(Row):
    """`brakes` / `<server>` of the counters table: how a brake stands, as JSON (`brake.py`)."""

    ver = NumberAttribute()
    brake = UnicodeAttribute()


class ServerFactRow(Row):
    """`<server>#facts` / `n#<ms>#<id>` of the mail table: one fact of a server, as JSON."""

    fact = UnicodeAttribute()


class MailingRow(Row):
    """What statistics read of submissions and deliveries."""

    domain = UnicodeAttribute(null=True)
    tag = UnicodeAttribute(null=True)
    stream = UnicodeAttribute(null=True)
    rcpt = UnicodeAttribute(null=True)
    rcpts = NumberAttribute(null=True)
    tags = UnicodeAttribute(null=True)
    days = NumberAttribute(null=True)
    test = BooleanAttribute(null=True)


class LimitRow(Row):
    """`limit#<server>` / `limit`: the ring of a send limit as JSON, and the ring's version."""

    ver = NumberAttribute()
    ring = UnicodeAttribute()


class DueIndex(GlobalSecondaryIndex[DeliveryRow]):  # type: ignore[no-untyped-call]  # pynamodb
    """Deferred deliveries by due time. Sparse: a delivery that waits for nothing is not in it."""

    class Meta:
        """Its name in `infra/resources.json`."""

        index_name = "due"
        projection = KeysOnlyProjection()

    due_shard = UnicodeAttribute(hash_key=True)
    due_at = NumberAttribute(range_key=True)


@dataclass(frozen=True, slots=True)
class MailTables:
    """The row shapes of the mail table that the ledger writes."""

    submission: type[SubmissionRow]
    delivery: type[DeliveryRow]
    history: type[HistoryRow]
    tag: type[TagRow]


def mail_tables(settings: Settings) -> MailTables:
    """Bind the mail table's rows to this deployment's table."""
    name = settings.resource("table", "mail")
    return MailTables(
        bound(SubmissionRow, name),
        bound(DeliveryRow, name, due=DueIndex()),
        bound(HistoryRow, name),
        bound(TagRow, name),
    )


def bound(row: type[M], table_name: str, **indexes: "GlobalSecondaryIndex[Any]") -> type[M]:
    """Return `row` tied to one table: a process serves one deployment, tests several."""
    meta = type(
        "Meta",
        (),
        {
            "table_name": table_name,
            "connect_timeout_seconds": 3,
            "read_timeout_seconds": 5,
            "max_retry_attempts": 4,
            "max_pool_connections": 32,
        },
    )
    return type(row.__name__, (row,), {"Meta": meta, **indexes})
