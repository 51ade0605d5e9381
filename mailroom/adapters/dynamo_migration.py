"""Walks over whole tables, and where migrations keep how far they are.

The one place that scans: a migration has to look at every row once. All requests go through plain
clients, because rows of any shape are met.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from botocore.exceptions import ClientError

from mailroom.adapters.names import HISTORY, SUBMISSION
from mailroom.domain.message import ServerId
from mailroom.domain.search_keys import day_key, message_key, recipient_key, tag_key
from mailroom.domain.tenancy.record import Change, Place, Record
from mailroom.ports.migration import Batch, Checkpoint
from mailroom.ports.registry import ConflictError, Registry

PAGE = 200  # rows read at a time
Item = Mapping[str, Any]


def scanned(client: Any, table: str, part: int, of: int, after: str) -> tuple[list[Item], str]:
    """Return the next rows of a segment as DynamoDB spells them, and where to go on."""
    start = {"ExclusiveStartKey": json.loads(after)} if after else {}
    page = client.scan(
        TableName=table, Segment=part, TotalSegments=of, Limit=PAGE, ConsistentRead=True, **start
    )
    last = page.get("LastEvaluatedKey")
    return page["Items"], json.dumps(last) if last else ""


class DirectoryWalk:
    """The Walk port on the directory table."""

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def batch(self, part: int, of: int, after: str) -> Batch:
        """See Walk.batch."""
        rows, last = scanned(self._client, self._table, part, of, after)
        return Batch([_record(row) for row in rows if "json" in row], last)


def _record(row: Item) -> Record:
    return Record(
        place=Place(row["pk"]["S"], row["sk"]["S"]),
        body=json.loads(row["json"]["S"]),
        revision=int(row.get("ver", {"N": "1"})["N"]),
        secret=bytes(row["wrapped"]["B"]) if "wrapped" in row else b"",
        expires_at=float(row["ttl"]["N"]) if "ttl" in row else None,
    )


class RegistryCheckpoints:
    """The Checkpoints port: `platform` / `migration#<name>#<part>`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def read(self, name: str, part: int) -> Checkpoint | None:
        """See Checkpoints.read."""
        record = self._registry.read(_place(name, part))
        return Checkpoint(**record.body) if record else None

    def keep(self, name: str, part: int, checkpoint: Checkpoint) -> None:
        """See Checkpoints.keep."""
        self._registry.write([Change.put(Record(_place(name, part), asdict(checkpoint)))])


def _place(name: str, part: int) -> Place:
    return Place("platform", f"migration#{name}#{part:04d}")


@dataclass(frozen=True, slots=True)
class _Indexing:
    """The index keys one row of the mail table lacks."""

    pk: str
    sk: str
    keys: Mapping[str, str]


class IndexMail:
    """A `Work` over the mail table: rows of release 0.1 get the keys that a search finds them by.

    An index entry is made of attributes alone, so nothing but these is touched.
    """

    name = "search"

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def batch(self, part: int, of: int, after: str) -> Batch:
        """See Work.batch."""
        rows, last = scanned(self._client, self._table, part, of, after)
        return Batch([row for row in rows if not row["sk"]["S"].startswith(HISTORY)], last)

    def plan(self, item: Item) -> _Indexing | None:
        """See Work.plan."""
        pk, sk = item["pk"]["S"], item["sk"]["S"]
        server = ServerId(pk.partition("#")[0])
        keys: dict[str, str] = {}
        if sk == SUBMISSION and "day_key" not in item:
            at = int(item["at"]["N"]) / 1000
            keys["day_key"] = day_key(server, at)
            if "mid" in item:
                keys["mid_key"] = message_key(server, item["mid"]["S"])
            if "tag" in item:
                keys["tag_key"] = tag_key(server, item["tag"]["S"], at)
        elif sk.startswith("d#") and "rcpt_key" not in item:
            keys["rcpt_key"] = recipient_key(server, item["rcpt"]["S"])
        return _Indexing(pk, sk, keys) if keys else None

    def apply(self, planned: _Indexing) -> None:
        """See Work.apply. A row that has expired meanwhile does not come back."""
        names = {f"#{name}": name for name in planned.keys}
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"pk": {"S": planned.pk}, "sk": {"S": planned.sk}},
                UpdateExpression="SET " + ", ".join(f"#{n} = :{n}" for n in planned.keys),
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={f":{n}": {"S": v} for n, v in planned.keys.items()},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise


class DropPrivateSet:
    """A `Work` on one row: the list of private servers that release 0.1 kept as a set.

    Each private server has a row of its own once it is a resource, so this follows `AdoptRows`.
    """

    name = "private"

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table
        self._key = {"pk": {"S": "platform"}, "sk": {"S": "private"}}

    def batch(self, part: int, of: int, after: str) -> Batch:
        """See Work.batch."""
        if part:
            return Batch([])
        row = self._client.get_item(TableName=self._table, Key=self._key, ConsistentRead=True)
        return Batch([row["Item"]] if "Item" in row else [])

    def plan(self, item: Item) -> frozenset[str]:
        """See Work.plan."""
        return frozenset(item.get("servers", {}).get("SS", ()))

    def apply(self, planned: frozenset[str]) -> None:
        """See Work.apply. Raises ConflictError while a server has no row of its own."""
        for server in planned:
            place = Place("platform", f"private#{server}")
            key = {"pk": {"S": place.partition}, "sk": {"S": place.sort}}
            answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
            if "Item" not in answer:
                raise ConflictError(place)
        self._client.delete_item(TableName=self._table, Key=self._key)
