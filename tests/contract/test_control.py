"""What hosts agree on: one suite for the fake and for the table."""

import secrets

import pytest

from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
from mailroom.adapters.tables import bound
from mailroom.domain.tenancy.record import Place, Record
from mailroom.fakes.control import MemoryControl
from mailroom.ports.control import Control

LATER = 4_000_000_000.0  # to come: the emulator deletes rows whose ttl is over


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def control(request: pytest.FixtureRequest) -> Control:
    if request.param == "memory":
        return MemoryControl()
    cloud = request.getfixturevalue("cloud")
    return DynamoControl(bound(ControlRow, cloud.settings.resource("table", "control")))


@pytest.fixture
def partition() -> str:
    return f"test#{secrets.token_hex(6)}"


def test_a_record_is_written_read_and_counted(control: Control, partition: str) -> None:
    place = Place(partition, "a")
    assert control.read(place) is None
    made = control.put(Record(place, {"n": 1.5, "who": "me"}, expires_at=LATER), expected=0)
    assert made is not None
    assert made.revision == 1
    assert control.read(place) == made
    assert control.put(Record(place, {}), expected=0) is None
    assert control.put(Record(place, {}), expected=2) is None
    changed = control.put(Record(place, {"n": 2}), expected=1)
    assert changed is not None
    assert (changed.revision, changed.expires_at) == (2, None)
    blind = control.put(Record(place, {"n": 3}))
    assert blind is not None
    assert blind.revision == 3
    assert control.read(place) == blind


def test_a_record_is_deleted_at_its_revision_only(control: Control, partition: str) -> None:
    place = Place(partition, "a")
    control.put(Record(place, {}))
    assert not control.delete(place, expected=2)
    assert control.delete(place, expected=1)
    assert control.read(place) is None
    assert control.delete(place)


def test_a_partition_is_read_in_pages(control: Control, partition: str) -> None:
    for sort in ("b#2", "a#1", "b#1", "b#3", "c"):
        control.put(Record(Place(partition, sort), {"sort": sort}))
    control.add(Place(partition, "b#0"), 1, ceiling=None, expires_at=LATER)
    page = control.page(partition, "b#", limit=2)
    assert [each.place.sort for each in page.records] == ["b#1", "b#2"]
    page = control.page(partition, "b#", limit=2, after=page.after)
    assert [each.body["sort"] for each in page.records] == ["b#3"]
    assert page.after == ""
    assert len(control.page(partition).records) == 5


def test_a_counter_never_passes_its_ceiling(control: Control, partition: str) -> None:
    place = Place(partition, "used")
    assert control.counter(place) == 0
    assert control.add(place, 11, ceiling=10, expires_at=LATER) is None
    assert control.add(place, 7, ceiling=10, expires_at=LATER) == 7
    assert control.add(place, 4, ceiling=10, expires_at=LATER) is None
    assert control.add(place, 3, ceiling=10, expires_at=LATER) == 10
    assert control.add(place, -2.5, ceiling=10, expires_at=LATER) == 7.5
    assert control.counter(place) == 7.5
    assert control.read(place) is None
