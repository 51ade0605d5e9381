"""The arithmetic of send limits: a rolling hour, calendar days and months."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.send_limit import (
    SLOTS,
    LimitAction,
    Limits,
    Notice,
    Period,
    Reservation,
    Slice,
    Times,
    Usage,
    Window,
    reserve,
    slice_size,
    times,
    zone_of,
)

START = 1_760_000_000.0  # 2025-10-09 08:53:20 UTC
MINUTE = 29_333_333
AT = times(START)


def at(minute: int) -> Times:
    return times(minute * 60.0)


def hourly(usage: Usage, limit: int, minute: int = MINUTE, **more: object) -> Reservation:
    return reserve(usage, limits=Limits(hour=limit), at=at(minute), **more)  # type: ignore[arg-type]


def names(reservation: Reservation) -> list[tuple[Period, Notice]]:
    return [(told.period, told.notice) for told in reservation.told]


@pytest.mark.parametrize(
    ("limits", "size"),
    [([0], 1), ([1], 1), ([99], 1), ([100], 1), ([250], 2), ([10_000], 100), ([10_000, 500], 5)],
)
def test_a_slice_is_a_hundredth_of_the_least_limit_and_at_least_one(
    limits: list[int], size: int
) -> None:
    assert slice_size(limits) == size


def test_slices_are_had_until_the_limit_is_reached() -> None:
    usage, had = Usage(), 0
    while (reservation := hourly(usage, 250)).slice.size:
        usage, had = reservation.usage, had + reservation.slice.size
    assert had == 250
    assert sum(usage.reserved.values()) == usage.day.used == usage.month.used == 250


def test_a_server_that_may_send_nothing_is_refused_at_once() -> None:
    reservation = hourly(Usage(), 0)
    assert (reservation.slice.size, names(reservation)) == (0, [(Period.HOUR, Notice.EXCEEDED)])


def test_the_last_slice_may_be_smaller() -> None:
    assert hourly(Usage({MINUTE: 9_950}), 10_000).slice.size == 50


def test_what_was_reserved_counts_for_sixty_one_minutes() -> None:
    full = Usage({MINUTE: 100})
    refused = hourly(full, 100, MINUTE + SLOTS - 1)
    assert (refused.slice.size, refused.retry_at) == (0, (MINUTE + SLOTS) * 60.0)
    free = hourly(full, 100, MINUTE + SLOTS)
    assert (free.slice.size, free.retry_at) == (1, None)
    assert free.usage.reserved == {MINUTE + SLOTS: 1}  # what is over is not kept


def test_a_leftover_comes_back_where_it_was_taken_from() -> None:
    usage = Usage({MINUTE: 600, MINUTE + 1: 400}, Window(AT.day, 1000), Window(AT.month, 5000))
    left = Slice(MINUTE, 7, AT.day, AT.month)
    later = hourly(usage, 1000, MINUTE + 2, leftover=left)
    assert later.slice == Slice(MINUTE + 2, 7, AT.day, AT.month)
    assert later.usage.reserved == {MINUTE: 593, MINUTE + 1: 400, MINUTE + 2: 7}
    assert (later.usage.day.used, later.usage.month.used) == (1000, 5000)


def test_a_leftover_whose_slot_and_day_are_gone_frees_nothing() -> None:
    usage = Usage({MINUTE: 100}, Window(AT.day, 100), Window(AT.month, 100))
    left = Slice(MINUTE - SLOTS, 50, AT.day - 1, AT.month - 1)
    refused = hourly(usage, 100, leftover=left)
    assert refused.slice.size == 0
    assert (refused.usage.day.used, refused.usage.month.used) == (100, 100)


def test_a_clock_that_is_behind_books_in_the_newest_slot_and_window() -> None:
    usage = Usage({MINUTE: 1}, Window(AT.day + 1, 3), Window(AT.month + 1, 3))
    reservation = hourly(usage, 100, MINUTE - 2)
    assert reservation.slice == Slice(MINUTE, 1, AT.day + 1, AT.month + 1)
    assert (reservation.usage.day.used, reservation.usage.month.used) == (4, 4)


@pytest.mark.parametrize(
    ("limits", "period", "ends"),
    [
        (Limits(day=10), Period.DAY, datetime(2025, 10, 10, tzinfo=UTC)),
        (Limits(month=10), Period.MONTH, datetime(2025, 11, 1, tzinfo=UTC)),
        (Limits(hour=1000, day=10, month=999), Period.DAY, datetime(2025, 10, 10, tzinfo=UTC)),
        (Limits(day=10, month=10), Period.MONTH, datetime(2025, 11, 1, tzinfo=UTC)),
    ],
)
def test_a_day_and_a_month_are_calendar_windows(
    limits: Limits, period: Period, ends: datetime
) -> None:
    usage = Usage()
    for _ in range(10):
        reservation = reserve(usage, limits=limits, at=AT)
        assert reservation.slice.size == 1
        usage = reservation.usage
    refused = reserve(usage, limits=limits, at=AT)
    assert (refused.slice.size, refused.retry_at) == (0, ends.timestamp())
    assert (period, Notice.EXCEEDED) in names(refused)
    assert reserve(usage, limits=limits, at=times(ends.timestamp())).slice.size == 1


@pytest.mark.parametrize(
    ("zone", "now", "day_ends", "month_ends"),
    [
        ("", "2025-10-09T08:53:20+00:00", "2025-10-10T00:00:00+00:00", "2025-11-01T00:00:00+00:00"),
        (
            "Europe/Berlin",  # the day that has 25 hours
            "2025-10-25T22:30:00+00:00",
            "2025-10-26T23:00:00+00:00",
            "2025-10-31T23:00:00+00:00",
        ),
        (
            "America/New_York",  # still the month before
            "2026-01-01T04:59:00+00:00",
            "2026-01-01T05:00:00+00:00",
            "2026-01-01T05:00:00+00:00",
        ),
        (
            "Asia/Kathmandu",
            "2025-12-31T18:14:00+00:00",
            "2025-12-31T18:15:00+00:00",
            "2025-12-31T18:15:00+00:00",
        ),
    ],
)
def test_days_and_months_end_at_midnight_of_the_zone(
    zone: str, now: str, day_ends: str, month_ends: str
) -> None:
    moment = times(datetime.fromisoformat(now).timestamp(), zone_of(zone))
    assert moment.day_ends == datetime.fromisoformat(day_ends).timestamp()
    assert moment.month_ends == datetime.fromisoformat(month_ends).timestamp()
    later = times(moment.day_ends, zone_of(zone))
    assert later.day == moment.day + 1


def test_a_zone_that_is_not_known_is_utc() -> None:
    assert zone_of("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    assert [zone_of(name) for name in ("", "Nowhere/At_All", "../etc/passwd")] == [UTC] * 3


def test_an_exact_number_is_had_whole_or_not_at_all() -> None:
    usage = Usage({MINUTE - 30: 5, MINUTE: 3})
    assert hourly(usage, 10, wanted=2).slice.size == 2
    refused = hourly(usage, 10, wanted=4)
    assert (refused.slice.size, refused.retry_at) == (0, (MINUTE - 30 + SLOTS) * 60.0)
    assert refused.usage.reserved == usage.reserved
    assert hourly(usage, 10, wanted=10).retry_at == (MINUTE + SLOTS) * 60.0


def test_each_notice_comes_once_in_its_period() -> None:
    near = hourly(Usage({MINUTE: 89}), 100)
    assert names(near) == [(Period.HOUR, Notice.APPROACHING)]
    assert (near.told[0].used, near.told[0].limit) == (90, 100)
    assert not hourly(near.usage, 100, MINUTE + 1).told
    daily = Limits(day=10)
    first = reserve(Usage(day=Window(AT.day, 8)), limits=daily, at=AT)
    assert names(first) == [(Period.DAY, Notice.APPROACHING)]
    assert not reserve(first.usage, limits=daily, at=AT).told
    tomorrow = Usage(day=Window(AT.day + 1, 8), notices=first.usage.notices)
    assert names(reserve(tomorrow, limits=daily, at=times(AT.day_ends))) == [
        (Period.DAY, Notice.APPROACHING)
    ]


def test_a_refusal_names_the_limits_that_refused_and_no_other() -> None:
    usage = Usage({MINUTE: 95}, Window(AT.day, 95))
    refused = reserve(usage, limits=Limits(hour=100, day=95), at=AT)
    assert names(refused) == [(Period.DAY, Notice.EXCEEDED)]


def test_a_notice_of_the_hour_comes_again_after_an_hour() -> None:
    exceeded = hourly(Usage({MINUTE: 100}), 100)
    assert names(exceeded) == [(Period.HOUR, Notice.EXCEEDED)]
    busy = Usage({MINUTE + 59: 100}, notices=exceeded.usage.notices)
    assert not hourly(busy, 100, MINUTE + 59).told
    assert names(hourly(busy, 100, MINUTE + 60)) == [(Period.HOUR, Notice.EXCEEDED)]


def test_what_a_limit_does_is_said_by_its_action() -> None:
    assert Limits().action is LimitAction.HOLD
    assert Limits(hour=1, month=3).by_period == {Period.HOUR: 1, Period.MONTH: 3}


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 20, 61, 600, 1500, 9000, 50_000]),  # minutes later
        st.integers(1, 30),  # slices wanted
        st.one_of(st.none(), st.integers(1, 5)),  # exactly so many at once
    ),
    max_size=40,
)


@given(
    st.one_of(st.none(), st.integers(0, 40)),
    st.one_of(st.none(), st.integers(0, 60)),
    st.one_of(st.none(), st.integers(0, 90)),
    STEPS,
)
@settings(max_examples=100, deadline=None)
def test_no_period_sees_more_than_its_limit(
    hour: int | None, day: int | None, month: int | None, steps: Sequence[tuple[int, int, int]]
) -> None:
    limits = Limits(hour, day, month)
    usage, minute, passed = Usage(), MINUTE, list[Times]()
    for later, count, wanted in steps:
        minute += later
        for _ in range(count):
            reservation = reserve(usage, limits=limits, at=at(minute), wanted=wanted)
            usage = reservation.usage
            passed += [at(minute)] * reservation.slice.size
            assert (reservation.retry_at is None) == bool(reservation.slice.size)
            assert (reservation.retry_at or 1e18) > minute * 60
        now = at(minute)
        if hour is not None:
            assert sum(each.minute > minute - 60 for each in passed) <= hour
        if day is not None:
            assert sum(each.day == now.day for each in passed) <= day
        if month is not None:
            assert sum(each.month == now.month for each in passed) <= month
