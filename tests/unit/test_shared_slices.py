"""Limits over several hosts: never over them, whatever happens, and nearly all of them used."""

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import SharedLimit, SharedScope
from mailroom.domain.sending.slices import (
    CLAIM_SECONDS,
    CUT_OFF_SECONDS,
    QUIET_SECONDS,
    SLICE_SECONDS,
    Booked,
    Bucket,
    Claim,
    Slice,
    book,
    dump_bucket,
    leave,
    load_bucket,
    slice_place,
)
from mailroom.domain.sending.turns import BOOKING_SECONDS, Turns, Wish
from mailroom.domain.tenancy.record import Record
from mailroom.fakes.control import MemoryControl
from mailroom.usecases.slices import Booker, SlicePorts, book_turns, give_back, look
from tests.support.flaky_control import FlakyControl, OutOfReachError

START = 4_000_000_000.0
LIMIT = SharedLimit(SharedScope.POOL_PROVIDER, ("*", "gmail"), Rate(10))


def tolerance(rate: Rate) -> float:
    """How many more than `rate * w` may leave in any time `w`: one slice and one message."""
    return max(1.0, rate.per_second * SLICE_SECONDS) + 1.0


@dataclass
class Call:
    """A booking under way: its row was read, it is written at `ends`."""

    ends: float
    began: float
    wish: Wish
    seen: Record | None


@dataclass
class Process:
    """One host with one key, as `egress/shared_limits.py` runs it."""

    name: str
    key: tuple[SharedLimit, tuple[str, ...]]
    control: FlakyControl
    live: int
    demand: float  # messages a second that it would send
    turns: Turns = field(init=False)
    call: Call | None = None
    frozen_until: float = 0.0
    cut_off: bool = False
    waiting: float = 0.0

    def __post_init__(self) -> None:
        self.turns = Turns(self.key[0].rate)

    @property
    def ports(self) -> SlicePorts:
        return SlicePorts(self.control)

    def run(self, now: float, seconds: float, chance: Random) -> int:
        """Live for `seconds`; return how many messages went out."""
        if now < self.frozen_until:
            return 0
        self.control.before = lambda: self.cut_off
        self.waiting = min(50.0, self.waiting + self.demand * seconds)
        sent = 0
        while self.waiting >= 1 and self.turns.earliest(now) <= now:
            assert self.turns.take(now)
            self.waiting -= 1
            sent += 1
        self.look_after(now, chance)
        return sent

    def look_after(self, now: float, chance: Random) -> None:
        if self.call is not None:
            if self.call.ends <= now:
                call, self.call = self.call, None
                self.write(call, now)
            return
        wish = self.turns.wish(now)
        if wish is not None:
            try:
                seen = look(self.key, self.ports)
            except OutOfReachError:
                self.turns.failed(now, in_doubt=False)
            else:
                self.call = Call(now + chance.uniform(0.005, 0.1), now, wish, seen)
        elif self.turns.leaves(now):
            self.end(now)

    def write(self, call: Call, now: float) -> None:
        by = Booker(self.name, self.live)
        try:
            booked = book_turns(self.key, call.seen, call.wish, by, call.began, self.ports)
        except OutOfReachError:
            self.turns.failed(now, in_doubt=True)
            return
        if booked is not None:
            self.turns.booked(booked)

    def end(self, now: float) -> None:
        unused = self.turns.give_up(now)
        try:
            give_back(self.key, self.name, unused, self.ports)
        except OutOfReachError:
            return


def most_over(sent: list[float], rate: float) -> float:
    """By how many messages the worst span of time is over the rate."""
    least, worst = float("inf"), float("-inf")
    for number, at in enumerate(sent):
        least = min(least, number - rate * at)
        worst = max(worst, number + 1 - rate * at - least)
    return worst


