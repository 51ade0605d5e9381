"""Endpoints in trouble: who may call them, and what that costs."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.breaker import Policy, State, busy_delay, is_trouble, state
from mailroom.fakes.memory import FixedChance
from mailroom.fakes.notifying import MemoryGates
from mailroom.usecases.gatekeeper import Closed, Gatekeeper, Kind, Pass, jitter

NOW = 1_760_000_000.0
NAME = "server#hook#1"
POLICY = Policy()


class Calm(FixedChance):
    """Chance whose jitter is next to nothing, and whose names differ all the same."""

    def bits(self, count):
        return 32_767 if count == 16 else super().bits(count)


def keeper(gates=None, seed=0, policy=POLICY):
    return Gatekeeper(gates or MemoryGates(), Calm(seed), policy)


def call(one, now, status, seconds=0.1):
    """Let one call through and report its status."""
    given_ = one.enter(NAME, now)
    assert isinstance(given_, Pass)
    one.leave(given_, status, seconds=seconds, now=now + seconds)
    return given_


def fail_until_open(one, gates, start=NOW):
    """Let calls fail every ten seconds until the breaker opens; return the moment after that."""
    for n in range(20):
        call(one, start + 10 * n, 0)
        if gates.read(NAME)[0].opens:
            return start + 10 * n + 0.1
    raise AssertionError("it never opened")


def test_a_healthy_endpoint_costs_no_write():
    gates = MemoryGates()
    one = keeper(gates)
    for n in range(100):
        call(one, NOW + n, 200)
    assert gates.writes == 0


def test_five_failures_over_half_a_minute_open_it_for_all_processes():
    gates = MemoryGates()
    opened = fail_until_open(keeper(gates), gates)
    assert opened == NOW + 40.1
    assert gates.writes == 1
    refused = keeper(gates, seed=1).enter(NAME, opened)
    assert isinstance(refused, Closed)
    assert refused.until == pytest.approx(opened + 30, abs=0.01)


def test_a_short_burst_of_failures_does_not_open_it():
    gates = MemoryGates()
    one = keeper(gates)
    for n in range(20):
        call(one, NOW + n, 503)
    assert gates.writes == 0


def test_one_success_ends_the_streak():
    gates = MemoryGates()
    one = keeper(gates)
    for n in range(40):
        call(one, NOW + 10 * n, 200 if n % 4 == 3 else 0)
    assert gates.writes == 0


@pytest.mark.parametrize("status", [0, 408, 429, 500, 503, 599])
def test_these_are_the_endpoints_own_trouble(status):
    assert is_trouble(status)


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 404, 410, 422])
def test_these_are_not(status):
    assert not is_trouble(status)


def test_after_the_pause_exactly_one_call_probes():
    gates = MemoryGates()
    opened = fail_until_open(keeper(gates), gates)
    later = opened + 31
    passes = [keeper(gates, seed=n).enter(NAME, later) for n in range(2, 8)]
    assert [p.kind for p in passes if isinstance(p, Pass)] == [Kind.PROBE]
    assert all(p.until > later for p in passes if isinstance(p, Closed))


def test_an_answered_probe_closes_it_for_all():
    gates = MemoryGates()
    one, other = keeper(gates), keeper(gates, seed=1)
    opened = fail_until_open(one, gates)
    assert isinstance(other.enter(NAME, opened), Closed)
    probe = call(one, opened + 31, 204)
    assert probe.kind is Kind.PROBE
    assert call(other, opened + 32, 200).kind is Kind.FREE
    assert state(gates.read(NAME)[0], opened + 32) is State.CLOSED


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_a_quarter_of_an_hour():
    gates = MemoryGates()
    one = keeper(gates)
    now, pauses = fail_until_open(one, gates), []
    for _ in range(8):
        pauses.append(gates.read(NAME)[0].open_until - now)
        now = gates.read(NAME)[0].open_until + 1
        call(one, now, 0)
        now += 0.1
    assert pauses == pytest.approx([30, 60, 120, 240, 480, 900, 900, 900], abs=0.1)


def test_a_probe_that_never_came_back_is_taken_over():
    gates = MemoryGates()
    opened = fail_until_open(keeper(gates), gates)
    crashed = keeper(gates, seed=1).enter(NAME, opened + 31)
    assert isinstance(crashed, Pass)
    two = keeper(gates, seed=2)
    assert isinstance(two.enter(NAME, opened + 31 + POLICY.hold - 1), Closed)
    assert isinstance(two.enter(NAME, opened + 31 + POLICY.hold), Pass)


def test_a_slow_endpoint_gets_ten_calls_at_once_over_all_processes():
    gates = MemoryGates()
    call(keeper(gates), NOW, 200, seconds=3)
    processes = [keeper(gates, seed=n + 1) for n in range(15)]
    given_ = [one.enter(NAME, NOW + 4) for one in processes]
    assert sum(isinstance(each, Pass) for each in given_) == POLICY.places
    done = next(n for n, each in enumerate(given_) if isinstance(each, Pass))
    processes[done].leave(given_[done], 200, seconds=1, now=NOW + 5)
    assert isinstance(processes[-1].enter(NAME, NOW + 5), Pass)


def test_places_of_the_crashed_come_back():
    gates = MemoryGates()
    slow = Policy(slow_memory=1_000)
    call(keeper(gates, policy=slow), NOW, 200, seconds=3)
    for n in range(POLICY.places):
        assert isinstance(keeper(gates, n + 1, slow).enter(NAME, NOW + 4), Pass)
    last = keeper(gates, 99, slow)
    assert isinstance(last.enter(NAME, NOW + 5), Closed)
    assert isinstance(last.enter(NAME, NOW + 4 + POLICY.hold), Pass)


def test_an_endpoint_that_is_fast_again_is_free_again():
    gates = MemoryGates()
    one = keeper(gates)
    call(one, NOW, 200, seconds=3)
    assert call(one, NOW + 10, 200).kind is Kind.PLACE
    assert call(one, NOW + 3 + POLICY.slow_memory, 200).kind is Kind.FREE


def test_slowness_is_not_written_with_every_call():
    gates = MemoryGates()
    one = keeper(gates)
    passes = [one.enter(NAME, NOW) for _ in range(50)]
    for n, each in enumerate(passes):
        one.leave(each, 200, seconds=3, now=NOW + 3 + n / 10)
    assert gates.writes == 1


def test_who_is_sent_back_again_and_again_comes_less_often():
    waits = [busy_delay(n, POLICY, jitter=0) for n in range(12)]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]


def test_the_local_stack_divides_pauses_but_not_places():
    gates = MemoryGates()
    quick = Policy(divisor=60)
    one = keeper(gates, policy=quick)
    for n in range(5):
        call(one, NOW + n * 0.2, 0)
    refused = one.enter(NAME, NOW + 1)
    assert isinstance(refused, Closed)
    assert refused.until <= NOW + 3


def test_threads_of_a_process_share_one_gatekeeper():
    gates, lock = MemoryGates(), threading.Lock()

    class Locked(MemoryGates):
        def swap(self, name, gate, version):
            with lock:
                return gates.swap(name, gate, version)

        def read(self, name):
            with lock:
                return gates.read(name)

    one = Gatekeeper(Locked(), FixedChance(), POLICY)
    call(one, NOW, 200, seconds=3)
    with ThreadPoolExecutor(20) as pool:
        given_ = list(pool.map(lambda _: one.enter(NAME, NOW + 4), range(40)))
    passed = [each for each in given_ if isinstance(each, Pass)]
    assert len({each.holder for each in passed}) == len(passed) <= POLICY.places


def test_what_is_remembered_of_endpoints_is_bounded():
    one = keeper()
    for n in range(6_000):
        assert isinstance(one.enter(f"s#{n}", NOW), Pass)
    assert len(one._known) == 5_000


@given(st.integers(0, 65_535))
def test_jitter_stays_in_its_range(drawn):
    class Drawn:
        def bits(self, count):
            assert count == 16
            return drawn

    assert -1 <= jitter(Drawn()) <= 1


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 200, 404, 503]),
            st.floats(0.01, 12),
            st.floats(0.1, 200),
            st.integers(0, 2),
        ),
        max_size=60,
    )
)
def test_whatever_happens_an_endpoint_is_called_again_within_the_longest_pause(calls):
    gates = MemoryGates()
    processes, now = [keeper(gates, seed) for seed in range(3)], NOW
    for status, seconds, pause, who in calls:
        given_ = processes[who].enter(NAME, now)
        if isinstance(given_, Pass):
            processes[who].leave(given_, status, seconds=seconds, now=now + seconds)
        else:
            assert now < given_.until <= now + POLICY.longest_pause * 1.5
        now += seconds + pause
    assert isinstance(keeper(gates, 9).enter(NAME, now + POLICY.longest_pause * 1.1 + 31), Pass)
