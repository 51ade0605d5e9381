"""The trace of an attempt: it continues the request's, shows each step, and a retry is its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from egress.aws.lane import Received
from egress.sender.attempt import attempt, claim
from egress.sender.following import follow, followed_desk, followed_send
from mailroom.adapters.sqs_lane import dump_wake_up, load_wake_up
from mailroom.adapters.xray import Tracing
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.fakes.memory import FixedChance, FixedClock
from tests.support.customer import wait_for
from tests.support.desk import Life, World, all_final, until
from tests.support.sender_stand import Stand
from tests.support.xray_daemon import XrayDaemon, running_daemon, steps


@pytest.fixture
def daemon() -> Iterator[XrayDaemon]:
    with running_daemon() as daemon:
        yield daemon


def tracing(daemon: XrayDaemon, rate: float = 1.0) -> Tracing:
    return Tracing(rate, FixedClock(), FixedChance(), daemon=daemon.address)


async def one_attempt(world: World, spans: Tracing, trace: str) -> None:
    life = Life(world)
    life.desk = followed_desk(life.desk, spans)
    entry = Received("receipt", load_wake_up(dump_wake_up(replace(world.wake_up(), trace=trace))))
    assert entry.wake_up is not None
    with follow(spans)(entry.wake_up):
        delivery = await claim(entry.wake_up, life.desk)
        assert delivery is not None
        await attempt(delivery, life.desk, followed_send(spans)(life.send))
    await life.end()
    world.lives += 1


async def test_from_the_request_to_the_reply_is_one_trace(
    tmp_path: Path, daemon: XrayDaemon
) -> None:
    world, spans = World(tmp_path), tracing(daemon)
    world.add()
    with spans.segment("mailroom-api"):
        trace = spans.header()
    await one_attempt(world, spans, trace)
    wait_for(lambda: len(daemon.documents) == 2, within=5, every=0.01, what="two segments")
    request, sender = daemon.documents
    assert sender["trace_id"] == request["trace_id"]
    assert sender["parent_id"] == request["id"]
    assert sender["annotations"]["delivery"] == str(world.row().key)
    assert steps(sender) == ["book.claim", "copier.copy", "smtp"] or steps(sender) == [
        "book.claim",
        "copier.copy",
        "smtp",
        "book.settle",
    ]
    smtp = next(step for step in sender["subsegments"] if step["name"] == "smtp")
    assert smtp["annotations"]["code"] == 250
    assert smtp["annotations"]["mx"] == "mx.test"


async def test_a_retry_has_a_trace_of_its_own_with_the_same_delivery(
    tmp_path: Path, daemon: XrayDaemon
) -> None:
    world, spans = World(tmp_path), tracing(daemon)
    world.add()
    world.receivers.scripts["r1@example.org"] = [SmtpReply(450, "4.2.0 later", Phase.RCPT)]
    with spans.segment("mailroom-api"):
        trace = spans.header()
    await one_attempt(world, spans, trace)
    (again,) = world.take_woken()
    assert again.trace == ""
    await one_attempt(world, spans, again.trace)
    wait_for(lambda: len(daemon.documents) == 3, within=5, every=0.01, what="three segments")
    _, first, second = daemon.documents
    assert first["trace_id"] != second["trace_id"]
    assert first["annotations"]["delivery"] == second["annotations"]["delivery"]


async def test_an_unfollowed_attempt_sends_nothing(tmp_path: Path, daemon: XrayDaemon) -> None:
    world, spans = World(tmp_path), tracing(daemon, 0.0)
    world.add()
    await one_attempt(world, spans, "")
    with tracing(daemon).segment("last"):
        pass
    wait_for(lambda: daemon.documents, within=5, every=0.01, what="the last segment")
    assert [document["name"] for document in daemon.documents] == ["last"]


async def test_an_attempt_that_nobody_follows_is_not_in_the_trace_of_the_one_before(
    tmp_path: Path, daemon: XrayDaemon, caplog: pytest.LogCaptureFixture
) -> None:
    world, spans = World(tmp_path), tracing(daemon, 0.0)
    life = Life(world)
    life.desk = followed_desk(life.desk, spans)
    stand = Stand(world, life)
    for number in range(1, 6):
        world.add(number)
    with tracing(daemon).segment("mailroom-api"):
        followed = replace(world.wake_up(1), trace=tracing(daemon).header())
    stand.queue.put(followed, *(world.wake_up(number) for number in range(2, 6)))
    stand.gate.open.set()
    stand.follow = follow(spans)
    async with stand.working(slots=1):
        await until(lambda: all_final(world))
    await life.end()
    wait_for(lambda: len(daemon.documents) == 2, within=5, every=0.01, what="two segments")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
