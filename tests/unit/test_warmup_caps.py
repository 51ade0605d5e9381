"""Caps are never passed: two processes, lost answers, crashes, freezes, midnights."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.warmup.allowance import REFILL_SECONDS, Allowance
from mailroom.domain.warmup.booking import Booking, Wish, load_book, reserve
from mailroom.domain.warmup.plan import load_plan, slice_size
from mailroom.domain.warmup.progress import DAY, HOUR, Caps
from mailroom.fakes.control import MemoryControl
from mailroom.usecases.warmup import WarmUpPorts, booked_of, give_back
from mailroom.usecases.warmup import reserve as reserve_row
from tests.support.flaky_control import FlakyControl, OutOfReachError

MIDNIGHT = 46_300 * DAY
PLACE = ("ip_1", "gmail")


class Host:
    """One process with one address and group, as `egress/warmup.py` runs it."""

    def __init__(self, name: str, cap: int, control: FlakyControl) -> None:
        self.name = name
        self.cap = cap
        self.plan = load_plan("mine", {"days": [cap]})
        self.ports = WarmUpPorts(control)
        self.allowance = Allowance()
        self.flying: list[float] = []  # when they began

    def book(self, now: float) -> None:
        wish = self.allowance.wish(now)
        if wish is None:
            return
        have = self.allowance.booking
        try:
            got = reserve_row(
                *PLACE, plan=self.plan, holder=self.name, have=have, wish=wish, ports=self.ports
            )
        except OutOfReachError:
            return
        assert got.granted is not None
        self.allowance.granted(got.granted, self.cap)

    def give_back(self, now: float) -> None:
        left = self.allowance.give_back(now)
        if left is not None:
            try:
                give_back(*PLACE, holder=self.name, have=left, ports=self.ports)
            except OutOfReachError:
                return


class Ledger:
    """What the receiver saw."""

    def __init__(self) -> None:
        self.began: Counter[int] = Counter()  # attempts by hour
        self.kept: Counter[int] = Counter()  # of these, accepted, by the hour they began in
        self.accepted: Counter[int] = Counter()  # by the hour they were accepted in

    def check(self, cap: int, *, by_acceptance: bool) -> None:
        caps = Caps.of(cap)
        assert max(self.began.values(), default=0) <= caps.hour_tries
        assert max(by_day(self.began).values(), default=0) <= caps.day_tries
        for counted in [self.kept] + [self.accepted] * by_acceptance:
            assert max(counted.values(), default=0) <= caps.hour
            assert max(by_day(counted).values(), default=0) <= caps.day


def by_day(hours: Counter[int]) -> Counter[int]:
    days: Counter[int] = Counter()
    for hour, count in hours.items():
        days[hour * HOUR // DAY] += count
    return days


def finish(host: Host, ledger: Ledger, now: float, accepted: bool) -> None:
    began = host.flying.pop(0)
    if accepted:
        ledger.kept[int(began // HOUR)] += 1
        ledger.accepted[int(now // HOUR)] += 1
        host.allowance.accepted(now)
    else:
        host.allowance.refused(now)


def begin(host: Host, ledger: Ledger, now: float) -> bool:
    if host.allowance.earliest(now) > now:
        return False
    assert host.allowance.take(now)
    host.flying.append(now)
    ledger.began[int(now // HOUR)] += 1
    return True


class World:
    """Two processes, and what happens to them."""

    def __init__(self, hosts: list[Host], chance: Random) -> None:
        self.hosts = hosts
        self.chance = chance
        self.ledger = Ledger()
        self.now = MIDNIGHT - 2.5 * HOUR
        self.runs = 0

    def step(self, what: str, who: int, share: float) -> None:
        host = self.hosts[who]
        if what == "send":
            for _ in range(1 + int(share * host.cap / 8)):
                host.book(self.now)
                begin(host, self.ledger, self.now)
        elif what in {"ok", "no"}:
            for _ in range(min(len(host.flying), int(share * len(host.flying)) + 1)):
                finish(host, self.ledger, self.now, what == "ok")
        elif what == "crash":
            self.crash(who)
        elif what == "give back":
            host.give_back(self.now)
        else:  # time goes on, for a process that stands still by hours
            self.now += share * (300 if what == "wait" else 4 * HOUR)

    def crash(self, who: int) -> None:
        host = self.hosts[who]
        while host.flying:  # some of these were accepted, and nobody noted it
            finish(host, self.ledger, self.now, self.chance.random() < 0.5)
        self.runs += 1
        control = host.ports.control
        assert isinstance(control, FlakyControl)
        self.hosts[who] = Host(f"run-{self.runs}", host.cap, control)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["send", "send", "send", "ok", "ok", "no", "crash", "give back", "wait", "freeze"]
        ),
        st.integers(0, 1),
        st.floats(0, 1),
    ),
    max_size=300,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from([1, 7, 50, 400]), st.randoms(use_true_random=False))
def test_two_processes_at_once_never_begin_more_than_the_caps(
    steps: list[tuple[str, int, float]], cap: int, chance: Random
) -> None:
    """What began in an hour or a day and was accepted, whenever that was, is within its cap."""
    store = MemoryControl()
    trouble = {"before": 0.1, "after": 0.1}
    control = FlakyControl(
        store,
        before=lambda: chance.random() < trouble["before"],
        after=lambda: chance.random() < trouble["after"],
    )
    world = World([Host("a", cap, control), Host("b", cap, control)], chance)
    for what, who, share in steps:
        world.step(what, who, share)
    for host in world.hosts:
        while host.flying:
            finish(host, world.ledger, world.now, accepted=True)
    world.ledger.check(cap, by_acceptance=False)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cap", [10, 50, 1_000])
def test_the_cap_holds_across_midnight_restart_and_fail_over(cap: int, seed: int) -> None:
    """Three days of steady need; the address changes hosts by crash and by shutdown.

    Counted by when a message began and by when it was accepted: both are within the caps. What is
    lost with a crash is one slice of that hour at most, so the caps are used nearly fully.
    """
    chance = Random(seed)
    store, ledger = MemoryControl(), Ledger()
    control = FlakyControl(store, after=lambda: chance.random() < 0.02)
    host, hosts, crashes = Host("host-0", cap, control), 1, 0
    now, ends = float(MIDNIGHT - 6 * HOUR), MIDNIGHT + 3 * DAY
    pause = 10.0 if cap >= 1_000 else 45.0
    while now < ends:
        host.book(now)
        began = len(host.flying) < 2 and begin(host, ledger, now)
        if host.flying and not began:
            finish(host, ledger, now, chance.random() < 0.85)
        if chance.random() < 0.002:
            crashed = chance.random() < 0.5
            crashes += crashed
            while host.flying:  # the connections are closed with the process
                finish(host, ledger, now, chance.random() < 0.5)
            if not crashed:
                host.give_back(now)
            host, hosts = Host(f"host-{hosts}", cap, control), hosts + 1
        now += pause
    ledger.check(cap, by_acceptance=True)
    assert hosts > 3
    days = by_day(ledger.accepted)
    for day in range(MIDNIGHT // DAY, ends // DAY):
        assert days[day] >= cap - slice_size(cap) * (crashes + 5) - 2


def test_an_hour_that_is_used_up_says_when_the_next_begins() -> None:
    host = Host("a", 50, FlakyControl(MemoryControl()))
    ledger, now = Ledger(), MIDNIGHT + 900.0
    assert host.allowance.earliest(now) == now + REFILL_SECONDS
    for _ in range(5):
        host.book(now)
        assert begin(host, ledger, now)
    host.book(now)
    assert host.allowance.earliest(now) == MIDNIGHT + HOUR
    assert host.allowance.wish(now) is None
    finish(host, ledger, now, accepted=False)
    assert host.allowance.earliest(now) == now  # another may go instead
    assert begin(host, ledger, now)
    assert host.allowance.earliest(now) == MIDNIGHT + HOUR
    assert host.allowance.earliest(MIDNIGHT + HOUR) == MIDNIGHT + HOUR + REFILL_SECONDS


def test_a_day_that_is_used_up_says_when_the_next_begins() -> None:
    host = Host("a", 10, FlakyControl(MemoryControl()))
    for hour in range(11):
        now = MIDNIGHT + hour * HOUR + 1.0
        host.book(now)
        if begin(host, Ledger(), now):
            host.allowance.accepted(now)
    assert host.allowance.earliest(now) == MIDNIGHT + DAY
    host.book(MIDNIGHT + DAY + 1.0)
    assert begin(host, Ledger(), MIDNIGHT + DAY + 1.0)


def test_attempts_have_a_cap_of_their_own() -> None:
    host, ledger, now = Host("a", 50, FlakyControl(MemoryControl())), Ledger(), MIDNIGHT + 1.0
    for _ in range(20):
        host.book(now)
        if begin(host, ledger, now):
            finish(host, ledger, now, accepted=False)
    assert ledger.began[MIDNIGHT // HOUR] == 6  # 1.3 times the 5 of an hour
    assert host.allowance.earliest(now) == MIDNIGHT + HOUR


def test_what_is_given_back_goes_to_the_next_host() -> None:
    control = FlakyControl(MemoryControl())
    first, second = Host("a", 5_000, control), Host("b", 5_000, control)
    now = MIDNIGHT + 1.0
    first.book(now)
    first.book(now)  # the first slice is one message; now the size is known
    assert begin(first, Ledger(), now)
    assert booked_of(*PLACE, now, first.ports).units == 100
    first.give_back(now)
    assert booked_of(*PLACE, now, first.ports) == Booking(1, 1, int(now // HOUR), 1, 1)
    second.book(now)
    second.book(now)
    assert booked_of(*PLACE, now, first.ports).units == 101


def test_what_was_given_back_is_not_used_any_more() -> None:
    host, now = Host("a", 5_000, FlakyControl(MemoryControl())), MIDNIGHT + 1.0
    host.book(now)
    host.give_back(now)
    assert not begin(host, Ledger(), now)
    host.book(now)
    assert begin(host, Ledger(), now)


def test_what_is_under_way_at_midnight_is_counted_again_and_not_given_twice() -> None:
    control, ledger = FlakyControl(MemoryControl()), Ledger()
    first, second = Host("a", 50, control), Host("b", 50, control)
    for _ in range(2):
        first.book(MIDNIGHT - 1.0)
        assert begin(first, ledger, MIDNIGHT - 1.0)
    now = MIDNIGHT + 1.0
    for _ in range(5):
        second.book(now)
        assert begin(second, ledger, now)
    finish(first, ledger, now, accepted=False)
    first.book(now)
    assert not begin(first, ledger, now)  # the other host has all of this hour
    first.allowance.refused(now)
    first.book(now + HOUR)
    assert begin(first, ledger, now + HOUR)


def test_an_end_that_nobody_heard_of_costs_an_hour_and_no_more() -> None:
    host, ledger = Host("a", 10, FlakyControl(MemoryControl())), Ledger()
    host.book(MIDNIGHT + 1.0)
    assert begin(host, ledger, MIDNIGHT + 1.0)
    for hour, may in ((1, False), (2, True)):
        now = MIDNIGHT + hour * HOUR + 1.0
        host.book(now)
        assert begin(host, ledger, now) is may
    host.allowance.accepted(now)
    host.allowance.accepted(now)
    assert host.allowance.in_flight == 0
    host.allowance.refused(now)  # of one that is forgotten: makes no room
    assert not begin(host, ledger, now)


def test_a_booking_that_was_written_twice_is_as_good_as_one() -> None:
    caps, have = Caps.of(50), Booking(hour=10)
    book, granted = reserve({}, "a", have, Wish(1, 2), caps)
    again, _ = reserve(book, "a", have, Wish(1, 2), caps)
    assert again == book == {"a": Booking(1, 2, 10, 1, 2)}
    assert granted.booking == book["a"]


def test_a_row_stays_small_and_forgets_nothing_that_is_booked() -> None:
    caps, book = Caps.of(10_000), load_book({})
    for number in range(60):
        book, _ = reserve(book, f"run-{number}", Booking(hour=7), Wish(10, 13), caps)
        assert len(book) <= 16
    assert sum(each.units for each in book.values()) == 600
    assert sum(each.in_hour(7).hour_tries for each in book.values()) == 780


@given(st.data())
def test_what_is_granted_is_never_over_a_cap(data: st.DataObject) -> None:
    small = st.integers(0, 70)
    booking = st.builds(Booking, small, small, st.integers(5, 7), small, small)
    book = data.draw(st.dictionaries(st.sampled_from("abc"), booking, max_size=3))
    have = Booking(hour=7)
    caps = Caps.of(data.draw(st.integers(1, 100)))
    after, granted = reserve(book, "me", have, data.draw(st.builds(Wish, small, small)), caps)
    before = [each.in_hour(7) for each in book.values()]
    got = granted.booking
    assert after["me"] == got
    assert not got.units or got.units + sum(each.units for each in before) <= caps.day
    assert not got.tries or got.hour_tries + sum(e.hour_tries for e in before) <= caps.hour_tries
