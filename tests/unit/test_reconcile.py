"""The scheduler: nothing that was accepted is ever forgotten, whatever else fails."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from mail_scheduler.ticking import read_now, tick

from mailroom.domain.event import AttemptFacts, Event, EventType
from mailroom.domain.lifecycle import CLAIMABLE, FINAL, State
from mailroom.domain.message import EPOCH, BodyRef, Delivery, DeliveryKey, ServerId, Submission
from mailroom.domain.retry import RetryPolicy
from mailroom.errors import HandOverError
from mailroom.fakes.memory import MemoryLane, MemoryLedger
from mailroom.usecases.reconcile import DEAD_SECONDS, ReconcilePorts, bring_due, look_after

SERVER = ServerId("abcdefghij")
ACCEPTED = EPOCH + 1_000_000.0
NUMBER = 1_000_000 << 13
LIFETIME = 172_800.0
NOW = ACCEPTED + 130
DUE = NOW + 3


class World:
    """One submission with its watch row, in memory."""

    def __init__(self, *deliveries, committed=True, watched=True, divisor=1.0, beats=None):
        self.ledger, self.lane = MemoryLedger(), MemoryLane()
        self.was = ACCEPTED + 120
        if watched:
            self.ledger.watch(SERVER, NUMBER, self.was)
        for row in deliveries:
            self.ledger.put(row)
        if committed:
            self.ledger.commit(SUBMISSION)
        self.ports = ReconcilePorts(
            self.ledger,
            self.ledger,
            self.lane,
            RetryPolicy(divisor=divisor),
            beat_of=(beats or {}).get,
        )

    def look(self, now=NOW):
        return dict(look_after(SERVER, NUMBER, self.was, now=now, ports=self.ports))

    def bring(self, *keys, now=NOW):
        return dict(bring_due(keys or (key(),), now=now, ports=self.ports))

    def state(self, index=0):
        return self.ledger.delivery(key(index)).state

    @property
    def woken(self):
        return [(wake_up.key.index, delay) for wake_up, delay in self.lane.sent]

    @property
    def watch_times(self):
        return [due_at for due_at, _, _ in self.ledger.watches]


def key(index=0):
    return DeliveryKey(SERVER, NUMBER, index)


def row(state=State.QUEUED, index=0, **more):
    return Delivery(key(index), f"r{index}@sim.test", state, ACCEPTED, ACCEPTED + LIFETIME, **more)


def claimed(until, index=0, **more):
    return row(State.ATTEMPTING, index, claim="host1", claim_until=until, **more)


SUBMISSION = Submission(
    server=SERVER,
    number=NUMBER,
    accepted_at=ACCEPTED,
    expires_at=ACCEPTED + LIFETIME,
    mail_from="a@demo.test",
    from_address="a@demo.test",
    sign_domain="demo.test",
    subject="",
    message_id=None,
    tag=None,
    size=1,
    recipients=1,
    source="api",
    bounce=False,
    body=BodyRef(inline=b"x"),
)


# What is watched


def test_a_lost_hand_over_is_repeated_and_watched_on():
    world = World(row(), row(index=1), row(State.SENT, index=2))
    assert world.look() == {"woken": 2, "rewatched": 1}
    assert world.woken == [(0, 0.0), (1, 0.0)]
    assert world.watch_times == [NOW + 130]  # as long again as it has waited


def test_the_looks_become_rarer_down_to_one_an_hour():
    world = World(row())
    steps, now = [], NOW
    for _ in range(9):
        world.look(now)
        (world.was,) = world.watch_times
        steps.append(world.was - now)
        now = world.was
    assert steps == sorted(steps)
    assert steps[-1] == 3600


def test_when_all_is_settled_or_has_its_own_due_row_nobody_looks_again():
    world = World(row(State.SENT), row(State.DEFERRED, 1, due_at=DUE), row(State.BOUNCED, 2))
    assert world.look() == {"unwatched": 1}
    assert world.watch_times == []
    assert world.woken == []


def test_a_claim_in_force_is_left_alone_and_watched():
    world = World(claimed(NOW + 60))
    assert world.look() == {"rewatched": 1}
    assert world.woken == []
    assert world.state() is State.ATTEMPTING


def test_a_claim_whose_owner_is_gone_is_settled_as_uncertain():
    world = World(claimed(NOW - 1))
    assert world.look() == {"lost_claims": 1, "unwatched": 1}
    after = world.ledger.delivery(key())
    assert (after.state, after.uncertain, after.claim) == (State.DEFERRED, 1, None)
    assert after.due_at == NOW + 900
    assert world.ledger.outbox[key()].type is EventType.UNCERTAIN


def test_a_fourth_lost_claim_is_the_end():
    world = World(claimed(NOW - 1, uncertain=3))
    world.look()
    assert world.state() is State.UNCERTAIN


def test_a_message_that_was_never_handed_over_expires_with_an_event():
    world = World(row())
    late = ACCEPTED + LIFETIME
    assert world.look(late) == {"expired": 1, "unwatched": 1}
    assert world.state() is State.EXPIRED
    assert world.ledger.outbox[key()].type is EventType.EXPIRED


def test_a_deferral_without_a_time_gets_one():
    world = World(row(State.DEFERRED))
    world.look()
    assert world.ledger.due(NOW, 10) == [key()]


def test_a_lane_that_refuses_leaves_the_watch_row():
    world = World(row())
    world.lane.broken = True
    with pytest.raises(HandOverError):
        world.look()
    assert world.watch_times == [world.was]


class Overtaken(MemoryLedger):
    def settle(self, before, after, event):
        return False


def test_whoever_was_quicker_wins_and_is_looked_at_again():
    world = World(claimed(NOW - 1))
    ledger = Overtaken()
    ledger.__dict__.update(world.ledger.__dict__)
    world.ports = replace(world.ports, work=ledger)
    assert world.look() == {"overtaken": 1, "rewatched": 1}
    assert world.state() is State.ATTEMPTING


def test_a_hand_in_under_way_is_given_an_hour():
    world = World(row(), committed=False)
    assert world.look() == {"uncommitted": 1}
    assert world.watch_times == [NOW + 60]
    assert world.woken == []
    assert world.state() is State.QUEUED


def test_what_was_never_committed_goes_after_an_hour():
    world = World(row(), row(index=1), committed=False)
    world.look(ACCEPTED + 3599)
    (world.was,) = world.watch_times
    assert world.look(world.was) == {"discarded": 1}
    assert world.ledger.rows == {}
    assert world.watch_times == []
    assert world.woken == []


def test_a_look_that_comes_late_discards_nothing():
    world = World(row(), committed=False)
    assert world.look(ACCEPTED + 30_000) == {"uncommitted": 1}
    assert world.state() is State.QUEUED


def test_a_divisor_never_makes_the_hour_less_than_a_minute():
    world = World(row(), committed=False, divisor=1000)
    assert world.look(ACCEPTED + 59) == {"uncommitted": 1}
    assert world.watch_times == [ACCEPTED + 61]


# What is due


def test_a_due_delivery_is_woken_and_not_again_at_the_next_tick():
    world = World(row(State.DEFERRED, due_at=NOW - 5, generation=3))
    assert world.bring() == {"woken": 1}
    ((wake_up, delay),) = world.lane.sent
    assert (wake_up.generation, wake_up.recipient, delay) == (3, "r0@sim.test", 0.0)
    assert world.ledger.due(NOW + 60, 10) == []
    assert world.ledger.due(NOW + 600, 10) == [key()]  # unless nobody came


def test_what_is_due_before_the_next_tick_waits_in_the_lane_until_then():
    world = World(
        row(State.DEFERRED, due_at=NOW + 2.4),
        row(State.DEFERRED, 1, due_at=NOW + 2.9),
        row(State.DEFERRED, 2, due_at=NOW - 1),
    )
    assert world.bring(key(0), key(1), key(2)) == {"woken": 3}
    assert sorted(world.woken) == [(0, 3.0), (1, 3.0), (2, 0.0)]


def test_a_lane_that_refuses_leaves_it_due():
    world = World(row(State.DEFERRED, due_at=NOW - 5))
    world.lane.broken = True
    with pytest.raises(HandOverError):
        world.bring()
    assert world.ledger.due(NOW, 10) == [key()]


def test_a_delivery_too_old_to_retry_expires_with_an_event():
    world = World(row(State.DEFERRED, due_at=NOW, attempts=4))
    assert world.bring(now=ACCEPTED + LIFETIME) == {"expired": 1}
    assert world.state() is State.EXPIRED
    assert world.ledger.outbox[key()].type is EventType.EXPIRED
    assert world.woken == []


def test_a_claim_in_the_due_index_is_left_alone_until_it_is_over():
    world = World(claimed(NOW + 30, due_at=NOW - 5))
    assert world.bring() == {"claimed": 1}
    assert world.ledger.due(NOW + 30, 10) == []
    assert world.bring(now=NOW + 31) == {"lost_claims": 1}
    assert world.state() is State.DEFERRED
    assert world.woken == []


@pytest.mark.parametrize("stale", [row(State.SENT, due_at=NOW - 5), row(State.SENT), None])
def test_an_index_that_lags_behind_does_no_harm(stale):
    world = World(*([stale] if stale else []))
    assert world.bring() == {"stale": 1}
    assert world.woken == []


# A whole tick


@pytest.mark.parametrize(
    "event",
    [
        {"time": "2026-01-02T03:04:05Z"},
        {"time": "2026-01-02T03:04:05.000000Z"},
        {"time": "2026-01-02T04:04:05+01:00"},
        {"now": 1767323045},
    ],
)
def test_a_tick_takes_its_time_from_its_event(event):
    assert read_now(event) == 1767323045.0


@pytest.mark.parametrize("event", [{}, {"time": "soon"}, {"now": None}, {"time": 5}])
def test_a_tick_without_a_time_says_so(event):
    with pytest.raises(ValueError, match="Unix seconds"):
        read_now(event)


def test_one_tick_does_both_and_writes_one_line(capsys):
    world = World(row(), row(State.DEFERRED, 1, due_at=NOW + 30))
    counts = tick({"now": NOW}, world.ports)
    assert counts == {"watched": 1, "due": 1, "woken": 2, "rewatched": 1}
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert line["function"] == "tick"
    assert line["woken"] == 2


class Poisoned(MemoryLedger):
    def submission(self, server, number):
        if number == 13:
            raise ValueError("unreadable row")
        return super().submission(server, number)


def test_one_bad_row_does_not_stop_the_others(capsys):
    world = World(row())
    ledger = Poisoned()
    ledger.__dict__.update(world.ledger.__dict__)
    ledger.watch(SERVER, 13, NOW - 50)
    counts = tick({"now": NOW}, ReconcilePorts(ledger, ledger, world.lane))
    assert (counts["failed"], counts["woken"]) == (1, 1)
    assert "unreadable row" in capsys.readouterr().err


def test_a_tick_is_bounded():
    world = World(*(row(State.DEFERRED, n, due_at=NOW - n) for n in range(30)), watched=False)
    assert tick({"now": NOW}, world.ports, limit=20)["woken"] == 20
    assert tick({"now": NOW}, world.ports, limit=20)["woken"] == 10


def test_a_scheduled_delivery_is_left_alone_until_its_time():
    world = World(row(State.SCHEDULED, due_at=DUE + 7200), row(State.QUEUED, 1, due_at=DUE + 7200))
    tick({"now": DUE}, world.ports)
    assert world.ledger.watches == set()
    assert not world.lane.sent
    tick({"now": DUE + 7200 - 61}, world.ports)
    assert not world.lane.sent
    tick({"now": DUE + 7200 - 30}, world.ports)
    assert [delay for _, delay in world.lane.sent] == [30.0, 30.0]
    assert world.state() is State.SCHEDULED  # its claim ends the wait


def test_a_schedule_that_nobody_carried_out_expires():
    world = World(row(State.SCHEDULED, due_at=NOW, generation=2))
    tick({"now": ACCEPTED + LIFETIME + 1}, world.ports)
    assert world.state() is State.EXPIRED


# Invariants


@st.composite
def some_delivery(draw, index):
    state = draw(st.sampled_from(State))
    around = st.floats(-5000, 200_000).map(lambda off: round(ACCEPTED + off, 3))
    more = {}
    if state is State.ATTEMPTING:
        more = {"claim": "host1", "claim_until": draw(around)}
    # A released or parked delivery is queued and due; a hold always has its end.
    may_be_due = state in (*CLAIMABLE, State.ATTEMPTING) and draw(st.booleans())
    if state is State.HELD or may_be_due:
        more["due_at"] = draw(around)
    return row(state, index, uncertain=draw(st.integers(0, 1)), **more)


@st.composite
def some_world(draw):
    rows = [draw(some_delivery(index)) for index in range(draw(st.integers(1, 4)))]
    world = World(*rows, divisor=draw(st.sampled_from([1.0, 60.0, 1000.0])))
    return world, draw(st.lists(st.booleans(), min_size=1, max_size=6))


def is_remembered(world):
    """Say whether each unfinished delivery is found again by a watch row or the due index."""
    return bool(world.ledger.watches) or all(
        each.state in FINAL or each.due_at is not None for each in world.ledger.rows.values()
    )


@examples(max_examples=100, deadline=None)
@given(some_world(), st.floats(120, 300_000))
def test_no_committed_delivery_is_ever_forgotten(case, after):
    world, lane_works = case
    now = round(ACCEPTED + after, 3)
    for works in lane_works:
        world.lane.broken = not works
        before = len(world.lane.sent)
        queued = {
            key
            for key, each in world.ledger.rows.items()
            if each.state is State.QUEUED and (each.due_at is None or each.due_at <= now)
        }
        watched = bool(world.ledger.watched(now, 10))
        tick({"now": now}, world.ports)
        assert is_remembered(world)
        woken = {wake_up.key for wake_up, _ in world.lane.sent[before:]}
        still = {k for k in queued if world.ledger.rows[k].state is State.QUEUED}
        if works and watched:
            assert still <= woken
        now += 4000.0


@examples(max_examples=40, deadline=None)
@given(some_world())
def test_with_nobody_sending_every_delivery_comes_to_an_end(case):
    world, _ = case
    now = ACCEPTED + 120
    for _ in range(80):
        tick({"now": now}, world.ports)
        now += 7200.0
    assert {each.state for each in world.ledger.rows.values()} <= FINAL
    assert world.ledger.watches == set()


# Claims of processes that are gone

LIVE, GONE = {"host-1.ab": NOW - DEAD_SECONDS}, {"host-1.ab": NOW - DEAD_SECONDS - 1}


def owned(**more):
    return row(State.ATTEMPTING, claim="host-1.ab.0123", claim_until=NOW + 1700, **more)


@pytest.mark.parametrize(
    ("delivery", "beats", "state"),
    [
        (owned(), GONE, State.DEFERRED),
        (owned(), LIVE, State.ATTEMPTING),
        (owned(), {}, State.ATTEMPTING),  # nothing is known of it, so the claim's own end counts
        (replace(owned(), claim="0123"), {"": 0.0}, State.ATTEMPTING),
        (owned(uncertain=2), GONE, State.DEFERRED),
        (owned(uncertain=3), GONE, State.ATTEMPTING),  # it would not be sent again
        (owned(bulk=True), GONE, State.ATTEMPTING),
    ],
)
def test_a_dead_process_loses_what_is_sent_again_long_before_its_claims_end(delivery, beats, state):
    world = World(delivery, beats=beats)
    world.look()
    assert world.state() is state
    world = World(replace(delivery, due_at=DUE), beats=beats)
    world.bring()
    assert world.state() is state


def test_bulk_mail_of_a_dead_process_is_left_alone_at_the_end_of_its_claim():
    world = World(owned(bulk=True), beats=GONE)
    world.look(NOW + 1701)
    assert world.state() is State.UNCERTAIN


def test_a_claim_in_force_is_looked_at_every_minute():
    world = World(owned())
    late = NOW + 900
    world.look(late)
    assert world.watch_times == [late + 60]
    world = World(owned(due_at=DUE), beats=LIVE)
    world.bring()
    assert world.ledger.delivery(key()).due_at == NOW + 60


# What expires, and what is late


def test_what_expires_says_what_it_waited_for():
    world = World(row(State.DEFERRED, due_at=DUE, attempts=2, generation=2))
    refused = AttemptFacts(2, "Not accepted", reply="452 4.2.2 mailbox full")
    world.ledger.record(Event("e1", EventType.DEFERRED, key(), NOW, attempt=refused))
    assert world.bring(now=ACCEPTED + LIFETIME) == {"expired": 1}
    assert "452 4.2.2 mailbox full" in world.ledger.outbox[key()].attempt.reply


def test_mail_that_nobody_has_heard_of_for_hours_is_late_once():
    world = World(row(due_at=DUE))
    now = ACCEPTED + 4 * 3600
    assert world.bring(now=now) == {"late": 1, "woken": 1}
    event = world.ledger.outbox[key()]
    assert (event.type, event.attempt.final) == (EventType.DELAYED, False)
    assert world.lane.sent[0][0].generation == 0  # the wake-up is good
    assert world.bring(now=now + 700) == {"woken": 1}


@pytest.mark.parametrize("tried", [{"attempts": 1}, {"stalls": 1}, {"late": True}])
def test_what_has_been_tried_tells_of_its_delay_itself(tried):
    world = World(row(State.DEFERRED, due_at=DUE, **tried))
    assert world.bring(now=ACCEPTED + 4 * 3600) == {"woken": 1}
