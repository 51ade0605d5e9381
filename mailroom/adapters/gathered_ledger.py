"""Acceptance for a process that takes in many messages at once: its threads share their calls.

Each statement keeps its own condition, so that whoever wrote first still decides. Lambda functions
accept one message at a time and use `DynamoLedger` as it is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.models import Model

from mailroom.adapters.dynamo_ledger import DynamoLedger
from mailroom.adapters.gathering import Gathering
from mailroom.adapters.sqs_lane import MAX_DELAY, batches, dump_wake_up
from mailroom.adapters.tables import MailTables, WatchRow
from mailroom.domain.message import Delivery, ServerId, Submission, WakeUp
from mailroom.errors import HandOverError, NumberTakenError

_STATEMENTS = 25  # BatchExecuteStatement's own limit
_ENTRIES = 10  # SQS's own limit
_DUPLICATE = "DuplicateItem"
_TRIES = 3

Statement = Mapping[str, Any]


class NotWrittenError(Exception):
    """The table did not take a row; nothing is known about why but its code."""


class GatheredLedger(DynamoLedger):
    """The Ledger port; `watch`, the owning delivery and `commit` go out with other threads'."""

    def __init__(self, tables: MailTables, watches: type[WatchRow], dynamodb: Any) -> None:
        """Take a boto3 DynamoDB client beside the rows."""
        super().__init__(tables, watches)
        self._dynamodb = dynamodb
        self._inserts: Gathering[Statement, str] = Gathering(self._insert_all, size=_STATEMENTS)

    def watch(self, server: ServerId, number: int, due_at: float) -> None:
        """See Ledger.watch. One that is there already says the same."""
        self._insert(self._watch_row(server, number, due_at))

    def reserve(self, deliveries: Sequence[Delivery]) -> None:
        """See Ledger.reserve. Whoever inserts delivery 0 owns the number."""
        first, *rest = [self._row(delivery) for delivery in deliveries]
        if not self._insert(first):
            raise NumberTakenError
        if rest:
            with self._tables.delivery.batch_write() as batch:
                for row in rest:
                    batch.save(row)

    def commit(self, submission: Submission) -> None:
        """See Ledger.commit. A row that is there may be ours: then the first answer was lost."""
        if not self._insert(self._submission_row(submission)):
            if self.submission(submission.server, submission.number) == submission:
                return
            raise NotWrittenError("the submission is committed already")

    def _insert(self, row: Model) -> bool:
        """Insert a row; False if its key is taken. Raises NotWrittenError."""
        statement, code = _statement(row), ""
        for _ in range(_TRIES):  # a throttled statement has done nothing
            code = self._inserts.ask(statement)
            if not code or code.startswith(_DUPLICATE):
                return not code
        raise NotWrittenError(code)

    def _insert_all(self, statements: Sequence[Statement]) -> Sequence[str]:
        answer = self._dynamodb.batch_execute_statement(Statements=list(statements))
        return [str(each.get("Error", {}).get("Code", "")) for each in answer["Responses"]]


class GatheredLane:
    """The Lane port; wake-ups go out with other threads'."""

    def __init__(self, sqs: Any, queue_url: str, *, trace: Callable[[], str] = str) -> None:
        """See SqsLane."""
        self._sqs = sqs
        self._url = queue_url
        self._trace = trace
        self._sends: Gathering[tuple[WakeUp, int], bool] = Gathering(self._send, size=_ENTRIES)

    def send(self, wake_ups: Iterable[WakeUp], *, delay: float = 0.0) -> None:
        """See Lane.send. Raises HandOverError if any was not taken."""
        seconds = min(MAX_DELAY, max(0, round(delay)))
        trace = self._trace()
        asks = [(replace(each, trace=each.trace or trace), seconds) for each in wake_ups]
        # Many of one message fill calls of their own; a thread asks for one at a time.
        for batch in batches(asks) if len(asks) > 1 else ():
            if not all(self._send(batch)):
                raise HandOverError("wake-ups were refused")
        if len(asks) == 1 and not self._sends.ask(asks[0]):
            raise HandOverError("a wake-up was refused")

    def _send(self, asks: Sequence[tuple[WakeUp, int]]) -> Sequence[bool]:
        entries = [
            {"Id": str(position), "MessageBody": dump_wake_up(wake_up), "DelaySeconds": seconds}
            for position, (wake_up, seconds) in enumerate(asks)
        ]
        try:
            answer = self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            raise HandOverError(str(error)) from error
        failed = {entry["Id"] for entry in answer.get("Failed", [])}
        return [str(position) not in failed for position in range(len(asks))]


def _statement(row: Model) -> Statement:
    # The names are ours, never a caller's; the values travel as parameters.
    values = row.serialize()
    names = ", ".join(f"'{name}': ?" for name in values)
    return {
        "Statement": f'INSERT INTO "{row.Meta.table_name}" VALUE {{{names}}}',
        "Parameters": list(values.values()),
    }
