"""Acceptance for a process that takes in many messages at once: its threads share their calls.

Each statement keeps its own condition, so that whoever wrote first still decides. Lambda functions
accept one message at a time and use `DynamoLedger` as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mailroom.adapters.dynamo_ledger import DynamoLedger
from mailroom.adapters.gathering import Gathering
from mailroom.adapters.sqs_lane import BATCH, Entry, SqsLane
from mailroom.adapters.tables import MailTables, Row, WatchRow

_STATEMENTS = 25  # BatchExecuteStatement's own limit
_DUPLICATE = "DuplicateItem"
_TRIES = 3

Statement = Mapping[str, Any]


class NotWrittenError(Exception):
    """The table did not take a row; nothing is known about why but its code."""


class GatheredLedger(DynamoLedger):
    """The Ledger port; rows go out with other threads'."""

    def __init__(self, tables: MailTables, watches: type[WatchRow], dynamodb: Any) -> None:
        """Take a boto3 DynamoDB client beside the rows."""
        super().__init__(tables, watches)
        self._dynamodb = dynamodb
        self._inserts: Gathering[Statement, str] = Gathering(self._insert_all, size=_STATEMENTS)

    def _insert(self, row: Row) -> bool:
        """See DynamoLedger. Raises NotWrittenError."""
        statement, code = _statement(row), ""
        for _ in range(_TRIES):  # a throttled statement has done nothing
            code = self._inserts.ask(statement)
            if not code or code.startswith(_DUPLICATE):
                return not code
        raise NotWrittenError(code)

    def _insert_all(self, statements: Sequence[Statement]) -> Sequence[str]:
        answer = self._dynamodb.batch_execute_statement(Statements=list(statements))
        return [str(each.get("Error", {}).get("Code", "")) for each in answer["Responses"]]


class GatheredLane(SqsLane):
    """The Lane port; single wake-ups go out with other threads', many fill calls of their own."""

    def __init__(self, sqs: Any, queue_url: str, *, trace: Callable[[], str] = str) -> None:
        """See SqsLane."""
        super().__init__(sqs, queue_url, trace=trace)
        self._shared: Gathering[Entry, bool] = Gathering(super()._hand_over, size=BATCH)

    def _hand_over(self, entries: Sequence[Entry]) -> Sequence[bool]:
        if len(entries) > 1:
            return super()._hand_over(entries)
        return [self._shared.ask(entry) for entry in entries]


def _statement(row: Row) -> Statement:
    # The names are ours, never a caller's; the values travel as parameters.
    values = row.serialize()
    names = ", ".join(f"'{name}': ?" for name in values)
    return {
        "Statement": f'INSERT INTO "{row.Meta.table_name}" VALUE {{{names}}}',
        "Parameters": list(values.values()),
    }
