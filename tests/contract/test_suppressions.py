"""Suppressions: fake and adapter keep the same promises."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mailroom.adapters.dynamo_suppressions import DynamoSuppressions
from mailroom.adapters.gathered_suppressions import (
    GatheredSuppressions,
    SuppressionsUnreadableError,
)
from mailroom.domain.address import MalformedAddressError
from mailroom.domain.message import ServerId
from mailroom.domain.suppression import (
    Reason,
    Suppression,
    organisation_scope,
    server_scope,
    stream_scope,
)
from mailroom.fakes.memory import FixedClock
from mailroom.fakes.suppressions import MemorySuppressions

SERVER, OTHER = ServerId("abcdefghij"), ServerId("bbbbbbbbbb")
NOW = 4_000_000_000.0  # to come: the emulator deletes rows whose ttl is over
ORG, SRV, NEWS = organisation_scope("o"), server_scope(SERVER), stream_scope(SERVER, "news")


@pytest.fixture
def clock():
    return FixedClock(NOW)


ADAPTERS = {"dynamo": DynamoSuppressions, "gathered": GatheredSuppressions}


@pytest.fixture(
    params=["memory", *(pytest.param(each, marks=pytest.mark.emulator) for each in ADAPTERS)]
)
def suppressions(request, clock):
    if request.param == "memory":
        return MemorySuppressions(clock)
    cloud = request.getfixturevalue("cloud")
    made = ADAPTERS[request.param]
    return made(cloud.settings, clock, lambda: b"secret", cloud.client("dynamodb"))


def one(address="ann@x.test", reason=Reason.MANUAL, **changes):
    whole = Suppression(SRV, reason, address, NOW, detail="why", source="user")
    return replace(whole, **changes)


def test_what_was_added_is_found_however_it_is_spelled(suppressions):
    assert suppressions.add(SRV, one(" Ann@X.test"))
    found = suppressions.among("o", SERVER, "news", ["ANN@x.TEST", "bob@x.test", "no address"])
    assert found == {"ANN@x.TEST": one()}
    assert suppressions.get(SRV, "ann@x.test") == one()
    assert suppressions.get(ORG, "ann@x.test") is None
    assert suppressions.among("o", OTHER, "news", ["ann@x.test"]) == {}


def test_a_second_one_is_not_new_and_changes_nothing_unless_it_is_stronger(suppressions):
    first = one(reason=Reason.HARD_BOUNCE)
    assert suppressions.add(SRV, first)
    assert not suppressions.add(SRV, one(reason=Reason.SOFT_BOUNCES, created_at=NOW + 9))
    assert suppressions.get(SRV, "ann@x.test") == first
    stronger = one(reason=Reason.COMPLAINT, created_at=NOW + 9)
    assert not suppressions.add(SRV, stronger)
    assert suppressions.get(SRV, "ann@x.test") == stronger


def test_an_expired_one_is_nowhere_and_makes_room(suppressions, clock):
    suppressions.add(SRV, one(reason=Reason.COMPLAINT, expires_at=NOW + 10))
    assert suppressions.get(SRV, "ann@x.test")
    clock.at = NOW + 10
    assert suppressions.get(SRV, "ann@x.test") is None
    assert suppressions.among("o", SERVER, "", ["ann@x.test"]) == {}
    assert list(suppressions.page(SRV, 10).items) == []
    later = one(reason=Reason.IMPORT, created_at=NOW + 10)
    assert suppressions.add(SRV, later)
    assert suppressions.get(SRV, "ann@x.test") == later


def test_the_strongest_reason_is_named_and_of_equal_ones_the_widest_scope(suppressions):
    for scope in (NEWS, SRV, ORG):
        suppressions.add(scope, one(scope=scope))
    assert suppressions.among("o", SERVER, "news", ["ann@x.test"])["ann@x.test"].scope == ORG
    suppressions.add(NEWS, one(scope=NEWS, reason=Reason.UNSUBSCRIBE))
    assert suppressions.among("o", SERVER, "news", ["ann@x.test"])["ann@x.test"].scope == NEWS
    for stream in ("", "bills"):
        found = suppressions.among("o", SERVER, stream, ["ann@x.test"])
        assert found["ann@x.test"].scope == ORG


def test_two_hundred_addresses_are_found_in_all_scopes(suppressions):
    everybody = [f"r{number}@x.test" for number in range(200)]
    assert suppressions.add_many(ORG, [one(address) for address in everybody[::2]]) == 100
    assert set(suppressions.among("o", SERVER, "news", everybody)) == set(everybody[::2])


def test_many_are_added_as_one_by_one(suppressions):
    suppressions.add(SRV, one("old@x.test", Reason.SOFT_BOUNCES))
    suppressions.add(SRV, one("late@x.test", expires_at=NOW - 1, created_at=NOW - 9))
    added = suppressions.add_many(
        SRV,
        [
            *(one(f"r{number}@x.test") for number in range(60)),
            one("old@x.test"),
            one("late@x.test"),
            one("twice@x.test", Reason.IMPORT),
            one("Twice@x.test", Reason.COMPLAINT),
        ],
    )
    assert added == 62
    reasons = {row.address: row.reason for row in suppressions.page(SRV, 100).items}
    assert len(reasons) == 63
    assert reasons["old@x.test"] == Reason.MANUAL
    assert reasons["late@x.test"] == Reason.MANUAL
    assert reasons["twice@x.test"] == Reason.COMPLAINT
    assert suppressions.add_many(SRV, []) == 0


def test_one_that_was_removed_is_gone(suppressions):
    suppressions.add(SRV, one())
    assert not suppressions.remove(ORG, "ann@x.test")
    assert suppressions.remove(SRV, "ANN@x.test")
    assert not suppressions.remove(SRV, "ann@x.test")
    assert suppressions.get(SRV, "ann@x.test") is None


def test_pages_show_everything_once(suppressions):
    for number in range(7):
        suppressions.add(SRV, one(f"r{number}@x.test"))
    suppressions.add(ORG, one("elsewhere@x.test", scope=ORG))
    seen, cursor = [], None
    while cursor != "":
        page = suppressions.page(SRV, 3, cursor or "")
        assert len(page.items) <= 3
        seen += [row.address for row in page.items]
        cursor = page.cursor
    assert sorted(seen) == [f"r{number}@x.test" for number in range(7)]
    with pytest.raises(ValueError):
        suppressions.page(SRV, 3, "nonsense")


def test_pages_can_be_of_one_reason(suppressions):
    for number in range(6):
        reason = Reason.COMPLAINT if number % 2 else Reason.MANUAL
        suppressions.add(SRV, one(f"r{number}@x.test", reason))
    page = suppressions.page(SRV, 2, reason=Reason.COMPLAINT)
    rest = suppressions.page(SRV, 5, page.cursor, Reason.COMPLAINT)
    found = sorted(row.address for row in [*page.items, *rest.items])
    assert found == ["r1@x.test", "r3@x.test", "r5@x.test"]
    assert rest.cursor == ""


def test_an_erased_person_stays_suppressed_without_a_name(suppressions):
    suppressions.add(SRV, one(reason=Reason.COMPLAINT))
    assert suppressions.erase(SRV, "Ann@x.test")
    assert not suppressions.erase(SRV, "bob@x.test")
    (row,) = suppressions.page(SRV, 10).items
    assert row == one(reason=Reason.COMPLAINT, address=None, detail="", source="")
    assert "ann@x.test" in suppressions.among("o", SERVER, "", ["ann@x.test"])
    assert not suppressions.add(SRV, one())
    assert suppressions.get(SRV, "ann@x.test").address is None


def test_a_whole_scope_can_be_removed_in_parts(suppressions):
    suppressions.add_many(SRV, [one(f"r{number}@x.test") for number in range(30)])
    suppressions.add(ORG, one(scope=ORG))
    assert suppressions.remove_all(SRV, 20) == 20
    assert suppressions.remove_all(SRV, 20) == 10
    assert suppressions.remove_all(SRV, 20) == 0
    assert suppressions.get(ORG, "ann@x.test")


def test_what_is_no_address_is_refused(suppressions):
    for call in (
        lambda: suppressions.add(SRV, one("nobody")),
        lambda: suppressions.get(SRV, "nobody"),
        lambda: suppressions.remove(SRV, "nobody"),
        lambda: suppressions.erase(SRV, "nobody"),
    ):
        with pytest.raises(MalformedAddressError):
            call()


@pytest.mark.emulator
def test_threads_share_their_reads_and_each_hears_of_its_own(cloud, clock):
    dynamodb, calls = cloud.client("dynamodb"), []

    class Counting:
        def batch_get_item(self, **call):
            calls.append(len(call["RequestItems"][table]["Keys"]))
            return dynamodb.batch_get_item(**call)

    table = cloud.settings.resource("table", "suppressions")
    known = GatheredSuppressions(cloud.settings, clock, lambda: b"secret", Counting())
    known.add(SRV, one("r7@x.test"))

    def look(number):
        address = f"r{number % 20}@x.test"
        return bool(known.among("o", SERVER, "news", [address]))

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(look, range(80)))
    assert [number for number, each in enumerate(found) if each] == [7, 27, 47, 67]
    assert len(calls) < 80
    assert max(calls) <= 100
    assert known.among("o", SERVER, "news", []) == {}


@pytest.mark.emulator
def test_a_table_that_leaves_keys_out_is_asked_again_and_not_for_ever(cloud, clock):
    class Busy:
        def __init__(self, until):
            self.left = until

        def batch_get_item(self, **call):
            self.left -= 1
            unread = call["RequestItems"] if self.left > 0 else {}
            return {"Responses": {}, "UnprocessedKeys": unread}

    def look(until):
        busy = GatheredSuppressions(cloud.settings, clock, lambda: b"secret", Busy(until))
        return busy.among("o", SERVER, "news", ["ann@x.test"])

    assert look(3) == {}
    with pytest.raises(SuppressionsUnreadableError):
        look(99)
