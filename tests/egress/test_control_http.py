"""What a host shows to those beside it: health, metrics, its view, and metrics in its log."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from egress.control_http import ControlServer, parse_address
from egress.emf import emf_lines
from egress.metrics import LONGEST_POLL, Health, prometheus_text
from mailroom.domain.sending.view import HostView, PathView, load_view

WELL = Health(journal_ok=True, leases=1, poll_age=0.5)
PATHS = (
    PathView("ip_a", 'g"m\\a\nil', provider="gmail", state="backoff", ready=7, queue_age=2.5),
    PathView("ip_a", "mx.b", provider="other", rate=2.5, connections=3),
)
VIEW = HostView(
    "host-1", 1_800_000_000.0, paths=PATHS, lanes={"bulk": 7, "transactional": 1}, in_flight=2,
    counters={"sent": 90.0, "deferred/rule/gmail-rate": 4.0, "deferred/rule/other": 1.0},
    leases=("ip_a",), waiting={"gmail": 7},
)  # fmt: skip


@dataclass
class Stand:
    health: Health = WELL
    view: HostView = VIEW
    url: str = ""
    session: Any = field(default=None)

    async def ask(self, path: str) -> tuple[int, str]:
        async with self.session.get(f"{self.url}{path}") as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    made = Stand()
    server = ControlServer(lambda: made.view, lambda: made.health)
    port = await server.start("127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as session:
        made.session = session
        yield made
    await server.close()


async def test_a_host_that_works_is_healthy(stand: Stand) -> None:
    status, text = await stand.ask("/health")
    assert status == 200
    assert json.loads(text) == {
        "ok": True, "troubles": [], "journal_ok": True, "leases": 1, "poll_age": 0.5,
        "draining": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("health", "why"),
    [
        (Health(journal_ok=False, leases=1, poll_age=0.0), "journal"),
        (Health(journal_ok=True, leases=0, poll_age=0.0), "no source address"),
        (Health(journal_ok=True, leases=1, poll_age=None), "queue"),
        (Health(journal_ok=True, leases=1, poll_age=LONGEST_POLL + 1), "queue"),
    ],
)
async def test_what_is_wrong_is_said(stand: Stand, health: Health, why: str) -> None:
    stand.health = health
    status, text = await stand.ask("/health")
    assert (status, why in text) == (503, True)


@pytest.mark.parametrize(
    "health",
    [
        Health(journal_ok=True, leases=0, poll_age=None, draining=True),
        Health(journal_ok=True, leases=0, poll_age=1.0, needs_lease=False),
    ],
)
def test_what_is_meant_to_be_so_is_no_trouble(health: Health) -> None:
    assert health.troubles == ()


async def test_the_view_is_told_whole(stand: Stand) -> None:
    status, text = await stand.ask("/view")
    assert (status, load_view(json.loads(text))) == (200, VIEW)


async def test_nothing_else_is_answered(stand: Stand) -> None:
    assert (await stand.ask("/"))[0] == 404
    async with stand.session.post(f"{stand.url}/health") as answer:
        assert answer.status == 405


async def test_metrics_are_prometheus_text(stand: Stand) -> None:
    status, text = await stand.ask("/metrics")
    lines = text.splitlines()
    assert status == 200
    for line in (
        "mailroom_egress_up 1",
        "mailroom_egress_in_flight 2",
        'mailroom_egress_waiting{lane="bulk"} 7',
        'mailroom_egress_site_waiting{site="gmail"} 7',
        "mailroom_egress_sent_total 90",
        'mailroom_egress_deferred_total{rule="gmail-rate"} 4',
        'mailroom_egress_paths{state="backoff"} 1',
        (
            'mailroom_egress_path_queue_age_seconds{address="ip_a",site="g\\"m\\\\a\\nil",'
            'provider="gmail",pool="",state="backoff"} 2.5'
        ),
        "# TYPE mailroom_egress_deferred_total counter",
    ):
        assert line in lines, line
    assert len([line for line in lines if line.startswith("mailroom_egress_path_rate")]) == 1


def test_each_family_is_described_once_and_before_its_samples() -> None:
    seen: dict[str, int] = {}
    current = ""
    for line in prometheus_text(VIEW, WELL).splitlines():
        if line.startswith("# TYPE "):
            current = line.split()[2]
            seen[current] = seen.get(current, 0) + 1
        elif not line.startswith("#"):
            assert line.split("{")[0].split(" ")[0] == current
    assert set(seen.values()) == {1}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", None), ("127.0.0.1:9110", ("127.0.0.1", 9110)), ("[::1]:9110", ("::1", 9110)),
        (":9110", ("127.0.0.1", 9110)),
    ],
)  # fmt: skip
def test_where_to_listen_is_read(text: str, where: tuple[str, int] | None) -> None:
    assert parse_address(text) == where


@pytest.mark.parametrize("text", ["9110", "localhost:", "localhost:x", "localhost:65536"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        parse_address(text)


def test_metrics_in_the_log_tell_what_a_minute_brought() -> None:
    before = HostView("host-1", VIEW.at - 60, counters={"sent": 50.0, "bounced": 3.0})
    first, *rest = emf_lines(VIEW, before, environment="live")
    (directive,) = first["_aws"]["CloudWatchMetrics"]
    names = {each["Name"] for each in directive["Metrics"]}
    assert directive["Dimensions"] == [["Environment"]]
    assert names <= first.keys()
    assert (first["Sent"], first["Waiting"], first["WaitingBulk"]) == (40, 8, 7)
    assert first["Bounced"] == 0  # the process is a new one
    assert (first["OldestWaiting"], first["PathsInTrouble"]) == (2.5, 1)
    assert [(each["Provider"], each["Waiting"]) for each in rest] == [("gmail", 7), ("other", 0)]
    assert first["_aws"]["Timestamp"] == 1_800_000_000_000


def test_the_first_minute_tells_no_growth() -> None:
    first, *_ = emf_lines(VIEW, None, environment="live")
    assert "Sent" not in first