def swarm(rate: Rate, demands: list[float], store: MemoryControl) -> list[Process]:
    limit = SharedLimit(SharedScope.POOL_PROVIDER, ("*", "gmail"), rate)
    key = (limit, ("pool_1", "gmail"))
    return [
        Process(f"p{number}", key, FlakyControl(store), len(demands), demand)
        for number, demand in enumerate(demands)
    ]


def simulate(
    processes: list[Process], seconds: float, chance: Random, *, chaos: float = 0.0
) -> list[float]:
    """Return when messages were sent. `chaos` is how many mishaps a process has in a second."""
    sent: list[float] = []
    tick, now, runs = 0.02, START, 0
    while now < START + seconds:
        for number, process in enumerate(processes):
            sent += [now] * process.run(now, tick, chance)
            if chance.random() < chaos * tick:
                runs += mishap(processes, number, now, chance, f"run-{runs}")
        now += tick
    return sent


def mishap(processes: list[Process], number: int, now: float, chance: Random, name: str) -> int:
    process = processes[number]
    what = chance.choice(["freeze", "crash", "cut off", "cut off", "back", "doubt", "restart"])
    if what == "freeze":
        process.frozen_until = now + chance.choice([1, 8, 25, 70])
    elif what == "cut off":
        process.cut_off = True
    elif what == "back":
        process.cut_off = False
    elif what == "doubt":
        lost = iter([True])
        process.control.after = lambda: next(lost, False)
    else:
        if what == "restart":
            process.end(now)
        processes[number] = Process(
            name, process.key, FlakyControl(process.control._inner), process.live, process.demand
        )
    return 1


@pytest.mark.parametrize(
    ("rate", "demands"),
    [
        (Rate(10), [20.0]),
        (Rate(10), [20.0, 20.0]),
        (Rate(10), [20.0, 1.0]),
        (Rate(40), [9.0, 9.0, 9.0, 9.0, 9.0]),  # none of them could use a whole slice
        (Rate(60, 60), [5.0] * 8),
        (Rate(6, 60), [1.0, 1.0]),
        (Rate(200), [300.0, 300.0, 10.0]),
    ],
    ids=lambda value: str(value).replace(" ", ""),
)
def test_steady_need_uses_nine_tenths_and_never_more(rate: Rate, demands: list[float]) -> None:
    chance = Random(1)
    processes = swarm(rate, demands, MemoryControl())
    sent = simulate(processes, 200.0, chance)
    assert most_over(sent, rate.per_second) <= tolerance(rate)
    steady = [at for at in sent if at >= START + 20]
    assert len(steady) >= 0.9 * 180 * rate.per_second


@pytest.mark.parametrize("seed", range(30))
def test_no_mishap_leads_over_the_limit(seed: int) -> None:
    """One slice and one message is the tolerance, and one for each process on its share."""
    chance = Random(seed)
    rate = chance.choice([Rate(1), Rate(5), Rate(20), Rate(10, 60)])
    count = chance.choice([1, 2, 3, 5])
    demands = [chance.choice([0.3, 2.0, 10.0, 30.0]) * rate.per_second for _ in range(count)]
    processes = swarm(rate, demands, MemoryControl())
    sent = simulate(processes, 400.0, chance, chaos=0.04)
    assert most_over(sent, rate.per_second) <= tolerance(rate) + count


@pytest.mark.parametrize("cut_off", [1, 2, 4])
def test_who_is_cut_off_goes_on_at_its_share_and_the_others_leave_it_alone(cut_off: int) -> None:
    chance, rate = Random(3), Rate(20)
    processes = swarm(rate, [40.0] * 4, MemoryControl())
    before = simulate(processes, 60.0, chance)
    for process in processes[:cut_off]:
        process.cut_off = True
    per: dict[str, list[float]] = {process.name: [] for process in processes}
    now = START + 60.0
    while now < START + 60.0 + 100.0:
        for process in processes:
            per[process.name] += [now] * process.run(now, 0.02, chance)
        now += 0.02
    after = sorted(at for sent in per.values() for at in sent)
    assert most_over(before + after, rate.per_second) <= tolerance(rate) + cut_off
    alone = [at for process in processes[:cut_off] for at in per[process.name]]
    first, last = START + 60 + CUT_OFF_SECONDS, START + 60 + CLAIM_SECONDS - 2
    shared = [at for at in alone if first <= at < last]
    assert 0.8 * (last - first) * 5 * cut_off <= len(shared) <= (last - first) * 5 * cut_off + 4
    assert not [at for at in alone if at > START + 60 + CLAIM_SECONDS]  # it stands still
    if cut_off < 4:
        late = [at for at in after if at > START + 60 + CLAIM_SECONDS + 5]
        assert len(late) >= 0.9 * 20 * 35  # and the others have all of it


