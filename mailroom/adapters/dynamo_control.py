"""The Control port on the `control` table."""

import json
from collections.abc import Sequence
from typing import Any

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import DeleteError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from mailroom.adapters.tables import Row
from mailroom.domain.tenancy.record import Place, Record, RecordPage

_CONDITION = "ConditionalCheckFailedException"


class ControlRow(Row):
    """A record (`body`, `rev`) or a counter (`used`)."""

    body = UnicodeAttribute(null=True)
    rev = NumberAttribute(null=True)
    used = NumberAttribute(null=True)


class DynamoControl:
    """The Control port."""

    def __init__(self, rows: type[ControlRow]) -> None:
        self._rows = rows

    def read(self, place: Place) -> Record | None:
        """See Control.read."""
        row = self._row(place)
        return _record(row) if row is not None and row.rev is not None else None

    def page(
        self, partition: str, prefix: str = "", *, limit: int = 1_000, after: str = ""
    ) -> RecordPage:
        """See Control.page."""
        rows = self._rows
        found = list(
            rows.query(
                partition,
                rows.sk.startswith(prefix) if prefix else None,
                filter_condition=rows.rev.exists(),
                consistent_read=True,
                limit=limit + 1,
                last_evaluated_key=_start(partition, after),
            )
        )
        records = tuple(_record(row) for row in found[:limit])
        return RecordPage(records, records[-1].place.sort if len(found) > limit else "")

    def put(self, record: Record, expected: int | None = None) -> Record | None:
        """See Control.put."""
        rows = self._rows
        actions: list[Action] = [
            rows.body.set(json.dumps(dict(record.body), separators=(",", ":"), sort_keys=True)),
            rows.rev.add(1),
            rows.v.set(1),
        ]
        expires = record.expires_at
        actions.append(rows.ttl.remove() if expires is None else rows.ttl.set(int(expires)))
        row = rows(*record.place)
        if not _updated(row, actions, self._at(expected)):
            return None
        return _record(row)

    def delete(self, place: Place, expected: int | None = None) -> bool:
        """See Control.delete."""
        try:
            self._rows(*place).delete(condition=self._at(expected))
        except DeleteError as error:
            if error.cause_response_code != _CONDITION:
                raise
            return False
        return True

    def add(
        self, place: Place, amount: float, *, ceiling: float | None, expires_at: float
    ) -> float | None:
        """See Control.add."""
        rows = self._rows
        condition = None
        if ceiling is not None and amount > 0:
            condition = rows.used <= ceiling - amount
            if amount <= ceiling:
                condition = condition | rows.used.does_not_exist()
        row = rows(*place)
        actions = [rows.used.add(amount), rows.ttl.set(int(expires_at)), rows.v.set(1)]
        return float(row.used or 0) if _updated(row, actions, condition) else None

    def counter(self, place: Place) -> float:
        """See Control.counter."""
        row = self._row(place)
        return float(row.used or 0) if row is not None else 0.0

    def _row(self, place: Place) -> ControlRow | None:
        try:
            return self._rows.get(*place, consistent_read=True)
        except self._rows.DoesNotExist:
            return None

    def _at(self, expected: int | None) -> Condition | None:
        if expected is None:
            return None
        rev = self._rows.rev
        return rev == expected if expected else rev.does_not_exist()


def _updated(row: ControlRow, actions: Sequence[Action], condition: Condition | None) -> bool:
    try:
        row.update(actions=list(actions), condition=condition)
    except UpdateError as error:
        if error.cause_response_code != _CONDITION:
            raise
        return False
    return True


def _record(row: ControlRow) -> Record:
    return Record(
        Place(row.pk, row.sk),
        json.loads(row.body or "{}"),
        revision=int(row.rev or 0),
        expires_at=float(row.ttl) if row.ttl is not None else None,
    )


def _start(partition: str, after: str) -> dict[str, Any] | None:
    return {"pk": {"S": partition}, "sk": {"S": after}} if after else None
