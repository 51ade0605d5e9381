"""The Search port on the mail table: one index query, then the rows of what it named.

The indexes hold keys alone (`infra/resources.json`). They are read with boto3 and not with
pynamodb's models because a page is read in batches of two row shapes, and what it cost is asked.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from mailroom.adapters.mail_rows import read_delivery, read_submission
from mailroom.adapters.names import SUBMISSION, delivery_sk, mail_pk, read_delivery_key
from mailroom.adapters.tables import MailTables
from mailroom.domain.event import Event, load_event
from mailroom.domain.message import MAX_RECIPIENTS, NUMBER_BITS, DeliveryKey, Submission
from mailroom.domain.search_keys import (
    day_key,
    days_back,
    message_key,
    recipient_key,
    tag_key,
)
from mailroom.domain.stored_message import Place, StoredMessage
from mailroom.ports.search import MAX_SLICE, By, Slice, Span, Where

MAX_DAYS = 31  # partitions that one call looks into
_BATCH = 100  # BatchGetItem's own limit of keys
_TRIES = 8  # of a batch whose keys were not all processed
_UNIT_OCTETS = 4096
_FIRST_MS = 0
_UNREAD = frozenset({"inline"})  # attributes that a search has no use for

Item = Mapping[str, Any]

# Index name and its partition key, as `infra/resources.json` has them.
_INDEXES: Mapping[By, tuple[str, str]] = {
    By.TIME: ("day", "day_key"),
    By.RECIPIENT: ("recipient", "rcpt_key"),
    By.MESSAGE_ID: ("message", "mid_key"),
    By.TAG: ("tag", "tag_key"),
}


class UnansweredError(Exception):
    """The table kept some keys of a batch unprocessed for longer than we ask."""


@dataclass(slots=True)
class _Look:
    """One call of `newest`: what it has found so far and what that cost."""

    where: Where
    limit: int
    keys: list[DeliveryKey] = field(default_factory=list)
    submissions: dict[int, Submission] = field(default_factory=dict)
    place: Place | None = None
    looked: int = 0
    units: float = 0.0

    @property
    def room(self) -> int:
        return self.limit - len(self.keys)


class DynamoSearch:
    """See Search. `units` of a slice are the larger of what the table said and the price list."""

    def __init__(self, tables: MailTables, dynamodb: Any) -> None:
        """Take a boto3 DynamoDB client beside the rows."""
        self._tables = tables
        self._dynamodb = dynamodb
        self._table = tables.submission.Meta.table_name
        names = {
            attribute.attr_name
            for row in (tables.submission, tables.delivery)
            for attribute in row.get_attributes().values()
        }
        self._names = {f"#{at}": name for at, name in enumerate(sorted(names - _UNREAD))}

    def newest(
        self, where: Where, span: Span, *, after: Place | None = None, limit: int = MAX_SLICE
    ) -> Slice:
        """See Search.newest."""
        look = _Look(where, min(max(limit, 1), MAX_SLICE))
        until_ms = math.ceil(span.until * 1000) - 1
        since_ms = max(_FIRST_MS, math.ceil(span.since * 1000))
        if after is not None and after.at_ms <= until_ms:
            until_ms = after.at_ms
            self._finish_submission(look, after)
        else:
            after = None
        if look.room:
            self._read_partitions(look, (since_ms, until_ms), after)
        messages = self._messages(look)
        return Slice(messages, look.place, look.looked, look.units)

    def _finish_submission(self, look: _Look, after: Place) -> None:
        """Take the deliveries that a page before left of its last submission."""
        if look.where.by is By.RECIPIENT or not after.index:
            return
        submission = self._submissions(look, [after.number]).get(after.number)
        if submission is not None and round(submission.accepted_at * 1000) == after.at_ms:
            self._take(look, submission, min(after.index, submission.recipients))

    def _read_partitions(self, look: _Look, span_ms: tuple[int, int], after: Place | None) -> None:
        since_ms, until_ms = span_ms
        partitions = _partitions(look.where, since_ms / 1000, until_ms / 1000)
        start = after
        for key, first_ms in islice(partitions, MAX_DAYS):
            within = (max(since_ms, first_ms), until_ms)
            if within[0] > within[1]:
                break
            more = self._read_partition(look, key, within, start)
            if more or not look.room:
                return
            start = None
            until_ms = first_ms - 1
            look.place = Place(until_ms, (1 << NUMBER_BITS) - 1, MAX_RECIPIENTS - 1)
        if next(partitions, None) is None:
            look.place = None

    def _read_partition(
        self, look: _Look, key: str, span_ms: tuple[int, int], after: Place | None
    ) -> bool:
        """Read one index partition until `look` is full; say whether there may be more of it."""
        items, more = self._query(look, key, span_ms, after)
        if look.where.by is By.RECIPIENT:
            for item in items:
                name = read_delivery_key(item["pk"]["S"], item["sk"]["S"])
                look.keys.append(name)
                look.place = Place(int(item["at"]["N"]), name.number, name.index)
            return more
        numbers = [int(item["pk"]["S"].split("#")[1]) for item in items]
        found = self._submissions(look, numbers)
        for number, item in zip(numbers, items, strict=True):
            if not look.room:
                return True
            look.place = Place(int(item["at"]["N"]), number, 0)
            if number in found:
                self._take(look, found[number], found[number].recipients)
            else:
                look.looked += 1
        return more

    def _take(self, look: _Look, submission: Submission, below: int) -> None:
        """Name the deliveries with an index under `below`, as many as there is room for."""
        end = max(0, below - look.room)
        look.keys += [submission.key(index) for index in range(below - 1, end - 1, -1)]
        look.place = Place(round(submission.accepted_at * 1000), submission.number, end)

    def _query(
        self, look: _Look, key: str, span_ms: tuple[int, int], after: Place | None
    ) -> tuple[Sequence[Item], bool]:
        index, attribute = _INDEXES[look.where.by]
        asked: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": index,
            "KeyConditionExpression": "#key = :key AND #at BETWEEN :since AND :until",
            "ExpressionAttributeNames": {"#key": attribute, "#at": "at"},
            "ExpressionAttributeValues": {
                ":key": {"S": key},
                ":since": {"N": str(span_ms[0])},
                ":until": {"N": str(span_ms[1])},
            },
            "ScanIndexForward": False,
            "Limit": look.room,
            "ReturnConsumedCapacity": "TOTAL",
        }
        if after is not None and after.at_ms >= span_ms[0]:
            by_recipient = look.where.by is By.RECIPIENT
            asked["ExclusiveStartKey"] = {
                "pk": {"S": mail_pk(look.where.server, after.number)},
                "sk": {"S": delivery_sk(after.index) if by_recipient else SUBMISSION},
                attribute: {"S": key},
                "at": {"N": str(after.at_ms)},
            }
        answer = self._dynamodb.query(**asked)
        items: Sequence[Item] = answer["Items"]
        look.units += max(
            float(answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)),
            _units(sum(map(_octets, items))),
        )
        return items, "LastEvaluatedKey" in answer

    def _submissions(self, look: _Look, numbers: Iterable[int]) -> Mapping[int, Submission]:
        wanted = [
            (mail_pk(look.where.server, number), SUBMISSION)
            for number in dict.fromkeys(numbers)
            if number not in look.submissions
        ]
        for item in self._get(look, wanted):
            submission = read_submission(self._tables.submission.from_raw_data(dict(item)))
            look.submissions[submission.number] = submission
        return look.submissions

    def _messages(self, look: _Look) -> Sequence[StoredMessage]:
        self._submissions(look, [key.number for key in look.keys])
        names = [(mail_pk(key.server, key.number), delivery_sk(key.index)) for key in look.keys]
        found: dict[DeliveryKey, StoredMessage] = {}
        for item in self._get(look, names):
            row = self._tables.delivery.from_raw_data(dict(item))
            delivery = read_delivery(row)
            submission = look.submissions.get(delivery.key.number)
            if submission is not None:
                found[delivery.key] = StoredMessage(submission, delivery, _last(row.event))
        look.looked += len(look.keys)
        return tuple(found[key] for key in look.keys if key in found)

    def _get(self, look: _Look, names: Sequence[tuple[str, str]]) -> Iterator[Item]:
        for start in range(0, len(names), _BATCH):
            keys = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in names[start : start + _BATCH]]
            yield from self._get_batch(look, keys)

    def _get_batch(self, look: _Look, keys: Sequence[Item]) -> Iterator[Item]:
        for _ in range(_TRIES):
            answer = self._dynamodb.batch_get_item(
                RequestItems={
                    self._table: {
                        "Keys": keys,
                        "ProjectionExpression": ", ".join(self._names),
                        "ExpressionAttributeNames": self._names,
                    }
                },
                ReturnConsumedCapacity="TOTAL",
            )
            items: Sequence[Item] = answer["Responses"].get(self._table, [])
            told = sum(each["CapacityUnits"] for each in answer.get("ConsumedCapacity", []))
            look.units += max(float(told), sum(_units(_octets(item)) for item in items))
            yield from items
            keys = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            if not keys:
                return
        raise UnansweredError(f"{len(keys)} keys of a batch were not read")


def _partitions(where: Where, since: float, until: float) -> Iterator[tuple[str, int]]:
    """Yield the index partitions of a range, newest first, each with its first millisecond."""
    server, value = where.server, where.value
    match where.by:
        case By.RECIPIENT:
            yield recipient_key(server, value), _FIRST_MS
        case By.MESSAGE_ID:
            yield message_key(server, value), _FIRST_MS
        case By.TAG:
            for day in days_back(since, until):
                yield tag_key(server, value, day), round(day * 1000)
        case By.TIME:
            for day in days_back(since, until):
                yield day_key(server, day), round(day * 1000)


def _last(event: str | None) -> Event | None:
    return load_event(json.loads(event)) if event else None


def _octets(item: Item) -> int:
    """Return about how large an item is, as DynamoDB counts: names and values."""
    return sum(
        len(name) + sum(len(str(each)) for each in value.values()) for name, value in item.items()
    )


def _units(octets: int) -> float:
    """Return the read units of an eventually consistent read."""
    return max(1, math.ceil(octets / _UNIT_OCTETS)) / 2
