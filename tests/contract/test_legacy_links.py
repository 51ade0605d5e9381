"""Imported links of another platform: fake and adapter keep the same promises."""

import pytest

from mailroom.adapters.dynamo_legacy_links import DynamoLegacyLinks
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.legacy_link import LegacyLink
from mailroom.fakes.legacy_links import MemoryLegacyLinks
from mailroom.fakes.memory import FixedClock


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def world(request):
    """(LegacyLinks, its clock)."""
    clock = FixedClock()
    if request.param == "memory":
        return MemoryLegacyLinks(clock), clock
    settings = request.getfixturevalue("cloud").settings
    rows = bound(DirectoryRow, settings.resource("table", "directory"))
    return DynamoLegacyLinks(rows, clock), clock


def link(number, server="abc123", url="https://x.example/"):
    return LegacyLink(server, f"Token{number:05d}", f"{url}{number}")


def test_links_are_found_by_server_and_token(world):
    links, clock = world
    assert links.find("abc123", "Token00001") is None
    assert links.put((link(n) for n in range(60)), until=clock.at + 100) == 60
    assert links.put([link(3, "zzz999")], until=clock.at + 100) == 1
    assert links.find("abc123", "Token00059") == "https://x.example/59"
    assert links.find("zzz999", "Token00003") == "https://x.example/3"
    assert links.find("zzz999", "Token00004") is None
    assert links.servers() == {"abc123", "zzz999"}


def test_a_link_that_comes_again_is_replaced_even_within_one_batch(world):
    links, clock = world
    twice = [link(1), link(1, url="https://y.example/")]
    assert links.put(twice, until=clock.at + 100) == 2
    assert links.find("abc123", "Token00001") == "https://y.example/1"


def test_an_expired_link_is_not_found(world):
    links, clock = world
    links.put([link(1)], until=clock.at + 100)
    clock.at += 101
    assert links.find("abc123", "Token00001") is None


def test_the_servers_that_have_links_are_known_within_a_minute(world):
    links, clock = world
    assert links.servers() == frozenset()
    links.put([link(1)], until=clock.at + 100)
    clock.at += 60
    assert links.servers() == {"abc123"}
