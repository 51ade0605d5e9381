"""Who gets no mail any more, asked for many claims in one call.

The rows are those of `mailroom.adapters.dynamo_suppressions`; a contract test holds both
spellings together.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from egress.aws.batching import Batcher
from mailroom.domain.address import MalformedAddressError
from mailroom.domain.message import Server
from mailroom.domain.suppression import (
    Reason,
    Suppression,
    recipient_hmac,
    scopes_of,
    strongest,
)

_ASKS = 33  # of at most three keys each: BatchGetItem takes a hundred
_TRIES = 5
_PAUSE = 0.02  # seconds, doubled with each try
_MS = 1000

Place = tuple[str, str]  # scope and hash
Item = Mapping[str, Any]


class SuppressionsUnreadableError(Exception):
    """The table did not answer for some keys."""


class HostSuppressions:
    """The sender's view of the suppressions table."""

    def __init__(self, dynamodb: Any, table: str, now: Callable[[], float]) -> None:
        """Take an aiobotocore DynamoDB client and the clock in Unix seconds."""
        self._dynamodb = dynamodb
        self._table = table
        self._now = now
        self._reads: Batcher[Sequence[Place], Sequence[Item]] = Batcher(self._read, size=_ASKS)

    async def of(
        self, server: Server, stream: str, recipient: str, secret: bytes
    ) -> Suppression | None:
        """Return what suppresses a recipient, or None; without a `secret` nobody is suppressed."""
        if not secret:
            return None
        try:
            hashed = recipient_hmac(secret, recipient)
        except MalformedAddressError:
            return None
        scopes = scopes_of(server.organisation, server.id, stream)
        found = [
            _suppression(item) for item in await self._reads.ask([(s, hashed) for s in scopes])
        ]
        now = self._now()
        return strongest(each for each in found if each.counts(now))

    async def drain(self) -> None:
        """Wait for the calls under way."""
        await self._reads.drain()

    async def _read(self, asks: Sequence[Sequence[Place]]) -> Sequence[Sequence[Item]]:
        """Read the rows of each ask. A call must not name one twice, its callers may."""
        found: dict[Place, Item] = {}
        places = dict.fromkeys(place for ask in asks for place in ask)
        keys = [{"pk": {"S": scope}, "sk": {"S": hashed}} for scope, hashed in places]
        for tries in range(_TRIES):
            if tries:
                await asyncio.sleep(_PAUSE * 2**tries)
            answer = await self._dynamodb.batch_get_item(RequestItems={self._table: {"Keys": keys}})
            for item in answer["Responses"].get(self._table, []):
                found[item["pk"]["S"], item["sk"]["S"]] = item
            keys = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            if not keys:
                return [[found[place] for place in ask if place in found] for ask in asks]
        raise SuppressionsUnreadableError(f"{len(keys)} suppressions were not read")


def _suppression(item: Item) -> Suppression:
    return Suppression(
        scope=item["pk"]["S"],
        reason=Reason(item["reason"]["S"]),
        address=item["addr"]["S"] if "addr" in item else None,
        created_at=int(item["at"]["N"]) / _MS,
        detail=item["why"]["S"] if "why" in item else "",
        expires_at=int(item["exp"]["N"]) / _MS if "exp" in item else None,
        source=item["src"]["S"] if "src" in item else "",
    )
