"""Mail that waits in the table without being claimed, and how it comes back.

Parked mail has a shard of its own in the due index, named after its pool and its hosts: whoever
has an open path reads it from there, oldest first. Mail that waits for a time has the shard that
the scheduler reads. Either way its generation moves on, so that queue entries for it are stale.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from egress.aws.batching import Batcher
from egress.aws.deliveries import Item, LedgerError, Statement, applied, place, read_delivery
from mailroom.adapters.names import shard_of
from mailroom.domain.event import Event, dump_event
from mailroom.domain.lifecycle import CLAIMABLE, State
from mailroom.domain.message import Delivery, DeliveryKey

_STATEMENTS = 25  # BatchExecuteStatement's own limit
_READS = 100  # BatchGetItem's own limit
_MS = 1000


def park_shard(pool: str, site: str, group: str) -> str:
    """Return the name of a partition of parked mail in the due index."""
    digest = hashlib.sha256(f"{site}\n{group}".encode()).hexdigest()[:20]
    return f"park#{pool}#{digest}"


class ParkedMail:
    """Writes waiting mail down and reads it back, by way of an aiobotocore client."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        states = ", ".join("?" * len(CLAIMABLE))
        self._statement = (
            f'UPDATE "{table}" SET gen=? SET due_at=? SET due_shard=? '  # noqa: S608 - ours
            f'WHERE pk=? AND sk=? AND gen=? AND "state" IN ({states})'
        )
        self._told = self._statement.replace(
            " SET gen=?", ' SET gen=? SET "state"=? SET event=?', 1
        )
        self._writes: Batcher[Statement, Mapping[str, Any]] = Batcher(
            self._execute, size=_STATEMENTS
        )

    async def park(
        self,
        key: DeliveryKey,
        generation: int,
        shard: str,
        at: float,
        event: Event | None = None,
    ) -> bool:
        """Put a delivery into a partition, in the order of `at` (Unix seconds).

        With an `event` it is deferred and its history says so. False if it is not waiting any
        more, or another look at it is under way.
        """
        return await self._move(key, generation, shard, at, event)

    async def put_off(self, key: DeliveryKey, generation: int, until: float) -> bool:
        """Have the scheduler bring a delivery at `until` (Unix seconds); False as with `park`."""
        return await self._move(key, generation, shard_of(key.server, key.number), until)

    async def waiting(self, shard: str, most: int) -> Sequence[Delivery]:
        """Return up to `most` claimable deliveries of a partition, those parked first at first."""
        answer = await self._dynamodb.query(
            TableName=self._table,
            IndexName="due",
            KeyConditionExpression="due_shard = :shard",
            ExpressionAttributeValues={":shard": {"S": shard}},
            Limit=max(1, min(_READS, most)),
        )
        keys = [{"pk": item["pk"], "sk": item["sk"]} for item in answer.get("Items", [])]
        if not keys:
            return ()
        found = await self._read(keys)
        # The index lags behind the table: what has been sent or moved on since is not ours.
        return [
            delivery
            for delivery in (read_delivery(found[place]) for place in _places(keys, found))
            if delivery.state in CLAIMABLE
        ]

    async def drain(self) -> None:
        """Wait for the writes under way."""
        await self._writes.drain()

    async def _move(
        self, key: DeliveryKey, generation: int, shard: str, at: float, event: Event | None = None
    ) -> bool:
        told: list[dict[str, str]] = []
        if event is not None:
            text = json.dumps(dump_event(event), separators=(",", ":"))
            told = [{"S": str(State.DEFERRED)}, {"S": text}]
        statement = {
            "Statement": self._told if told else self._statement,
            "Parameters": [
                {"N": str(generation + 1)},
                *told,
                {"N": str(round(at * _MS))},
                {"S": shard},
                *place(key),
                {"N": str(generation)},
                *({"S": str(state)} for state in sorted(CLAIMABLE)),
            ],
        }
        return applied(await self._writes.ask(statement))

    async def _read(self, keys: Sequence[Item]) -> dict[tuple[str, str], Item]:
        found: dict[tuple[str, str], Item] = {}
        left: Any = {self._table: {"Keys": list(keys), "ConsistentRead": True}}
        for tries in range(5):
            if tries:
                await asyncio.sleep(0.02 * 2**tries)
            answer = await self._dynamodb.batch_get_item(RequestItems=left)
            for item in answer["Responses"].get(self._table, []):
                found[item["pk"]["S"], item["sk"]["S"]] = item
            left = answer.get("UnprocessedKeys", {})
            if not left:
                return found
        raise LedgerError("parked deliveries were not read")

    async def _execute(self, statements: Sequence[Statement]) -> Sequence[Mapping[str, Any]]:
        answer = await self._dynamodb.batch_execute_statement(Statements=list(statements))
        responses: Sequence[Mapping[str, Any]] = answer["Responses"]
        return responses


def _places(
    keys: Sequence[Item], found: Mapping[tuple[str, str], Item]
) -> Sequence[tuple[str, str]]:
    places = [(key["pk"]["S"], key["sk"]["S"]) for key in keys]
    return [each for each in places if each in found]
