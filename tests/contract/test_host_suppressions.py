"""The sender's view of the suppressions table and the functions' mean the same rows."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from egress.aws.suppressions import HostSuppressions, SuppressionsUnreadableError
from mailroom.adapters.dynamo_suppressions import DynamoSuppressions
from mailroom.domain.message import Server, ServerId
from mailroom.domain.suppression import (
    Reason,
    Suppression,
    organisation_scope,
    server_scope,
    stream_scope,
)
from mailroom.fakes.memory import FixedClock
from tests.contract.conftest import Cloud
from tests.support.host_clients import clients

pytestmark = pytest.mark.emulator

NOW = 4_000_000_000.0  # to come: the emulator deletes rows whose ttl is over
SECRET = b"s" * 32
SERVER = Server(ServerId("abcdefghij"), "org1", "Demo", "demo", "tok123")


class Counting:
    """A client that counts its calls."""

    def __init__(self, dynamodb: Any) -> None:
        self.calls, self._dynamodb = 0, dynamodb

    async def batch_get_item(self, **call: Any) -> Any:
        self.calls += 1
        return await self._dynamodb.batch_get_item(**call)


@dataclass
class Both:
    """One table seen from both sides."""

    host: HostSuppressions
    table: DynamoSuppressions
    client: Counting

    def add(self, address: str, scope: str, **more: Any) -> None:
        whole = Suppression(scope, Reason.HARD_BOUNCE, address, created_at=NOW)
        self.table.add(scope, replace(whole, **more))

    async def of(self, *recipients: str, stream: str = "news") -> Sequence[Suppression | None]:
        asked = (self.host.of(SERVER, stream, each, SECRET) for each in recipients)
        return await asyncio.gather(*asked)


@pytest.fixture
async def both(cloud: Cloud) -> AsyncIterator[Both]:
    table = DynamoSuppressions(cloud.settings, FixedClock(NOW), lambda: SECRET)
    async with clients("dynamodb") as (dynamodb,):
        client = Counting(dynamodb)
        name = cloud.settings.resource("table", "suppressions")
        host = HostSuppressions(client, name, lambda: NOW)
        yield Both(host, table, client)
        await host.drain()


async def test_both_sides_name_the_same_suppression(both: Both) -> None:
    both.add("ann@x.test", server_scope(SERVER.id), detail="550 5.1.1", source="rule")
    both.add("ann@x.test", stream_scope(SERVER.id, "news"), reason=Reason.UNSUBSCRIBE)
    both.add("bob@x.test", organisation_scope("org1"), expires_at=NOW + 9)
    both.add("eve@x.test", organisation_scope("org2"))
    both.add("old@x.test", server_scope(SERVER.id), expires_at=NOW)
    people = ["Ann@X.test", "bob@x.test", "eve@x.test", "old@x.test", "not an address"]
    known = both.table.among("org1", SERVER.id, "news", people)
    assert await both.of(*people) == [known.get(each) for each in people]
    assert known["Ann@X.test"].reason is Reason.UNSUBSCRIBE
    (other,) = await both.of("ann@x.test", stream="receipts")
    assert other is not None
    assert other.reason is Reason.HARD_BOUNCE


async def test_claims_at_once_share_calls(both: Both) -> None:
    both.add("r7@x.test", server_scope(SERVER.id))
    people = [f"r{number}@x.test" for number in range(30)]
    found = await both.of(*people, *people)
    assert [number for number, each in enumerate(found) if each] == [7, 37]
    assert both.client.calls <= 2


async def test_a_platform_that_has_suppressed_nobody_asks_nothing(both: Both) -> None:
    assert await both.host.of(SERVER, "news", "ann@x.test", b"") is None
    assert both.client.calls == 0


class Throttled:
    """A table that answers no key before call number `until`."""

    def __init__(self, until: int) -> None:
        self.calls, self._until = 0, until

    async def batch_get_item(self, **request: Any) -> dict[str, Any]:
        self.calls += 1
        if self.calls < self._until:
            return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}
        return {"Responses": {}, "UnprocessedKeys": {}}


async def test_what_a_busy_table_left_out_is_asked_for_again(both: Both) -> None:
    assert both
    busy = HostSuppressions(Throttled(3), "t", lambda: NOW)
    assert await busy.of(SERVER, "news", "ann@x.test", SECRET) is None
    with pytest.raises(SuppressionsUnreadableError):
        await HostSuppressions(Throttled(99), "t", lambda: NOW).of(
            SERVER, "news", "ann@x.test", SECRET
        )
