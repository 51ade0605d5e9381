"""The queue and the bucket: what functions put there, the host reads, and the other way round."""

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from egress.aws.bodies import HostBodies
from egress.aws.lane import SenderLane
from mailroom.adapters.s3_bodies import S3Bodies
from mailroom.adapters.sqs_lane import SqsLane, load_wake_up
from mailroom.domain.message import BodyRef, DeliveryKey, ServerId, WakeUp
from mailroom.errors import BodyGoneError
from tests.contract.conftest import Cloud
from tests.support.host_clients import clients

emulated = pytest.mark.emulator
SERVER = ServerId("abcdefghij")


@pytest.fixture
async def lanes(cloud: Cloud) -> AsyncIterator[tuple[SenderLane, SqsLane]]:
    url = cloud.settings.resource("queue", "lane")
    async with clients("sqs") as (sqs,):
        lane = SenderLane(sqs, url)
        yield lane, SqsLane(cloud.client("sqs"), url)
        await lane.drain()


WAKE_UPS = [WakeUp(DeliveryKey(SERVER, 5, n), n, f"grüße+{n}@x.test") for n in range(23)]


async def received(lane: SenderLane, count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        found += await lane.receive(10)
    return found


@emulated
async def test_the_host_receives_what_a_function_sent(lanes: tuple[SenderLane, SqsLane]) -> None:
    host, function = lanes
    function.send(WAKE_UPS)
    found = await received(host, len(WAKE_UPS))
    assert Counter(entry.wake_up for entry in found) == Counter(WAKE_UPS)
    assert all(await asyncio.gather(*(host.acknowledge(entry.receipt) for entry in found)))


@emulated
async def test_a_request_for_few_gets_no_more(lanes: tuple[SenderLane, SqsLane]) -> None:
    host, function = lanes
    function.send(WAKE_UPS)
    assert len(await host.receive(3)) <= 3


@emulated
async def test_the_host_writes_wake_ups_as_functions_do(
    cloud: Cloud, lanes: tuple[SenderLane, SqsLane]
) -> None:
    host, _ = lanes
    assert all(await asyncio.gather(*(host.wake(w, -5.0) for w in WAKE_UPS[:3])))
    url = cloud.settings.resource("queue", "lane")
    answer = cloud.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    assert {load_wake_up(m["Body"]) for m in answer["Messages"]} <= set(WAKE_UPS[:3])


@emulated
async def test_a_wait_longer_than_the_queue_can_is_left_to_the_due_index(
    cloud: Cloud, lanes: tuple[SenderLane, SqsLane]
) -> None:
    host, _ = lanes
    assert not await host.wake(WAKE_UPS[0], 900.5)
    assert await host.wake(WAKE_UPS[1], 900.0)
    assert await host.wake(WAKE_UPS[2], 0.2)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    counts = cloud.client("sqs").get_queue_attributes(
        QueueUrl=cloud.settings.resource("queue", "lane"), AttributeNames=names
    )["Attributes"]
    assert sum(int(counts[name]) for name in names) == 2


class RecordingSqs:
    """Takes everything and remembers how long it was to wait."""

    def __init__(self) -> None:
        self.delays: list[int] = []

    async def send_message_batch(self, **call: Any) -> dict[str, Any]:
        self.delays += [entry["DelaySeconds"] for entry in call["Entries"]]
        return {}


async def test_a_wake_up_is_never_early() -> None:
    sqs = RecordingSqs()
    host = SenderLane(sqs, "queue")
    for delay in (-5.0, 0.0, 0.2, 1.0, 1.001, 899.5, 900.0):
        await host.wake(WAKE_UPS[0], delay)
    assert sqs.delays == [0, 0, 1, 1, 2, 900, 900]


@emulated
async def test_an_entry_given_back_comes_again_at_once(lanes: tuple[SenderLane, SqsLane]) -> None:
    host, function = lanes
    function.send(WAKE_UPS[:1])
    (first,) = await received(host, 1)
    assert await host.give_back(first.receipt)
    (second,) = await received(host, 1)
    assert second.wake_up == first.wake_up


@emulated
@pytest.mark.parametrize(
    "body",
    ["", "text", "[]", "{}", '{"v":1,"s":"a","n":1e999,"i":0,"g":0,"to":"x"}', "[" * 50_000],
)
async def test_what_nobody_can_read_is_told_apart_and_can_be_deleted(
    cloud: Cloud, lanes: tuple[SenderLane, SqsLane], body: str
) -> None:
    host, _ = lanes
    url = cloud.settings.resource("queue", "lane")
    cloud.client("sqs").send_message(QueueUrl=url, MessageBody=body or " ")
    (entry,) = await received(host, 1)
    assert entry.wake_up is None
    assert await host.acknowledge(entry.receipt)


@emulated
async def test_bodies_stored_by_a_function_are_read_by_the_host_once(cloud: Cloud) -> None:
    bucket = cloud.settings.resource("bucket", "bodies")
    raw = b"From: x\r\n\r\n\x00\xff" * 1000
    S3Bodies(cloud.client("s3"), bucket).put("30/ab/x", raw)
    async with clients("s3") as (s3,):
        bodies = HostBodies(s3, bucket)
        ref = BodyRef(key="30/ab/x")
        assert await asyncio.gather(*(bodies.get(ref) for _ in range(5))) == [raw] * 5
        cloud.client("s3").delete_object(Bucket=bucket, Key="30/ab/x")
        assert await bodies.get(ref) == raw  # kept


@emulated
async def test_bodies_kept_are_bounded_and_gone_ones_are_named(cloud: Cloud) -> None:
    bucket = cloud.settings.resource("bucket", "bodies")
    store = S3Bodies(cloud.client("s3"), bucket)
    for name in "abc":
        store.put(name, name.encode() * 100)
    async with clients("s3") as (s3,):
        bodies = HostBodies(s3, bucket, keep_octets=250)
        for name in "abc":
            await asyncio.gather(*(bodies.get(BodyRef(key=name)) for _ in range(3)))
        for name in "abc":
            cloud.client("s3").delete_object(Bucket=bucket, Key=name)
        assert await bodies.get(BodyRef(key="b")) == b"b" * 100
        assert await bodies.get(BodyRef(key="c")) == b"c" * 100
        with pytest.raises(BodyGoneError):
            await bodies.get(BodyRef(key="a"))


async def test_an_inline_body_needs_no_bucket() -> None:
    assert await HostBodies(None, "nowhere").get(BodyRef(inline=zlib.compress(b"x"))) == b"x"
