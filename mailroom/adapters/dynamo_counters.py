"""Counters of release 0.1, an hour of a server in four rows: moved to where statistics are now."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from mailroom.adapters.dynamo_migration import scanned
from mailroom.adapters.dynamo_statistics import PREFIX, kept_until, key_of, read_counts
from mailroom.domain.message import ServerId
from mailroom.domain.statistic import HOURS_A_DAY, Counts, Slot
from mailroom.domain.tenancy.record import Place
from mailroom.ports.migration import Batch
from mailroom.ports.registry import ConflictError
from mailroom.ports.statistics import Grain

_SORT = "hour"
_PK = re.compile(r"([a-z2-7]{10})#(\d{1,9})#\d\Z", re.ASCII)
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Old:
    """One old row and what it counted."""

    pk: str
    slot: Slot
    hour: int
    counts: Counts


class MoveCounters:
    """A `Work` over the counters table.

    A row goes in the same transaction in which its counts are added to their hour and day, so
    each is moved once whatever happens.
    """

    name = "counters"

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def batch(self, part: int, of: int, after: str) -> Batch:
        """See Work.batch."""
        rows, last = scanned(self._client, self._table, part, of, after)
        return Batch([row for row in rows if row["sk"]["S"] == _SORT], last)

    def plan(self, item: Item) -> _Old | None:
        """See Work.plan."""
        named = _PK.match(item["pk"]["S"])
        if named is None:
            return None
        return _Old(named[0], Slot(ServerId(named[1])), int(named[2]), read_counts(item))

    def apply(self, planned: _Old) -> None:
        """See Work.apply. Raises ConflictError for a row that is still being counted in."""
        key = {"pk": {"S": planned.pk}, "sk": {"S": _SORT}}
        names = {f"#{n}": PREFIX + name for n, name in enumerate(planned.counts)}
        values = {f":{n}": {"N": str(count)} for n, count in enumerate(planned.counts.values())}
        same = [f"#{n} = :{n}" for n in range(len(planned.counts))]
        gone: dict[str, Any] = {
            "TableName": self._table,
            "Key": key,
            "ConditionExpression": " AND ".join(["attribute_exists(pk)", *same]),
            **({"ExpressionAttributeNames": names} if names else {}),
            **({"ExpressionAttributeValues": values} if values else {}),
        }
        added = self._additions(planned, names, values) if planned.counts else ()
        try:
            self._client.transact_write_items(
                TransactItems=[*({"Update": each} for each in added), {"Delete": gone}]
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionCanceledException":
                raise
            if "Item" in self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True):
                raise ConflictError(Place(planned.pk, _SORT)) from error

    def _additions(
        self, old: _Old, names: Mapping[str, str], values: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        sums = ", ".join(f"#{n} :{n}" for n in range(len(old.counts)))
        for grain, number in ((Grain.HOUR, old.hour), (Grain.DAY, old.hour // HOURS_A_DAY)):
            pk, sk = key_of(old.slot, grain, number)
            ends = {":v": {"N": "1"}, ":ttl": {"N": str(kept_until(grain, number))}}
            yield {
                "TableName": self._table,
                "Key": {"pk": {"S": pk}, "sk": {"S": sk}},
                "UpdateExpression": f"SET v = :v, #ttl = :ttl ADD {sums}",
                "ExpressionAttributeNames": {**names, "#ttl": "ttl"},
                "ExpressionAttributeValues": {**values, **ends},
            }
