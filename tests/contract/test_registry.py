"""The Registry port: one suite for the fake and for the table."""

import pytest

from mailroom.adapters.dynamo_registry import DynamoRegistry
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.tenancy.record import ABSENT, Change, Place, Record
from mailroom.fakes.registry import MemoryKeyring, MemoryRegistry
from mailroom.ports.registry import ConflictError, Keyring, Registry

PLACE = Place("server#a", "r#webhook#1")


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def registry(request: pytest.FixtureRequest) -> Registry:
    if request.param == "memory":
        return MemoryRegistry()
    cloud = request.getfixturevalue("cloud")
    return DynamoRegistry(bound(DirectoryRow, cloud.settings.resource("table", "directory")))


@pytest.fixture(params=["memory", pytest.param("kms", marks=pytest.mark.emulator)])
def keyring(request: pytest.FixtureRequest) -> Keyring:
    if request.param == "memory":
        return MemoryKeyring()
    cloud = request.getfixturevalue("cloud")
    return KmsKeyring(cloud.client("kms"), cloud.settings.resource("key", "secrets"))


def put(registry: Registry, place: Place, expected: int | None = None, **body: object) -> None:
    registry.write([Change.put(Record(place, body), expected)])


def test_what_is_written_is_read_back(registry: Registry) -> None:
    record = Record(PLACE, {"name": "x", "n": 1.5}, secret=b"\0wrapped", expires_at=4e9)
    registry.write([Change.put(record, ABSENT)])
    found = registry.read(PLACE)
    assert found is not None
    assert found.body == {"name": "x", "n": 1.5}
    assert (found.secret, found.expires_at, found.revision) == (record.secret, 4e9, 1)
    assert registry.read(Place("server#a", "r#webhook#2")) is None


def test_each_write_over_a_known_revision_makes_the_next(registry: Registry) -> None:
    put(registry, PLACE, ABSENT, n=1)
    put(registry, PLACE, 1, n=2)
    found = registry.read(PLACE)
    assert found is not None
    assert (found.revision, found.body) == (2, {"n": 2})


@pytest.mark.parametrize("expected", [ABSENT, 2])
def test_a_row_that_is_not_as_expected_stops_all_changes(registry: Registry, expected: int) -> None:
    put(registry, PLACE, ABSENT, n=1)
    other = Place("server#b", "-")
    with pytest.raises(ConflictError) as caught:
        registry.write(
            [Change.put(Record(other, {}), ABSENT), Change.put(Record(PLACE, {}), expected)]
        )
    assert caught.value.place == PLACE
    assert registry.read(other) is None


def test_a_deletion_among_the_changes_keeps_its_own_condition(registry: Registry) -> None:
    put(registry, PLACE, ABSENT)
    gone = Place("server#c", "-")
    with pytest.raises(ConflictError) as caught:
        registry.write([Change.put(Record(PLACE, {}), 1), Change(gone, None, 1)])
    assert caught.value.place == gone
    registry.write([Change(PLACE, None, 1)])
    assert registry.read(PLACE) is None


@pytest.mark.emulator
def test_a_row_of_before_there_were_revisions_is_at_the_first(cloud) -> None:
    rows = bound(DirectoryRow, cloud.settings.resource("table", "directory"))
    old = rows("server#old", "-")
    old.json = "{}"
    old.save()
    registry = DynamoRegistry(rows)
    with pytest.raises(ConflictError):
        registry.write([Change.put(Record(Place("server#old"), {}), 2)])
    registry.write([Change.put(Record(Place("server#old"), {"n": 2}), 1)])
    found = registry.read(Place("server#old"))
    assert found is not None
    assert found.revision == 2


def test_pages_follow_each_other_in_both_directions(registry: Registry) -> None:
    for n in range(5):
        put(registry, Place("p", f"r#x#{n}"), ABSENT, n=n)
    put(registry, Place("p", "r#y#9"), ABSENT, n=9)
    forward = registry.page("p", "r#x#", limit=3)
    rest = registry.page("p", "r#x#", limit=3, after=forward.after)
    assert [r.body["n"] for r in (*forward.records, *rest.records)] == [0, 1, 2, 3, 4]
    assert rest.after == ""
    back = registry.page("p", "r#x#", limit=5, newest_first=True)
    assert [r.body["n"] for r in back.records] == [4, 3, 2, 1, 0]
    assert back.after == ""
    two = registry.page("p", "r#x#", limit=2, newest_first=True)
    more = registry.page("p", "r#x#", limit=2, after=two.after, newest_first=True)
    assert [r.body["n"] for r in more.records] == [2, 1]


def test_counting_stops_at_the_most(registry: Registry) -> None:
    for n in range(4):
        put(registry, Place("p", f"r#x#{n}"), ABSENT)
    assert registry.count("p", "r#x#", most=10) == 4
    assert registry.count("p", "r#x#", most=2) == 2
    assert registry.count("q", "r#", most=2) == 0


def test_many_are_read_in_one_question(registry: Registry) -> None:
    put(registry, PLACE, ABSENT, n=1)
    missing = Place("server#z")
    assert set(registry.read_many([PLACE, missing, PLACE])) == {PLACE}
    assert registry.read_many([]) == {}


def test_a_secret_opens_for_its_owner_alone(keyring: Keyring) -> None:
    wrapped = keyring.wrap(b"secret", "server#a")
    assert keyring.unwrap(wrapped, "server#a") == b"secret"
    with pytest.raises(Exception):  # noqa: B017 - KMS and the fake each have their own
        keyring.unwrap(wrapped, "server#b")
