"""Suppressions for a process that takes in many messages at once: its threads share their reads."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mailroom.adapters.dynamo_suppressions import DynamoSuppressions, Place, SuppressionRow
from mailroom.adapters.gathering import Gathering
from mailroom.ports import Clock
from mailroom.settings import Settings

_SCOPES = 3  # of one message to one recipient
_ASKS = 33  # of so many keys each: BatchGetItem takes a hundred
_TRIES = 5
_PAUSE = 0.02  # seconds, doubled with each try

Item = Mapping[str, Any]


class SuppressionsUnreadableError(Exception):
    """The table did not answer for some keys."""


class GatheredSuppressions(DynamoSuppressions):
    """The Suppressions port; messages to one recipient, which most are, are looked up together."""

    def __init__(
        self, settings: Settings, clock: Clock, secret: Callable[[], bytes], dynamodb: Any
    ) -> None:
        """See DynamoSuppressions; `dynamodb` is a boto3 client."""
        super().__init__(settings, clock, secret, dynamodb)
        self._reads: Gathering[Sequence[Place], Sequence[Item]] = Gathering(
            self._read_all, size=_ASKS
        )

    def _read_many(self, keys: Sequence[Place]) -> Mapping[Place, SuppressionRow]:
        """See DynamoSuppressions. Many recipients fill calls of their own."""
        if not 0 < len(keys) <= _SCOPES:
            return super()._read_many(keys)
        rows = [self._rows.from_raw_data(dict(item)) for item in self._reads.ask(keys)]
        return {(row.pk, row.sk): row for row in rows}

    def _read_all(self, asks: Sequence[Sequence[Place]]) -> Sequence[Sequence[Item]]:
        """Read the rows of each ask. A call must not name one twice, its callers may."""
        places = dict.fromkeys(place for ask in asks for place in ask)
        keys = [{"pk": {"S": scope}, "sk": {"S": hashed}} for scope, hashed in places]
        found: dict[Place, Item] = {}
        for tries in range(_TRIES):
            if tries:
                time.sleep(_PAUSE * 2**tries)
            answer = self._dynamodb.batch_get_item(RequestItems={self._table: {"Keys": keys}})
            for item in answer["Responses"].get(self._table, []):
                found[item["pk"]["S"], item["sk"]["S"]] = item
            keys = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            if not keys:
                return [[found[place] for place in ask if place in found] for ask in asks]
        raise SuppressionsUnreadableError(f"{len(keys)} suppressions were not read")
