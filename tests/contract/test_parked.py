"""Mail that waits unclaimed: what a host parks comes back to whoever has a path for it."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from egress.aws.parked import ParkedMail, park_shard
from mailroom.domain.lifecycle import State
from tests.contract.conftest import Cloud
from tests.contract.test_deliveries import NOW, OK, Both, ask, both, verdict  # noqa: F401
from tests.support.host_clients import clients

pytestmark = pytest.mark.emulator

SHARD = park_shard("pool_a", "gmail", "mx1:25")


@pytest.fixture
async def parked(cloud: Cloud) -> AsyncIterator[ParkedMail]:
    async with clients("dynamodb") as (dynamodb,):
        mail = ParkedMail(dynamodb, cloud.settings.resource("table", "mail"))
        yield mail
        await mail.drain()


async def test_parked_mail_comes_back_in_the_order_it_came(
    both: Both,  # noqa: F811
    parked: ParkedMail,
) -> None:
    rows = both.add(901, count=5)
    for at, row in zip((4.0, 2.0, 3.0, 1.0), rows, strict=False):
        assert await parked.park(row.key, 0, SHARD, NOW + at)
    found = await parked.waiting(SHARD, 3)
    assert [each.key.index for each in found] == [3, 1, 2]
    assert {each.generation for each in found} == {1}
    assert {each.state for each in found} == {State.QUEUED}
    assert found[0].recipient == rows[3].recipient
    other = park_shard("pool_a", "gmail", "mx2:25")
    assert other != SHARD
    assert await parked.waiting(other, 3) == ()


async def test_a_claim_makes_parked_mail_nobody_elses_and_its_verdict_ends_the_wait(
    both: Both,  # noqa: F811
    parked: ParkedMail,
) -> None:
    shard = park_shard("pool_b", "yahoo", "mx")
    (row,) = both.add(902)
    assert await parked.park(row.key, 0, shard, NOW)
    assert await both.deliveries.claim(ask(row, "stale")) is None
    claimed = await both.claimed(replace(row, generation=1))
    assert await parked.waiting(shard, 10) == []
    settled = verdict(claimed, OK)
    assert await both.deliveries.settle("claim-1", settled.after, settled.event)
    assert await parked.waiting(shard, 10) == ()


async def test_what_is_claimed_or_has_moved_on_cannot_be_parked(
    both: Both,  # noqa: F811
    parked: ParkedMail,
) -> None:
    (row,) = both.add(903)
    assert not await parked.park(row.key, 7, SHARD, NOW)
    await both.claimed(row)
    assert not await parked.park(row.key, 0, SHARD, NOW)
    assert both.now(row).state is State.ATTEMPTING


async def test_mail_that_is_put_off_is_brought_by_the_due_index(
    both: Both,  # noqa: F811
    parked: ParkedMail,
) -> None:
    (row,) = both.add(904)
    assert await parked.park(row.key, 0, SHARD, NOW)
    assert row.key not in both.due()
    assert await parked.put_off(row.key, 1, NOW + 60)
    assert row.key in both.due()
    assert (both.now(row).generation, both.now(row).due_at) == (2, pytest.approx(NOW + 60))
