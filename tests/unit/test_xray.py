"""Spans as the daemon gets them. Sockets are real, the daemon is a stub."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from mailroom.adapters.xray import Traced, Tracing
from mailroom.domain.trace import read_trace
from mailroom.fakes.memory import FixedChance, FixedClock
from tests.support.customer import wait_for
from tests.support.xray_daemon import XrayDaemon, running_daemon, steps


@pytest.fixture
def daemon() -> Iterator[XrayDaemon]:
    with running_daemon() as daemon:
        yield daemon


def tracing(address: str, rate: float = 1.0, ambient: str = "") -> Tracing:
    return Tracing(rate, FixedClock(), FixedChance(7), daemon=address, ambient=lambda: ambient)


def sent(daemon: XrayDaemon, count: int = 1) -> list[dict[str, object]]:
    wait_for(lambda: len(daemon.documents) >= count, within=5, every=0.01, what="segments")
    return daemon.documents


class Shop:
    """Something with methods."""

    open = True

    def buy(self, what: str) -> str:
        return f"a {what}"

    def fail(self) -> None:
        raise ValueError("secret text")


def test_a_segment_with_its_steps_arrives_whole(daemon: XrayDaemon) -> None:
    spans = tracing(daemon.address)
    shop = Traced(Shop(), "shop", spans)
    with spans.segment("mailroom-test", server="abc") as span:
        assert shop.buy("stamp") == "a stamp"
        assert shop.open is True
        span.annotate(code=250)
    (document,) = sent(daemon)
    assert document["name"] == "mailroom-test"
    assert document["annotations"] == {"server": "abc", "code": 250}
    assert steps(document) == ["shop.buy"]
    assert read_trace(f"Root={document['trace_id']}").root


def test_a_trace_goes_on_elsewhere(daemon: XrayDaemon) -> None:
    spans = tracing(daemon.address)
    with spans.segment("first"):
        header = spans.header()
    with spans.segment("second", header):
        pass
    first, second = sent(daemon, 2)
    assert second["trace_id"] == first["trace_id"]
    assert second["parent_id"] == first["id"]


def test_what_is_not_followed_says_nothing(daemon: XrayDaemon) -> None:
    spans = tracing(daemon.address, rate=0.0)
    with spans.segment("unfollowed"):
        assert spans.header() == ""
        assert Traced(Shop(), "shop", spans).buy("stamp") == "a stamp"
        spans.annotate(code=1)
    with spans.segment("followed", f"Root={'1-68e8e780-' + 24 * 'a'};Sampled=1"):
        pass
    assert [document["name"] for document in sent(daemon)] == ["followed"]


def test_an_upstream_no_is_kept(daemon: XrayDaemon) -> None:
    spans = tracing(daemon.address)
    with spans.segment("unfollowed", f"Root={'1-68e8e780-' + 24 * 'a'};Sampled=0"):
        pass
    with spans.segment("followed"):
        pass
    assert [document["name"] for document in sent(daemon)] == ["followed"]


def test_a_failure_is_flagged_without_its_text(daemon: XrayDaemon) -> None:
    spans = tracing(daemon.address)
    shop = Traced(Shop(), "shop", spans)
    with pytest.raises(ValueError, match="secret"), spans.segment("failing"):
        shop.fail()
    (document,) = sent(daemon)
    assert document["fault"] is True
    assert document["annotations"] == {"error": "ValueError"}
    assert "secret" not in str(document)


def test_below_a_segment_of_lambda_only_a_subsegment_is_sent(
    daemon: XrayDaemon,
) -> None:
    root, parent = "1-68e8e780-" + 24 * "b", "53995c3f42cd8ad8"
    header = f"Root={root};Parent={parent};Sampled=1"
    spans = tracing(daemon.address, rate=0.0, ambient=header)
    with spans.invocation("mailroom-api"):
        assert read_trace(spans.header()).root == root
        with spans.step("inner"):
            pass
    (document,) = sent(daemon)
    assert (document["type"], document["trace_id"], document["parent_id"]) == (
        "subsegment",
        root,
        parent,
    )
    assert steps(document) == ["inner"]


def test_many_tasks_keep_their_traces_apart(daemon: XrayDaemon) -> None:
    spans = tracing(daemon.address)

    async def work(number: int) -> None:
        with spans.segment(f"work-{number}"):
            await asyncio.sleep(0)
            with spans.step(f"step-{number}"):
                await asyncio.sleep(0)

    async def all_work() -> None:
        await asyncio.gather(*map(work, range(20)))

    asyncio.run(all_work())
    documents = sent(daemon, 20)
    assert {(d["name"], *steps(d)) for d in documents} == {
        (f"work-{n}", f"step-{n}") for n in range(20)
    }
    assert len({document["trace_id"] for document in documents}) == 20


def test_nobody_listens_and_nothing_happens(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*free.getsockname())
    spans = tracing(address)
    for _ in range(3):
        with spans.segment("unheard"), spans.step("step"):
            pass
    assert capfd.readouterr() == ("", "")


def test_a_segment_stays_small_enough_for_a_datagram(daemon: XrayDaemon) -> None:
    spans = tracing(daemon.address)
    shop = Traced(Shop(), "shop", spans)
    with spans.segment("long"):
        for _ in range(1_000):
            shop.buy("stamp")
    (document,) = sent(daemon)
    assert len(steps(document)) == 90