def test_who_never_had_a_claim_waits() -> None:
    process = swarm(Rate(10), [10.0], MemoryControl())[0]
    process.cut_off = True
    assert simulate([process], 100.0, Random(1)) == []


def test_a_key_without_need_costs_nothing() -> None:
    process = swarm(Rate(10), [10.0], MemoryControl())[0]
    simulate([process], 30.0, Random(1))
    process.demand = process.waiting = 0.0
    now = START + 30.0
    while now < START + 60.0:
        process.look_after(now, Random(1))
        now += 0.02
    calls = process.control.calls
    assert process.turns.is_idle(now)
    held = look(process.key, process.ports)
    assert held is not None
    assert load_bucket(held.body).claims == {}  # it has let go of its claim
    process.look_after(now, Random(1))
    assert process.control.calls == calls + 1


def test_a_busy_key_costs_about_one_booking_in_five_seconds() -> None:
    process = swarm(Rate(100), [200.0], MemoryControl())[0]
    simulate([process], 30.0, Random(1))
    calls = process.control.calls
    now = START + 30.0
    while now < START + 80.0:
        process.run(now, 0.02, Random(1))
        now += 0.02
    assert process.control.calls - calls <= 2 * 50 / 2.5 + 2


def test_unused_turns_at_the_end_are_given_back() -> None:
    bucket, booked = book(Bucket(), "a", Rate(10), wanted=50, steady=True, live=2, now=START)
    assert booked == Booked(Slice(START, 0.1, 50), START, Claim(START, 0.5))
    assert bucket.tat == START + 5
    given = leave(bucket, "a", Slice(START + 2, 0.1, 30))
    assert given == Bucket(START + 2, {})
    behind, _ = book(bucket, "b", Rate(10), wanted=1, steady=False, live=2, now=START)
    assert leave(behind, "a", Slice(START + 2, 0.1, 30)).tat == behind.tat


def test_turns_are_given_away_ten_seconds_ahead_and_no_further() -> None:
    bucket = Bucket()
    for name in "abc":
        bucket, booked = book(bucket, name, Rate(10), wanted=50, steady=False, live=3, now=START)
        assert booked.turns is not None
    assert bucket.tat == START + 15
    after, booked = book(bucket, "d", Rate(10), wanted=50, steady=False, live=3, now=START)
    assert (after, booked) == (bucket, Booked(None, START + 5, None))


def test_the_share_of_the_silent_is_left_alone() -> None:
    bucket = Bucket(0.0, {"gone": Claim(START, 0.25), "long gone": Claim(START - 60, 0.5)})
    _, fresh = book(bucket, "me", Rate(10), wanted=1, steady=False, live=4, now=START + 9)
    _, later = book(
        bucket, "me", Rate(10), wanted=1, steady=False, live=4, now=START + QUIET_SECONDS
    )
    _, over = book(bucket, "me", Rate(10), wanted=1, steady=False, live=4, now=START + 60)
    assert [each.turns.step for each in (fresh, later, over) if each.turns] == [
        *(pytest.approx(0.1), pytest.approx(0.1 / 0.75), pytest.approx(0.1)),
    ]


