"""The arithmetic of a send limit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.send_limit import SLOTS, Notice, Ring, Slice, reserve, slice_size

MINUTE = 29_333_333


@pytest.mark.parametrize(
    ("limit", "size"), [(0, 1), (1, 1), (99, 1), (100, 1), (250, 2), (10_000, 100)]
)
def test_a_slice_is_a_hundredth_and_at_least_one(limit: int, size: int) -> None:
    assert slice_size(limit) == size


def test_slices_are_had_until_the_limit_is_reached() -> None:
    ring, had = Ring(), 0
    while (reservation := reserve(ring, limit=250, minute=MINUTE)).slice.size:
        ring, had = reservation.ring, had + reservation.slice.size
    assert had == 250
    assert reservation.used == 250


def test_a_server_that_may_send_nothing_is_refused_at_once() -> None:
    reservation = reserve(Ring(), limit=0, minute=MINUTE)
    assert (reservation.slice.size, reservation.notice) == (0, Notice.EXCEEDED)


def test_the_last_slice_may_be_smaller() -> None:
    ring = Ring({MINUTE: 9_950})
    assert reserve(ring, limit=10_000, minute=MINUTE).slice == Slice(MINUTE, 50)


def test_what_was_reserved_counts_for_sixty_one_minutes() -> None:
    full = Ring({MINUTE: 100})
    assert reserve(full, limit=100, minute=MINUTE + SLOTS - 1).slice.size == 0
    free = reserve(full, limit=100, minute=MINUTE + SLOTS)
    assert free.slice == Slice(MINUTE + SLOTS, 1)
    assert free.ring.reserved == {MINUTE + SLOTS: 1}  # what is over is not kept


def test_a_leftover_comes_back_into_its_own_slot() -> None:
    ring = Ring({MINUTE: 600, MINUTE + 1: 400})
    later = reserve(ring, limit=1000, minute=MINUTE + 2, leftover=Slice(MINUTE, 7))
    assert later.slice == Slice(MINUTE + 2, 7)
    assert later.ring.reserved == {MINUTE: 593, MINUTE + 1: 400, MINUTE + 2: 7}
    assert later.used == 1000


def test_a_leftover_whose_slot_is_gone_frees_nothing() -> None:
    ring = Ring({MINUTE: 100})
    refused = reserve(ring, limit=100, minute=MINUTE, leftover=Slice(MINUTE - SLOTS, 50))
    assert refused.slice.size == 0


def test_a_clock_that_is_behind_books_in_the_newest_slot() -> None:
    ring = Ring({MINUTE: 1})
    assert reserve(ring, limit=100, minute=MINUTE - 2).slice == Slice(MINUTE, 1)


def test_each_notice_comes_once_in_sixty_minutes() -> None:
    ring = Ring({MINUTE: 89})
    near = reserve(ring, limit=100, minute=MINUTE)
    assert (near.used, near.notice) == (90, Notice.APPROACHING)
    assert reserve(near.ring, limit=100, minute=MINUTE + 1).notice is None
    over = reserve(Ring({MINUTE: 100}, near.ring.notices), limit=100, minute=MINUTE)
    assert over.notice is Notice.EXCEEDED
    again = reserve(over.ring, limit=100, minute=MINUTE + 59)
    assert (again.notice, again.ring) == (None, over.ring)  # nothing to write
    late = Ring({MINUTE + 60: 100}, over.ring.notices)
    assert reserve(late, limit=100, minute=MINUTE + 60).notice is Notice.EXCEEDED


def test_below_nine_tenths_nobody_is_told() -> None:
    assert reserve(Ring({MINUTE: 88}), limit=100, minute=MINUTE).notice is None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=60), st.integers(0, 400))
@settings(max_examples=100)
def test_the_ring_never_holds_more_than_the_limit(steps: list[tuple[int, int]], limit: int) -> None:
    ring, minute, last = Ring(), MINUTE, None
    for wait, left in steps:
        minute += wait
        leftover = Slice(last.minute, min(left, last.size)) if last else None
        reservation = reserve(ring, limit=limit, minute=minute, leftover=leftover)
        ring, last = reservation.ring, reservation.slice
        assert sum(ring.reserved.values()) <= limit
        assert all(count > 0 for count in ring.reserved.values())
        assert len(ring.reserved) <= SLOTS
