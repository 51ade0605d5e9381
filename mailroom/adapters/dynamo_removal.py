"""The Removal port: a server's mail through the day index, and its rows in other tables."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from mailroom.adapters.names import SUBMISSION, mail_pk, server_facts_pk
from mailroom.adapters.tables import Row, bound
from mailroom.domain.message import ServerId
from mailroom.domain.provider import PROVIDERS
from mailroom.domain.search_keys import day_key
from mailroom.domain.statistic import OPEN_ENDED, REST, Dimension
from mailroom.ports.erasure import StoredMail
from mailroom.settings import Settings

_BATCH = 25  # keys of one BatchWriteItem


class KeyRow(Row):
    """Any row, of which nothing but the key matters."""


class DynamoRemoval:
    """Deletes by keys alone, 25 rows a call."""

    def __init__(self, settings: Settings, dynamodb: Any) -> None:
        """Take a boto3 client for the day index and the bodies' keys."""
        self._table = settings.resource("table", "mail")
        self._mail = bound(KeyRow, self._table)
        self._counters = bound(KeyRow, settings.resource("table", "counters"))
        self._calls = bound(KeyRow, settings.resource("table", "notifications"))
        self._directory = bound(KeyRow, settings.resource("table", "directory"))
        self._dynamodb = dynamodb

    def mail(self, server: ServerId, day: float, limit: int) -> Sequence[StoredMail]:
        """See Removal.mail. One query of the index, one read of the rows for the bodies' keys."""
        named = self._dynamodb.query(
            TableName=self._table,
            IndexName="day",
            KeyConditionExpression="day_key = :day",
            ExpressionAttributeValues={":day": {"S": day_key(server, day)}},
            Limit=limit,
        )["Items"]
        found: list[StoredMail] = []
        for batch in _batches(named, 100):
            bodies = self._bodies([item["pk"]["S"] for item in batch])
            # A row that the index still names and the table does not have may have left others.
            found += [_stored(item["pk"]["S"], bodies) for item in batch]
        return found

    def drop_mail(self, server: ServerId, numbers: Sequence[int]) -> int:
        """See Removal.drop_mail. The submission goes last: by it the rest is found again."""
        rows = 0
        for number in numbers:
            pk = mail_pk(server, number)
            found = list(self._mail.query(pk, attributes_to_get=["pk", "sk"]))
            rows += self._delete(self._mail, (row for row in found if row.sk != SUBMISSION))
            rows += self._delete(self._mail, (row for row in found if row.sk == SUBMISSION))
        return rows

    def drop_facts(self, server: ServerId, limit: int) -> int:
        """See Removal.drop_facts."""
        return self._drop(self._mail, server_facts_pk(server), limit)

    def drop_counts(self, server: ServerId, limit: int) -> int:
        """See Removal.drop_counts. Values that have counts of their own are named in one list.

        Counts of release 0.1 (`<server>#<hour>#<shard>`) have no list; they expire by themselves.
        """
        lists = list(self._counters.query(f"stat#{server}", attributes_to_get=["pk", "sk"]))
        dropped = self._drop(self._counters, f"limit#{server}", limit)
        for pk in self._slots(server):
            dropped += self._drop(self._counters, pk, limit - dropped)
            if dropped >= limit:
                return dropped
        # There is one at most, and nobody is to ask again because of it.
        self._delete(self._counters, [self._counters("brakes", server)])
        return dropped + self._delete(self._counters, lists)

    def drop_directory(self, partition: str, limit: int) -> int:
        """See Removal.drop_directory."""
        return self._drop(self._directory, partition, limit)

    def drop_calls(self, server: ServerId, webhook: str, limit: int) -> int:
        """See Removal.drop_calls."""
        return self._drop(self._calls, f"{server}#{webhook}", limit)

    def _slots(self, server: ServerId) -> Iterator[str]:
        """Yield the partitions of a server's counts: its own, and those of each value."""
        fixed = [(Dimension.SERVER, "")]
        fixed += [(Dimension.PROVIDER, provider) for provider in PROVIDERS]
        fixed += [(dimension, REST) for dimension in OPEN_ENDED]
        named = (
            (item["sk"]["S"].partition("#")[0], value)
            for item in self._pages(f"stat#{server}")
            for value in item.get("names", {}).get("SS", ())
        )
        for dimension, value in dict.fromkeys([*fixed, *named]):
            yield f"stat#{server}#{dimension}#{value}"

    def _pages(self, pk: str) -> Iterator[dict[str, Any]]:
        start: dict[str, Any] = {}
        while True:
            page = self._dynamodb.query(
                TableName=self._counters.Meta.table_name,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": pk}},
                **start,
            )
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _bodies(self, names: Sequence[str]) -> dict[str, str]:
        keys = [{"pk": {"S": pk}, "sk": {"S": SUBMISSION}} for pk in names]
        found: dict[str, str] = {}
        while keys:
            answer = self._dynamodb.batch_get_item(
                RequestItems={
                    self._table: {
                        "Keys": keys,
                        "ProjectionExpression": "pk, #body",
                        "ExpressionAttributeNames": {"#body": "body"},
                    }
                }
            )
            for item in answer["Responses"].get(self._table, []):
                if "body" in item:
                    found[item["pk"]["S"]] = item["body"]["S"]
            keys = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
        return found

    def _drop(self, model: type[KeyRow], pk: str, limit: int) -> int:
        if limit < 1:
            return 0
        return self._delete(model, model.query(pk, limit=limit, attributes_to_get=["pk", "sk"]))

    def _delete(self, model: type[KeyRow], rows: Iterable[KeyRow]) -> int:
        dropped = 0
        with model.batch_write() as batch:
            for row in rows:
                batch.delete(row)
                dropped += 1
        return dropped


def _stored(pk: str, bodies: dict[str, str]) -> StoredMail:
    return StoredMail(int(pk.split("#")[1]), bodies.get(pk))


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