def test_alone_with_a_silent_one_that_had_everything_nobody_sends() -> None:
    bucket = Bucket(0.0, {"gone": Claim(START, 1.0)})
    after, booked = book(bucket, "me", Rate(10), wanted=1, steady=True, live=1, now=START + 20)
    assert booked.turns is None
    assert booked.again == START + CLAIM_SECONDS
    assert sum(claim.share for claim in after.claims.values()) <= 1.0


_CLAIMS = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(Claim, st.floats(START - 70, START), st.sampled_from([0.0, 0.25])),
)


@settings(max_examples=200)
@given(
    _CLAIMS,
    st.floats(START - 100, START + 30),
    st.sampled_from(["a", "z"]),
    st.integers(0, 100),
    st.booleans(),
    st.integers(0, 9),
)
def test_shares_never_add_up_to_more_than_all(
    claims: dict[str, Claim], tat: float, holder: str, wanted: int, steady: bool, live: int
) -> None:
    bucket = Bucket(tat, claims)
    after, booked = book(
        bucket, holder, Rate(10), wanted=wanted, steady=steady, live=live, now=START
    )
    assert sum(claim.share for claim in after.claims.values()) <= 1.0 + 1e-9
    assert after.tat >= bucket.tat
    if booked.turns is not None:
        assert booked.turns.start >= max(tat, START)
        assert after.tat == booked.turns.end <= START + 15 / 0.25 + 1
    assert load_bucket(dump_bucket(after)) == after


def test_a_booking_in_doubt_puts_the_share_off_as_if_it_were_written() -> None:
    turns = Turns(Rate(10))
    turns.booked(Booked(None, START, Claim(START, 0.5)))
    turns.failed(START + 40, in_doubt=False)
    assert turns.earliest(START + 40) == START + 40
    turns.failed(START + 20, in_doubt=True)  # the others may have seen us at 20
    assert turns.earliest(START + 40) == START + 40 + BOOKING_SECONDS
    assert not turns.take(START + 40)
    assert turns.take(START + 20 + CUT_OFF_SECONDS)
    assert not turns.take(START + 20 + CUT_OFF_SECONDS + 0.19)  # five a second


def test_a_turn_of_a_slow_limit_waits_for_its_next() -> None:
    turns = Turns(Rate(1, 60))
    assert turns.earliest(START) == START + BOOKING_SECONDS
    turns.booked(Booked(Slice(START + 8, 60.0, 1), START, None))
    assert turns.earliest(START) == START + 8
    assert not turns.take(START + 7)
    assert turns.earliest(START + 60) == START + 60
    assert turns.take(START + 67)
    assert not turns.take(START + 67)


def test_messages_that_go_away_come_back_one_by_one() -> None:
    turns = Turns(Rate(1, 10))
    turns.booked(Booked(Slice(START + 8, 10.0, 1), START, Claim(START, 0.5)))
    assert [turns.later(START) - START for _ in range(4)] == [8, 28, 48, 68]
    for _ in range(300):
        assert turns.later(START) <= START + 3_600
    assert turns.later(START + 9_000) == START + 9_000 + BOOKING_SECONDS


def test_a_turn_that_was_not_used_in_time_is_lost() -> None:
    turns = Turns(Rate(10))
    turns.booked(Booked(Slice(START, 0.1, 10), START, None))
    now = START + 5.55
    taken = 0
    while turns.take(now):
        taken += 1
    assert taken == 4  # those of the last five seconds


@pytest.mark.parametrize(
    ("key", "sort"),
    [
        (("pool_1", "gmail"), "pool_1#gmail"),
        (("a#b", "c%"), "a%23b#c%25"),
        (("",), "%"),
        (("x" * 401,), "%257d2e9bd85ba790"),
    ],
)
def test_keys_of_customers_make_one_row_each(key: tuple[str, ...], sort: str) -> None:
    place = slice_place(LIMIT, key)
    assert place.partition == "slice#pool-provider"
    assert place.sort.startswith(sort)
    assert len(place.sort) <= 400
