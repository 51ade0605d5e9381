"""The list of private servers follows the servers as they are written."""

from dataclasses import replace

import pytest

from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.dynamo_directory import FRESH_SECONDS, DynamoDirectory
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.message import Server, ServerId
from mailroom.fakes.memory import FixedClock

pytestmark = pytest.mark.emulator
ANN = Server(ServerId("abcdefghij"), "org1", "Main", "main", "abcdef")
BOB = Server(ServerId("bbbbbbbbbb"), "org1", "Other", "other", "bbbbbb")


@pytest.fixture
def desk(cloud):
    table, clock = bound(DirectoryRow, cloud.settings.resource("table", "directory")), FixedClock()
    return DirectoryRows(table, None), DynamoDirectory(table, clock, None), clock


def test_nobody_is_private_at_first(desk):
    rows, directory, clock = desk
    assert directory.private_servers() == frozenset()
    rows.put_server(ANN)
    clock.at += FRESH_SECONDS
    assert directory.private_servers() == frozenset()


def test_the_setting_is_seen_when_it_comes_and_when_it_goes(desk):
    rows, directory, clock = desk
    for server in (ANN, BOB):
        rows.put_server(replace(server, privacy=True))
    assert directory.private_servers() == {ANN.id, BOB.id}
    for server in (ANN, BOB):
        rows.put_server(server)
        clock.at += FRESH_SECONDS
        assert server.id not in directory.private_servers()
        assert directory.server(server.id) == server
    assert directory.private_servers() == frozenset()


class TornRows(DirectoryRows):
    """Dies before the server's own row is written."""

    def _put(self, pk, sk, text, wrapped=None):
        raise ConnectionError(pk)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_crash_in_between_leaves_a_server_private(cloud, desk, wanted):
    rows, directory, _ = desk
    rows.put_server(replace(ANN, privacy=not wanted))
    torn = TornRows(bound(DirectoryRow, cloud.settings.resource("table", "directory")), None)
    with pytest.raises(ConnectionError):
        torn.put_server(replace(ANN, privacy=wanted))
    assert ANN.id in directory.private_servers()
