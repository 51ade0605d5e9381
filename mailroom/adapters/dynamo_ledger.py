"""The Ledger port on DynamoDB."""

import json
from collections.abc import Sequence
from typing import Any

from pynamodb.exceptions import DeleteError, PutError, UpdateError

from mailroom.adapters.index_keys import tag_rows
from mailroom.adapters.mail_rows import (
    DAY_SECONDS,
    delivery_row,
    due_shard,
    milliseconds,
    read_delivery,
    read_submission,
    submission_row,
)
from mailroom.adapters.names import (
    SUBMISSION,
    delivery_sk,
    due_sk,
    history_prefix,
    history_sk,
    mail_pk,
    read_delivery_key,
    shard_of,
)
from mailroom.adapters.tables import (
    DeliveryRow,
    MailTables,
    Row,
    WatchRow,
)
from mailroom.domain.event import Event, dump_event, load_event
from mailroom.domain.lifecycle import UNCOMMITTED
from mailroom.domain.message import METADATA_DAYS, Delivery, DeliveryKey, ServerId, Submission
from mailroom.errors import NumberTakenError

_MS = 1000


class DynamoLedger:
    """Submissions, deliveries and their history in the mail table; watch rows in `due`."""

    def __init__(self, tables: MailTables, watches: type[WatchRow]) -> None:
        self._tables = tables
        self._watches = watches

    def watch(self, server: ServerId, number: int, due_at: float) -> None:
        """See Ledger.watch. One that is there already says the same."""
        self._insert(self._watch_row(server, number, due_at))

    def reserve(self, deliveries: Sequence[Delivery], *, days: int = METADATA_DAYS) -> None:
        """See Ledger.reserve. Whoever writes delivery 0 owns the number."""
        model = self._tables.delivery
        first, *rest = [delivery_row(model, delivery, days) for delivery in deliveries]
        if not self._insert(first):
            raise NumberTakenError
        if rest:
            with self._tables.delivery.batch_write() as batch:
                for row in rest:
                    batch.save(row)

    def commit(self, submission: Submission) -> None:
        """See Ledger.commit. A row that is there may be ours: then the first answer was lost.

        Raises ValueError for a number that another submission holds.
        """
        row = submission_row(self._tables.submission, submission)
        for each in tag_rows(self._tables.tag, submission, int(row.ttl)):
            self._insert(each)
        if self._insert(row):
            return
        if self._stored(submission.server, submission.number, certain=True) != submission:
            raise ValueError("the submission is committed already")

    def submission(self, server: ServerId, number: int) -> Submission | None:
        """See Ledger.submission."""
        return self._stored(server, number, certain=False)

    def delivery(self, key: DeliveryKey) -> Delivery | None:
        """See Ledger.delivery."""
        try:
            row = self._tables.delivery.get(
                mail_pk(key.server, key.number), delivery_sk(key.index), consistent_read=True
            )
        except self._tables.delivery.DoesNotExist:
            return None
        return read_delivery(row)

    def deliveries(self, server: ServerId, number: int) -> Sequence[Delivery]:
        """See Ledger.deliveries."""
        rows = self._tables.delivery.query(
            mail_pk(server, number),
            self._tables.delivery.sk.startswith("d#"),
            consistent_read=True,
        )
        return [read_delivery(row) for row in rows]

    def history(self, key: DeliveryKey) -> Sequence[Event]:
        """See Ledger.history."""
        rows = self._tables.history.query(
            mail_pk(key.server, key.number),
            self._tables.history.sk.startswith(history_prefix(key.index)),
        )
        return [load_event(json.loads(row.event)) for row in rows]

    def record(self, event: Event, *, days: int = METADATA_DAYS) -> bool:
        """See Ledger.record."""
        key = event.key
        row = self._tables.history(
            mail_pk(key.server, key.number), history_sk(key.index, event.at, event.id)
        )
        row.event = json.dumps(dump_event(event), separators=(",", ":"))
        row.ttl = int(event.at) + days * DAY_SECONDS
        return self._insert(row)

    def _insert(self, row: Row) -> bool:
        """Write a row if its key is free; False, changing nothing, if it is taken."""
        try:
            row.save(condition=type(row).pk.does_not_exist())
        except PutError as error:
            if error.cause_response_code == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def _stored(self, server: ServerId, number: int, *, certain: bool) -> Submission | None:
        model = self._tables.submission
        try:
            row = model.get(mail_pk(server, number), SUBMISSION, consistent_read=certain)
        except model.DoesNotExist:
            return None
        return read_submission(row)

    def _watch_row(self, server: ServerId, number: int, due_at: float) -> WatchRow:
        row = self._watches(shard_of(server, number), due_sk(server, number, due_at))
        row.ttl = int(due_at) + 14 * 86_400  # a scheduler that sleeps for two weeks is news
        return row


