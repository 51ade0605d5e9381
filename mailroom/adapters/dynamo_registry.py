"""The Registry port on the directory table. Reads are consistent: they are for people and writes,
never for the sending path, which has `dynamo_directory.py`."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any
from uuid import uuid4

from pynamodb.connection import Connection
from pynamodb.exceptions import TransactWriteError
from pynamodb.transactions import TransactWrite

from mailroom.adapters.tables import DirectoryRow
from mailroom.domain.tenancy.record import ABSENT, Change, Place, Record, RecordPage
from mailroom.ports.registry import ConflictError

MAX_CHANGES = 100  # DynamoDB's own limit
_CONFLICTS = frozenset({"ConditionalCheckFailed", "TransactionConflict"})


class DynamoRegistry:
    """Reads and writes records."""

    def __init__(self, rows: type[DirectoryRow]) -> None:
        self._rows = rows

    def read(self, place: Place) -> Record | None:
        """See Registry.read."""
        try:
            return _record(self._rows.get(place.partition, place.sort, consistent_read=True))
        except self._rows.DoesNotExist:
            return None

    def read_many(self, places: Sequence[Place]) -> Mapping[Place, Record]:
        """See Registry.read_many."""
        keys = [tuple(place) for place in dict.fromkeys(places)]
        rows = self._rows.batch_get(keys, consistent_read=True) if keys else ()
        return {record.place: record for record in map(_record, rows)}

    def page(
        self,
        partition: str,
        prefix: str,
        *,
        limit: int,
        after: str = "",
        newest_first: bool = False,
    ) -> RecordPage:
        """See Registry.page."""
        found = self._rows.query(
            partition,
            self._rows.sk.startswith(prefix),
            consistent_read=True,
            limit=limit + 1,  # one more tells whether anything follows
            page_size=limit + 1,
            scan_index_forward=not newest_first,
            last_evaluated_key=_key(partition, after) if after else None,
        )
        records = tuple(map(_record, found))
        more = len(records) > limit
        return RecordPage(records[:limit], records[limit - 1].place.sort if more else "")

    def count(self, partition: str, prefix: str, *, most: int) -> int:
        """See Registry.count."""
        return min(most, self._rows.count(partition, self._rows.sk.startswith(prefix), limit=most))

    def write(self, changes: Sequence[Change]) -> None:
        """See Registry.write."""
        # As pynamodb orders them, and so the reasons of a refusal.
        ordered = sorted(changes, key=lambda change: change.record is not None)
        try:
            # With a token of its own a repeated call is answered as the first was.
            with TransactWrite(
                connection=self._connection, client_request_token=uuid4().hex
            ) as transaction:
                for change in ordered:
                    self._add(transaction, change)
        except TransactWriteError as error:
            raise _conflict(error, ordered) or error from error

    @cached_property
    def _connection(self) -> Connection:
        meta: Any = self._rows.Meta
        return Connection(
            connect_timeout_seconds=meta.connect_timeout_seconds,
            read_timeout_seconds=meta.read_timeout_seconds,
            max_retry_attempts=meta.max_retry_attempts,
            max_pool_connections=meta.max_pool_connections,
        )

    def _add(self, transaction: TransactWrite, change: Change) -> None:
        row = self._rows(change.place.partition, change.place.sort)
        condition = self._condition(change.expected)
        if change.record is None:
            transaction.delete(row, condition=condition)
            return
        record = change.record
        row.json = json.dumps(record.body, separators=(",", ":"), sort_keys=True)
        row.wrapped = record.secret or None
        row.ver = (change.expected or 0) + 1
        row.ttl = None if record.expires_at is None else int(record.expires_at)
        transaction.save(row, condition=condition)

    def _condition(self, expected: int | None) -> Any:
        rows = self._rows
        if expected is None:
            return None
        if expected == ABSENT:
            return rows.pk.does_not_exist()
        condition = rows.ver == expected
        if expected == 1:  # rows of before there were revisions have none
            condition |= rows.pk.exists() & rows.ver.does_not_exist()
        return condition


def _record(row: DirectoryRow) -> Record:
    return Record(
        place=Place(row.pk, row.sk),
        body=json.loads(row.json),
        revision=int(row.ver or 1),
        secret=row.wrapped or b"",
        expires_at=None if row.ttl is None else float(row.ttl),
    )


def _key(partition: str, sort: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def _conflict(error: TransactWriteError, changes: Sequence[Change]) -> ConflictError | None:
    reasons = error.cancellation_reasons
    for change, reason in zip(changes, reasons, strict=False):
        if reason is not None and reason.code in _CONFLICTS:
            return ConflictError(change.place)
    return None
