"""The table of send limits: fake and adapter keep the same promises, also when many ask at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pynamodb.exceptions import PutError

from mailroom.adapters.dynamo_limits import DynamoLimits, bound_limits
from mailroom.domain.message import ServerId
from mailroom.domain.send_limit import Limits, Period, Slice, Times, times
from mailroom.errors import LimitUnavailableError
from mailroom.fakes.limits import MemoryLimits
from mailroom.ports import SendLimits

SERVER, OTHER = ServerId("abcdefghij"), ServerId("bbbbbbbbbb")
MINUTE = 29_333_333


def at(minute: int) -> Times:
    return times(minute * 60.0)


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def limits(request: pytest.FixtureRequest) -> SendLimits:
    if request.param == "memory":
        return MemoryLimits()
    settings = request.getfixturevalue("cloud").settings
    return DynamoLimits(bound_limits(settings.resource("table", "counters")))


def test_slices_are_had_until_the_limit_is_reached(limits: SendLimits) -> None:
    had = [limits.reserve(SERVER, Limits(hour=5), at(MINUTE)).slice.size for _ in range(7)]
    assert had == [1] * 5 + [0] * 2


def test_servers_do_not_share(limits: SendLimits) -> None:
    assert limits.reserve(SERVER, Limits(day=1), at(MINUTE)).slice.size == 1
    assert limits.reserve(OTHER, Limits(day=1), at(MINUTE)).slice.size == 1


def test_usage_leftovers_and_notices_are_kept(limits: SendLimits) -> None:
    now = at(MINUTE)
    first = limits.reserve(SERVER, Limits(hour=1000), now)
    left = Slice(MINUTE, 4, now.day, now.month)
    second = limits.reserve(SERVER, Limits(hour=1000), at(MINUTE + 1), left)
    assert first.usage.reserved == {MINUTE: 10}
    assert second.usage.reserved == {MINUTE: 6, MINUTE + 1: 10}
    assert (second.usage.day.used, second.usage.month.used) == (16, 16)
    full = Limits(hour=16, day=16, month=16)
    told = limits.reserve(SERVER, full, at(MINUTE + 1)).told
    assert [each.period for each in told] == list(Period)
    again = limits.reserve(SERVER, full, at(MINUTE + 1))
    assert (again.told, again.usage.notices) == ((), limits.reserve(
        SERVER, full, at(MINUTE + 1)).usage.notices)  # fmt: skip
    assert len(again.usage.notices) == 3


def test_an_exact_number_is_had_whole_or_not_at_all(limits: SendLimits) -> None:
    assert limits.reserve(SERVER, Limits(hour=10), at(MINUTE), wanted=7).slice.size == 7
    assert limits.reserve(SERVER, Limits(hour=10), at(MINUTE), wanted=4).slice.size == 0
    assert limits.reserve(SERVER, Limits(hour=10), at(MINUTE), wanted=3).slice.size == 3


def test_an_hour_later_the_limit_is_there_again(limits: SendLimits) -> None:
    assert limits.reserve(SERVER, Limits(hour=1), at(MINUTE)).slice.size == 1
    assert limits.reserve(SERVER, Limits(hour=1), at(MINUTE + 60)).slice.size == 0
    assert limits.reserve(SERVER, Limits(hour=1), at(MINUTE + 61)).slice.size == 1


@pytest.mark.emulator
def test_what_the_release_before_counted_still_counts(cloud: Any) -> None:
    rows = bound_limits(cloud.settings.resource("table", "counters"))
    row = rows(f"limit#{SERVER}", "limit")
    row.ver, row.ring = 3, f'{{"r":{{"{MINUTE}":5}},"n":{{"approaching":{MINUTE}}}}}'
    row.save()
    reservation = DynamoLimits(rows).reserve(SERVER, Limits(hour=6), at(MINUTE))
    assert (reservation.usage.reserved, reservation.told) == ({MINUTE: 6}, ())


@pytest.mark.emulator
def test_senders_that_ask_at_once_are_never_over(cloud: Any) -> None:
    rows = bound_limits(cloud.settings.resource("table", "counters"))

    def greedy(_number: int) -> int:
        limits, had = DynamoLimits(rows), 0
        for _ in range(8):
            try:
                had += limits.reserve(SERVER, Limits(hour=15), at(MINUTE)).slice.size
            except LimitUnavailableError:
                continue
        return had

    with ThreadPoolExecutor(3) as pool:
        had = sum(pool.map(greedy, range(3)))
    assert had == 15


class Contended(DynamoLimits):
    """Somebody else is always quicker, up to a point."""

    races = 0

    def _write(self, *given: Any) -> bool:
        if self.races:
            self.races -= 1
            DynamoLimits(self._rows).reserve(SERVER, Limits(hour=100), at(MINUTE))
        return super()._write(*given)


@pytest.mark.emulator
def test_a_lost_race_is_run_again_and_not_for_ever(cloud: Any) -> None:
    limits = Contended(bound_limits(cloud.settings.resource("table", "counters")))
    limits.races = 3
    assert limits.reserve(SERVER, Limits(hour=100), at(MINUTE)).usage.day.used == 4
    limits.races = 10**9
    with pytest.raises(LimitUnavailableError):
        limits.reserve(SERVER, Limits(hour=100), at(MINUTE))


@pytest.mark.emulator
def test_trouble_that_is_no_race_is_raised_and_not_repeated(cloud: Any) -> None:
    rows = bound_limits(cloud.settings.resource("table", "counters"))
    DynamoLimits(rows).reserve(SERVER, Limits(hour=100), at(MINUTE))
    huge = type("Huge", (DynamoLimits,), {"_write": _too_large})
    with pytest.raises(PutError):
        huge(rows).reserve(SERVER, Limits(hour=100), at(MINUTE))
    assert rows._get_connection().connection._max_retry_attempts_exception == 0


def _too_large(self: DynamoLimits, server: ServerId, version: int, *_: Any) -> bool:
    row = self._rows(f"limit#{server}", "limit")
    row.ver, row.ring = version + 1, "x" * 500_000  # an item has 400 KB
    row.save(condition=self._rows.ver == version)
    return True