class DynamoDueWork:
    """The DueWork port: watch rows, and the sparse index of deferred deliveries."""

    def __init__(self, tables: MailTables, watches: type[WatchRow], shards: int) -> None:
        self._tables = tables
        self._watches = watches
        self._shards = [str(shard) for shard in range(shards)]

    def watched(self, now: float, limit: int) -> Sequence[tuple[ServerId, int, float]]:
        """See DueWork.watched."""
        found = []
        for shard in self._shards:
            rows = self._watches.query(
                shard, self._watches.sk < due_sk(ServerId("~"), 0, now), limit=limit
            )
            for row in rows:
                due_ms, server, number = row.sk.split("#")
                found.append((ServerId(server), int(number), int(due_ms) / _MS))
        # Each shard gave its earliest; together they may be more than were asked for.
        return sorted(found, key=lambda watch: watch[2])[:limit]

    def rewatch(self, server: ServerId, number: int, was: float, due_at: float) -> None:
        """See DueWork.rewatch. The new row is written before the old one goes."""
        row = self._watches(shard_of(server, number), due_sk(server, number, due_at))
        row.ttl = int(due_at) + 14 * 86_400
        row.save()
        if row.sk != due_sk(server, number, was):
            self.unwatch(server, number, was)

    def unwatch(self, server: ServerId, number: int, was: float) -> None:
        """See DueWork.unwatch."""
        self._watches(shard_of(server, number), due_sk(server, number, was)).delete()

    def due(self, now: float, limit: int) -> Sequence[DeliveryKey]:
        """See DueWork.due."""
        found: list[DeliveryRow] = []
        for shard in self._shards:
            found += self._tables.delivery.query(
                shard,
                self._tables.delivery.due_at <= milliseconds(now),
                index_name="due",
                limit=limit,
            )
        found.sort(key=lambda row: row.due_at)
        return [read_delivery_key(row.pk, row.sk) for row in found[:limit]]

    def between(self, shard: str, since: float, until: float, limit: int) -> Sequence[DeliveryKey]:
        """Return up to `limit` deliveries of a shard, such as one of parked mail, by their time."""
        rows = self._tables.delivery.query(
            shard,
            self._tables.delivery.due_at.between(milliseconds(since), milliseconds(until)),
            index_name="due",
            limit=limit,
        )
        return [read_delivery_key(row.pk, row.sk) for row in rows]

    def postpone(self, delivery: Delivery, due_at: float) -> bool:
        """See DueWork.postpone."""
        row = self._tables.delivery
        return self._update(
            delivery,
            [row.due_at.set(milliseconds(due_at)), row.due_shard.set(due_shard(delivery.key))],
            row.state == str(delivery.state),
        )

    def settle(self, before: Delivery, after: Delivery, event: Event) -> bool:
        """See DueWork.settle."""
        row = self._tables.delivery
        actions = [
            row.state.set(str(after.state)),
            row.att.set(after.attempts),
            row.unc.set(after.uncertain),
            row.gen.set(after.generation),
            row.event.set(json.dumps(dump_event(event), separators=(",", ":"))),
            row.claim.remove(),
            row.until.remove(),
        ]
        if after.manual != before.manual:
            actions.append(row.manual.set(after.manual))
        actions += _remembered(row, before, after)
        if after.expires_at != before.expires_at:
            # The row knows how long it is kept after its expiry; only that has moved.
            later = int(after.expires_at) - int(before.expires_at)
            actions += [row.exp.set(milliseconds(after.expires_at)), row.ttl.set(row.ttl + later)]
        if after.due_at is None:
            actions += [row.due_at.remove(), row.due_shard.remove()]
        elif after.due_at != before.due_at:  # parked mail that is only called late stays parked
            actions += [
                row.due_at.set(milliseconds(after.due_at)),
                row.due_shard.set(due_shard(after.key)),
            ]
        same_claim = row.claim == before.claim if before.claim else row.claim.does_not_exist()
        return self._update(before, actions, (row.state == str(before.state)) & same_claim)

    def discard(self, key: DeliveryKey) -> None:
        """See DueWork.discard."""
        row = self._tables.delivery(mail_pk(key.server, key.number), delivery_sk(key.index))
        try:
            row.delete(condition=self._tables.delivery.state.is_in(*map(str, UNCOMMITTED)))
        except DeleteError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise

    def _update(self, delivery: Delivery, actions: list[Any], condition: Any) -> bool:
        row = self._tables.delivery(
            mail_pk(delivery.key.server, delivery.key.number), delivery_sk(delivery.key.index)
        )
        same = (self._tables.delivery.gen == delivery.generation) & condition
        try:
            row.update(actions=actions, condition=same)
        except UpdateError as error:
            if error.cause_response_code == "ConditionalCheckFailedException":
                return False
            raise
        return True


def _remembered(row: type[DeliveryRow], before: Delivery, after: Delivery) -> list[Any]:
    """Write what a waiting delivery remembers, where that has changed."""
    actions: list[Any] = []
    if after.sticky != before.sticky:
        actions.append(row.stick.set(after.sticky) if after.sticky else row.stick.remove())
    if after.stalls != before.stalls:
        actions.append(row.stall.set(after.stalls) if after.stalls else row.stall.remove())
    if after.late != before.late:
        actions.append(row.late.set(True) if after.late else row.late.remove())
    return actions
