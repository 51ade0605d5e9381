"""The LastUse port: one suite for the fake and for the table."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from mailroom.adapters.dynamo_last_use import DynamoLastUse
from mailroom.adapters.dynamo_requests import RequestRow
from mailroom.adapters.tables import bound
from mailroom.fakes.people import MemoryLastUse
from mailroom.ports.last_use import LastUse

NOW = 1_800_000_000.0


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def last_use(request: pytest.FixtureRequest) -> LastUse:
    if request.param == "memory":
        return MemoryLastUse()
    cloud = request.getfixturevalue("cloud")
    return DynamoLastUse(bound(RequestRow, cloud.settings.resource("table", "requests")))


def test_what_was_used_is_known_and_nothing_else(last_use: LastUse) -> None:
    last_use.used("a", NOW)
    last_use.used("b", NOW + 1)
    assert last_use.last(["a", "b", "c"]) == {"a": NOW, "b": NOW + 1}
    assert last_use.last([]) == {}
    assert last_use.last(["a", "a"]) == {"a": NOW}


def test_within_an_hour_nothing_is_written_again(last_use: LastUse) -> None:
    last_use.used("a", NOW)
    last_use.used("a", NOW + 3_599)
    assert last_use.last(["a"]) == {"a": NOW}
    last_use.used("a", NOW + 3_600)
    assert last_use.last(["a"]) == {"a": NOW + 3_600}


@pytest.mark.emulator
def test_many_threads_write_once(cloud) -> None:
    rows = bound(RequestRow, cloud.settings.resource("table", "requests"))
    last_use = DynamoLastUse(rows)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: last_use.used("a", NOW + n), range(200)))
    (at,) = last_use.last(["a"]).values()
    assert NOW <= at < NOW + 200
    kept = rows.get("used#a", "-")
    assert kept.ttl > NOW + 365 * 86_400


@pytest.mark.emulator
def test_a_use_that_cannot_be_kept_fails_nobody(cloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    last_use = DynamoLastUse(bound(RequestRow, "there-is-no-such-table"))
    last_use.used("crd_1", NOW)
    (line,) = [record for record in caplog.records if record.message == "last use not kept"]
    assert vars(line)["credential"] == "crd_1"
