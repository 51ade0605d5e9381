"""Statistics as people ask for them, and what a server uses."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.message import Server, ServerId
from mailroom.domain.send_limit import LimitAction, Limits, Period, times, zone_of
from mailroom.domain.statistic import DAY, HOUR, Dimension, Slot, Tally
from mailroom.errors import RangeError
from mailroom.fakes.limits import MemoryLimits
from mailroom.fakes.statistics import MemoryStatistics
from mailroom.usecases.statistics import By, Span, series, slot_of, span_of, values_of
from mailroom.usecases.usage import LimitUse, UsagePorts, Waiting, usage, waiting_of

SERVER, OTHER = ServerId("abcdefghij"), ServerId("bbbbbbbbbb")
NOW = datetime(2026, 3, 15, 13, 30, tzinfo=UTC).timestamp()
SLOT = slot_of(SERVER)


def at(*date):
    return datetime(*date, tzinfo=UTC).timestamp()


@pytest.fixture
def statistics():
    return MemoryStatistics()


def sent(statistics, when, count=1, slot=SLOT):
    token = f"{slot}{when}{count}"
    statistics.add([Tally(slot, int(when // HOUR), {"sent": count})], token)


def test_every_hour_has_a_point_and_the_empty_ones_too(statistics):
    sent(statistics, at(2026, 3, 15, 2, 59), 4)
    sent(statistics, at(2026, 3, 15, 3, 0), 2)
    span = span_of(By.HOUR, at(2026, 3, 15, 1, 20), at(2026, 3, 15, 4, 1), NOW)
    found = series([SLOT], span, statistics)
    assert [point.start for point in found.points] == [
        at(2026, 3, 15, hour) for hour in range(1, 5)
    ]
    assert [point.counts for point in found.points] == [{}, {"sent": 4}, {"sent": 2}, {}]
    assert found.total == {"sent": 6}
    assert found.units > 0


def test_months_are_made_of_days_and_have_their_own_lengths(statistics):
    for when in (at(2025, 12, 31, 23), at(2026, 1, 1), at(2026, 2, 28, 23), at(2026, 3, 1)):
        sent(statistics, when)
    sent(statistics, at(2025, 11, 30, 23), 50)
    span = span_of(By.MONTH, at(2025, 12, 24), None, NOW)
    found = series([SLOT], span, statistics)
    assert [(point.start, point.counts) for point in found.points] == [
        (at(2025, 12, 1), {"sent": 1}),
        (at(2026, 1, 1), {"sent": 1}),
        (at(2026, 2, 1), {"sent": 1}),
        (at(2026, 3, 1), {"sent": 1}),
    ]


@pytest.mark.parametrize(("by", "points"), [(By.HOUR, 24), (By.DAY, 30), (By.MONTH, 12)])
def test_without_a_range_it_is_the_last_ones(by, points, statistics):
    found = series([SLOT], span_of(by, None, None, NOW), statistics)
    assert len(found.points) == points
    assert found.points[-1].start <= NOW < found.points[-1].start + 31 * DAY


@pytest.mark.parametrize(
    ("by", "seconds"), [(By.HOUR, 31 * 24 * HOUR), (By.DAY, 400 * DAY), (By.MONTH, 1_830 * DAY)]
)
def test_a_range_has_a_longest_length(by, seconds):
    assert len(span_of(by, NOW - seconds + 31 * DAY, NOW, NOW)) > 0
    with pytest.raises(RangeError):
        span_of(by, NOW - seconds - 31 * DAY, NOW, NOW)


def test_a_range_that_ends_before_it_begins_is_refused():
    with pytest.raises(RangeError):
        span_of(By.DAY, NOW, NOW - 2 * DAY, NOW)


@given(st.sampled_from(By), st.floats(0, 4e9), st.integers(0, 23))
def test_points_follow_each_other_without_a_gap(by, since, more):
    span = span_of(by, since, None, since + more * 30 * HOUR)
    starts = [start for _, start in span.starts()]
    assert starts == sorted(set(starts))
    assert starts[0] <= since
    first, last = span.rows
    unit = HOUR if by is By.HOUR else DAY
    assert first * unit == starts[0]
    following = list(Span(by, span.last, span.last + 1).starts())[-1][1]
    assert (last + 1) * unit == following


def test_an_organisation_is_the_sum_of_its_servers(statistics):
    sent(statistics, NOW, 2)
    sent(statistics, NOW, 3, slot_of(OTHER))
    span = span_of(By.DAY, None, None, NOW)
    found = series([SLOT, slot_of(OTHER)], span, statistics)
    assert found.total == {"sent": 5}
    assert found.units == 2 * series([SLOT], span, statistics).units


def test_an_organisation_with_too_many_servers_asks_for_less(statistics):
    slots = [slot_of(ServerId(f"s{number:09d}")) for number in range(100)]
    assert series(slots, span_of(By.DAY, None, None, NOW), statistics).total == {}
    with pytest.raises(RangeError):
        series(slots, span_of(By.DAY, NOW - 300 * DAY, None, NOW), statistics)
    # One server alone may always have the whole range.
    assert series(slots[:1], span_of(By.MONTH, NOW - 1_800 * DAY, None, NOW), statistics)


def test_dimensions_are_apart_and_long_values_are_cut_as_they_were_counted(statistics):
    slot = slot_of(SERVER, Dimension.TAG, "t" * 200)
    sent(statistics, NOW, 1, Slot(SERVER, Dimension.TAG, "t" * 64))
    assert series([slot], span_of(By.DAY, None, None, NOW), statistics).total == {"sent": 1}
    assert series([SLOT], span_of(By.DAY, None, None, NOW), statistics).total == {}


def test_values_of_a_range(statistics):
    day = int(NOW // DAY)
    statistics.admit(SERVER, Dimension.TAG, day, "b")
    statistics.admit(SERVER, Dimension.TAG, day - 1, "a")
    assert values_of(SERVER, Dimension.TAG, span_of(By.HOUR, NOW, None, NOW), statistics) == ["b"]
    span = span_of(By.DAY, None, None, NOW)
    assert values_of(SERVER, Dimension.TAG, span, statistics) == ["a", "b"]
    with pytest.raises(RangeError):
        values_of(SERVER, Dimension.TAG, span_of(By.MONTH, NOW - 900 * DAY, None, NOW), statistics)


def test_a_million_deliveries_cost_a_month_what_a_thousand_do():
    few, many = MemoryStatistics(), MemoryStatistics()
    for statistics, deliveries in ((few, 1_000), (many, 1_000_000)):
        for day in range(31):
            sent(statistics, NOW - day * DAY, deliveries // 31)
    span = span_of(By.MONTH, NOW, None, NOW)
    cost = series([SLOT], span, few)
    assert series([SLOT], span, many).units == cost.units
    assert cost.total["sent"] < 1_000


def tallied(statistics, when, **counts):
    statistics.add([Tally(SLOT, int(when // HOUR), counts)], f"{when}{counts}")


def test_what_is_used_of_each_limit(statistics):
    limits = MemoryLimits()
    wanted = Limits(hour=100, day=500, action=LimitAction.DELAY)
    zone = "Asia/Tokyo"
    server = Server(SERVER, "o", "n", "p", "abcdef", limits=wanted, time_zone=zone)
    limits.reserve(SERVER, wanted, times(NOW - 2 * HOUR, zone_of(zone)), wanted=70)
    limits.reserve(SERVER, wanted, times(NOW, zone_of(zone)), wanted=7)
    tallied(statistics, NOW, accepted=5, sent=3, bounced=1, bounced_hard=1)
    tallied(statistics, NOW - 3 * HOUR, accepted=10, sent=10)
    tallied(statistics, at(2026, 3, 1), accepted=20, sent=20)
    tallied(statistics, at(2026, 2, 28), accepted=40, sent=40)
    found = usage(server, NOW, UsagePorts(statistics, limits))
    midnight = at(2026, 3, 15, 15)  # in Tokyo
    assert found.limits == [
        LimitUse(Period.HOUR, 100, 7, None),
        LimitUse(Period.DAY, 500, 77, midnight),
    ]
    assert found.action is LimitAction.DELAY
    assert found.accepted == {Period.HOUR: 5, Period.DAY: 15, Period.MONTH: 35}
    assert found.waiting == Waiting(queued=1, held=0)
    assert (found.rates.volume, found.rates.bounced_hard) == (14, 1)


def test_a_server_without_limits_has_none_to_use(statistics):
    server = Server(SERVER, "o", "n", "p", "abcdef")
    assert usage(server, NOW, UsagePorts(statistics, MemoryLimits())).limits == []


@pytest.mark.parametrize(
    ("counts", "waiting"),
    [
        ({}, Waiting(0, 0)),
        ({"accepted": 10, "sent": 4, "bounced": 1, "deferred": 9}, Waiting(5, 0)),
        ({"accepted": 10, "held": 4, "released": 1}, Waiting(7, 3)),
        ({"accepted": 10, "held": 4, "cancelled": 4}, Waiting(6, 0)),
        ({"accepted": 2, "bounced": 2, "retried": 1}, Waiting(1, 0)),
        ({"accepted": 3, "uncertain": 3, "uncertain_final": 1}, Waiting(2, 0)),
        ({"sent": 4, "released": 9}, Waiting(0, 0)),  # accepted before the days that are counted
    ],
)
def test_what_waits_is_what_came_and_did_not_end(counts, waiting):
    assert waiting_of(counts) == waiting


@settings(max_examples=50)
@given(
    st.dictionaries(st.sampled_from(["accepted", "sent", "held", "released"]), st.integers(0, 99))
)
def test_less_than_nothing_never_waits(counts):
    found = waiting_of(counts)
    assert found.queued >= 0
    assert found.held >= 0
