"""Where brakes are kept, and what the sending path sees of them."""

import json

import pytest

from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.dynamo_brakes import DirectoryBrakeFlags, DynamoBrakes, load_brake
from mailroom.adapters.dynamo_directory import DynamoDirectory
from mailroom.adapters.tables import BrakeRow, DirectoryRow, bound
from mailroom.domain.brake import Brake, BrakeState, Cause
from mailroom.domain.message import Server, ServerId
from mailroom.fakes.brakes import MemoryBrakeFlags, MemoryBrakes
from mailroom.fakes.memory import FixedClock

SERVER, OTHER = ServerId("abcdefghij"), ServerId("bbbbbbbbbb")
HELD = Brake(
    BrakeState.HELD, 5.0, "bounces", Cause.BOUNCES, 0.06, 0.05, 1_000, 2.0, 9.0, "why", 6.0, False
)


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def brakes(request):
    if request.param == "memory":
        return MemoryBrakes()
    settings = request.getfixturevalue("cloud").settings
    return DynamoBrakes(bound(BrakeRow, settings.resource("table", "counters")))


def test_a_brake_is_read_as_it_was_written(brakes):
    assert brakes.read(SERVER) == (Brake(), 0)
    assert brakes.swap(SERVER, HELD, 0)
    assert brakes.read(SERVER) == (HELD, 1)
    assert brakes.read(OTHER) == (Brake(), 0)


def test_only_the_version_that_was_read_is_replaced(brakes):
    assert brakes.swap(SERVER, HELD, 0)
    assert not brakes.swap(SERVER, Brake(BrakeState.WARNED), 0)
    assert brakes.swap(SERVER, Brake(BrakeState.WARNED), 1)
    assert not brakes.swap(SERVER, Brake(), 1)
    assert brakes.read(SERVER) == (Brake(BrakeState.WARNED), 2)


def test_a_brake_that_is_as_in_the_beginning_is_touched_no_more(brakes):
    brakes.swap(OTHER, HELD, 0)
    brakes.swap(SERVER, HELD, 0)
    assert set(brakes.touched(limit=9)) == {SERVER, OTHER}
    assert len(brakes.touched(limit=1)) == 1
    assert brakes.swap(SERVER, Brake(since=7.0, reason="over"), 1)
    assert list(brakes.touched(limit=9)) == [OTHER]
    assert brakes.read(SERVER) == (Brake(), 0)


def test_a_row_of_before_a_field_existed_has_its_default():
    assert load_brake(json.loads('{"state": "warned", "since": 3.0, "later": 1}')) == Brake(
        BrakeState.WARNED, since=3.0
    )
    assert load_brake({}) == Brake()


def test_flags_of_the_fake():
    flags = MemoryBrakeFlags()
    flags.apply(SERVER, "r")
    flags.apply(SERVER, None)
    flags.apply(SERVER, None)
    assert flags.reasons == {}


@pytest.mark.emulator
def test_the_sending_path_sees_a_brake(cloud):
    rows = bound(DirectoryRow, cloud.settings.resource("table", "directory"))
    server = Server(SERVER, "org", "n", "p", "abcdef")
    DirectoryRows(rows, None).put_server(server)
    flags = DirectoryBrakeFlags(rows)

    def seen():
        found = DynamoDirectory(rows, FixedClock(), None).server(SERVER)
        return found.braked

    assert seen() is None
    for _ in range(2):
        flags.apply(SERVER, "too much")
    assert seen() == "too much"
    DirectoryRows(rows, None).put_server(server)  # a change of the server leaves it on
    assert seen() == "too much"
    for _ in range(2):
        flags.apply(SERVER, None)
    assert seen() is None
