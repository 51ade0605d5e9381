"""What is remembered of API requests: one suite for the fakes and for the table."""

from collections.abc import Iterator

import pytest

from mailroom.adapters.dynamo_requests import DynamoAnswers, DynamoRequestLimits, RequestRow
from mailroom.adapters.tables import bound
from mailroom.fakes.requests import MemoryAnswers, MemoryRequestLimits
from mailroom.ports.requests import Answers, Remembered, RequestLimits, Standing

NOW = 4_000_000_000.0  # to come: the emulator deletes rows whose ttl is over
both = pytest.mark.parametrize(
    "kind", ["memory", pytest.param("dynamo", marks=pytest.mark.emulator)]
)


@pytest.fixture
def ports(request: pytest.FixtureRequest, kind: str) -> Iterator[tuple[Answers, RequestLimits]]:
    if kind == "memory":
        yield MemoryAnswers(), MemoryRequestLimits()
        return
    cloud = request.getfixturevalue("cloud")
    rows = bound(RequestRow, cloud.settings.resource("table", "requests"))
    yield DynamoAnswers(rows), DynamoRequestLimits(rows)


Ports = tuple[Answers, RequestLimits]


@both
def test_a_key_stands_for_one_request_and_its_answer(ports: Ports) -> None:
    answers, _ = ports
    assert answers.begin("key_a", "k", "digest", NOW).standing is Standing.NEW
    assert answers.begin("key_a", "k", "digest", NOW + 1).standing is Standing.RUNNING
    assert answers.begin("key_a", "k", "another", NOW + 1).standing is Standing.OTHER
    assert answers.begin("key_b", "k", "another", NOW + 1).standing is Standing.NEW
    done = Remembered(Standing.DONE, 201, '{"id":1}', {"etag": '"1"'})
    answers.finish("key_a", "k", done, NOW + 2)
    assert answers.begin("key_a", "k", "digest", NOW + 3) == done
    assert answers.begin("key_a", "k", "another", NOW + 3).standing is Standing.OTHER


@both
def test_a_key_is_free_again_after_a_day_and_a_dead_request_after_five_minutes(
    ports: Ports,
) -> None:
    answers, _ = ports
    answers.begin("a", "k", "d", NOW)
    assert answers.begin("a", "k", "d", NOW + 299).standing is Standing.RUNNING
    assert answers.begin("a", "k", "d", NOW + 301).standing is Standing.NEW
    answers.finish("a", "k", Remembered(Standing.DONE, 200, "", {}), NOW + 302)
    assert answers.begin("a", "k", "d", NOW + 302 + 86_399).standing is Standing.DONE
    assert answers.begin("a", "k", "other", NOW + 302 + 86_401).standing is Standing.NEW


@both
def test_a_forgotten_request_may_be_made_again(ports: Ports) -> None:
    answers, _ = ports
    answers.begin("a", "k", "d", NOW)
    answers.forget("a", "k")
    assert answers.begin("a", "k", "other", NOW + 1).standing is Standing.NEW


@both
def test_requests_are_counted_for_each_key_and_window(ports: Ports) -> None:
    _, limits = ports
    taken = [limits.take("a", 50, 60.0, NOW).allowed for _ in range(55)]
    assert taken.count(True) in range(40, 51)  # a slice of twenty may be left over
    assert taken == sorted(taken, reverse=True)
    assert limits.take("b", 50, 60.0, NOW).allowed
    again = limits.take("a", 50, 60.0, NOW + 60)
    assert again.allowed
    assert again.limit == 50
    assert NOW + 60 < again.resets_at <= NOW + 120


@pytest.mark.emulator
def test_processes_share_a_limit(cloud) -> None:
    rows = bound(RequestRow, cloud.settings.resource("table", "requests"))
    one, two = DynamoRequestLimits(rows), DynamoRequestLimits(rows)
    allowed = sum(each.take("k", 60, 60.0, NOW).allowed for _ in range(50) for each in (one, two))
    assert 40 <= allowed <= 60
