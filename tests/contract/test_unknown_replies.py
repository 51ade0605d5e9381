"""Unknown replies of several hosts are added up, on the fake and on the table."""

import secrets
from datetime import date, timedelta

import pytest

from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
from mailroom.adapters.tables import bound
from mailroom.domain.replies.unknown import UnknownKey, UnknownReply
from mailroom.fakes.control import MemoryControl
from mailroom.usecases import unknown_replies
from mailroom.usecases.unknown_replies import UnknownPorts, note, top

NOW = 4_000_000_000.0  # to come: the emulator deletes rows whose ttl is over


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def ports(request: pytest.FixtureRequest) -> UnknownPorts:
    if request.param == "memory":
        return UnknownPorts(MemoryControl())
    cloud = request.getfixturevalue("cloud")
    row = bound(ControlRow, cloud.settings.resource("table", "control"))
    return UnknownPorts(DynamoControl(row))


@pytest.fixture
def day() -> date:
    return date(2100, 1, 1) + timedelta(days=secrets.randbelow(100_000))


def seen(text: str, count: int, over: int = 0) -> UnknownReply:
    return UnknownReply(UnknownKey("other", "RCPT", 550, text), count, over)


def test_what_hosts_counted_is_added_up(ports: UnknownPorts, day: date) -> None:
    assert top(ports, day) == ()
    assert note(ports, day, [seen("a", 2), seen("b", 5)], now=NOW) == ()
    assert note(ports, day, [seen("a", 9, over=4), seen("c", 1)], now=NOW) == ()
    assert top(ports, day) == (seen("a", 7), seen("b", 5), seen("c", 1))
    assert top(ports, day, limit=1) == (seen("a", 7),)
    assert top(ports, day + timedelta(days=1)) == ()


def test_a_day_holds_so_many_texts_and_no_more(
    ports: UnknownPorts, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown_replies, "MAX_ROWS", 2)
    left = note(ports, day, [seen("a", 1), seen("b", 1), seen("c", 1)], now=NOW)
    assert left == (seen("c", 1),)
    assert note(ports, day, [seen("a", 1)], now=NOW) == ()
    assert top(ports, day) == (seen("a", 2), seen("b", 1))
