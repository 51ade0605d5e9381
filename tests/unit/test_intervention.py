"""What people do with deliveries: cancel, retry, send again, move the time."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mailroom.domain.event import EventType, dump_event, load_event
from mailroom.domain.lifecycle import FINAL, State, may_move
from mailroom.domain.message import BodyRef, Delivery, DeliveryKey, ServerId, Submission
from mailroom.errors import InvalidRequestError, MessageNotFoundError, StateConflictError
from mailroom.fakes.memory import FixedClock, MemoryLane, MemoryLedger
from mailroom.usecases.accept import LIFETIME_SECONDS, WATCH_SECONDS
from mailroom.usecases.cancel import CANCELLABLE, cancel
from mailroom.usecases.release import HoldPorts
from mailroom.usecases.reschedule import reschedule
from mailroom.usecases.retry import RETRYABLE, retry

NOW = 1_760_000_000.0
DAY = 86_400.0
KEY = DeliveryKey(ServerId("abcdefghij"), 77, 0)
ROW = Delivery(
    KEY, "ann@x.test", State.QUEUED, NOW - 60, NOW + 1000,
    attempts=3, uncertain=1, generation=4, due_at=NOW + 500,
)  # fmt: skip
SUBMISSION = Submission(
    server=KEY.server,
    number=77,
    accepted_at=NOW - 60,
    expires_at=NOW + LIFETIME_SECONDS,
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
    body=BodyRef(inline=b""),
    raw_until=NOW + 10 * DAY,
)


def later(key: DeliveryKey, by: str, ports: HoldPorts) -> Delivery:
    return reschedule(key, NOW + DAY, by, ports)


ACTS: dict[str, Callable[[DeliveryKey, str, HoldPorts], Delivery]] = {
    "cancelled": cancel,
    "retried": retry,
    "rescheduled": later,
}


class World:
    """One delivery in a state."""

    def __init__(self, state: State, submission: Submission = SUBMISSION) -> None:
        self.ledger, self.lane, self.clock = MemoryLedger(), MemoryLane(), FixedClock(NOW)
        self.before = replace(ROW, state=state)
        self.ledger.put(self.before)
        self.ledger.submissions[KEY.server, KEY.number] = submission
        self.ports = HoldPorts(self.ledger, self.ledger, self.lane, self.clock)

    @property
    def row(self) -> Delivery:
        return self.ledger.rows[KEY]

    @property
    def woken(self) -> list[int]:
        return [wake_up.generation for wake_up, _ in self.lane.sent]

    def told(self) -> tuple[EventType, str, bool]:
        event = self.ledger.outbox[KEY]
        assert event.attempt is not None
        assert load_event(dump_event(event)) == event
        return event.type, event.attempt.details, event.attempt.final


ALLOWED = {"cancelled": CANCELLABLE, "retried": RETRYABLE, "rescheduled": {State.SCHEDULED}}


@pytest.mark.parametrize("wish", ACTS)
@pytest.mark.parametrize("state", State)
def test_what_may_be_done_in_each_state_and_what_not(wish: str, state: State) -> None:
    world = World(state)
    if state in ALLOWED[wish]:
        after = ACTS[wish](KEY, "ann", world.ports)
        assert after == world.row
        assert after.generation == 5  # what was woken before is stale
        assert may_move(state, after.state)
        return
    with pytest.raises(StateConflictError, match=f"cannot be {wish}, it is {state}"):
        ACTS[wish](KEY, "ann", world.ports)
    assert world.row == world.before
    assert not world.lane.sent


def test_nothing_that_ended_can_be_cancelled_and_nothing_taken_sent_again() -> None:
    assert not CANCELLABLE & FINAL
    assert not RETRYABLE & {State.SENT, State.ATTEMPTING, State.HELD, State.QUEUED}


@pytest.mark.parametrize("wish", ACTS)
def test_what_is_not_there_is_not_found(wish: str) -> None:
    with pytest.raises(MessageNotFoundError):
        ACTS[wish](replace(KEY, number=78), "ann", World(State.HELD).ports)


@pytest.mark.parametrize("state", sorted(CANCELLABLE))
def test_a_cancelled_delivery_is_never_due_again(state: State) -> None:
    world = World(state)
    cancel(KEY, "ann", world.ports)
    assert (world.row.state, world.row.due_at) == (State.CANCELLED, None)
    assert world.ledger.due(NOW + 90 * DAY, 10) == []
    assert world.told() == (EventType.CANCELLED, "Cancelled by ann", True)


@pytest.mark.parametrize(
    ("state", "after"), [(State.DEFERRED, State.DEFERRED), (State.SCHEDULED, State.QUEUED)]
)
def test_what_waits_is_tried_now_and_its_attempts_count(state: State, after: State) -> None:
    world = World(state)
    row = retry(KEY, "ann", world.ports)
    assert row == replace(world.before, state=after, generation=5, due_at=NOW + WATCH_SECONDS)
    assert world.woken == [5]
    assert world.told() == (EventType.RETRIED, "Retried by ann", False)


@pytest.mark.parametrize("state", sorted(FINAL - {State.SENT}))
def test_what_has_ended_begins_anew(state: State) -> None:
    world = World(state)
    row = retry(KEY, "ann", world.ports)
    assert row == replace(
        world.before,
        state=State.QUEUED,
        attempts=0,
        uncertain=0,
        generation=5,
        expires_at=NOW + LIFETIME_SECONDS,
        due_at=NOW + WATCH_SECONDS,
    )
    assert world.woken == [5]
    assert world.told() == (EventType.RETRIED, "Sent again by ann", False)


def test_a_retry_that_is_not_handed_over_is_found_by_the_scheduler() -> None:
    world = World(State.BOUNCED)
    world.lane.broken = True
    retry(KEY, "ann", world.ports)
    assert world.ledger.due(NOW + WATCH_SECONDS, 10) == [KEY]


@pytest.mark.parametrize("raw_until", [NOW, NOW - 1, None])
def test_what_has_lost_its_content_is_not_sent_again(raw_until: float | None) -> None:
    gone = replace(SUBMISSION, raw_until=raw_until, expires_at=NOW - 31 * DAY)
    world = World(State.BOUNCED, gone)
    with pytest.raises(StateConflictError, match="content"):
        retry(KEY, "ann", world.ports)
    assert world.row == world.before


def test_a_schedule_moves_and_its_lifetime_with_it() -> None:
    world = World(State.SCHEDULED)
    row = reschedule(KEY, NOW + 2 * DAY, "ann", world.ports)
    assert (row.state, row.due_at) == (State.SCHEDULED, NOW + 2 * DAY)
    assert row.expires_at == NOW + 2 * DAY + LIFETIME_SECONDS
    assert not world.lane.sent
    assert world.ledger.due(NOW + 2 * DAY - 1, 10) == []
    kind, details, final = world.told()
    assert (kind, final) == (EventType.SCHEDULED, False)
    assert details == "Scheduled for 2025-10-11 08:53:20 UTC by ann"


@pytest.mark.parametrize("send_at", [0.0, NOW - 5, NOW + 60])
def test_a_time_that_is_now_sends_now(send_at: float) -> None:
    world = World(State.SCHEDULED)
    assert reschedule(KEY, send_at, "ann", world.ports).state is State.QUEUED
    assert world.woken == [5]


def test_a_schedule_does_not_outlast_the_content() -> None:
    world = World(State.SCHEDULED)
    last = NOW + 10 * DAY - LIFETIME_SECONDS
    assert reschedule(KEY, last, "ann", world.ports).due_at == last
    with pytest.raises(InvalidRequestError, match="2025-10-17"):
        reschedule(KEY, last + 1, "ann", world.ports)
    longer = World(State.SCHEDULED, replace(SUBMISSION, raw_until=NOW + 900 * DAY))
    with pytest.raises(InvalidRequestError, match="or before"):
        reschedule(KEY, NOW + 90 * DAY + 1, "ann", longer.ports)


class Quick(MemoryLedger):
    """Somebody claims it between our look and our write."""

    def settle(self, before, after, event):  # type: ignore[no-untyped-def]  # as the fake has it
        self.rows[before.key] = replace(before, state=State.ATTEMPTING, claim="c")
        return super().settle(before, after, event)


@pytest.mark.parametrize("wish", ACTS)
def test_who_comes_late_is_told_so(wish: str) -> None:
    ledger, lane = Quick(), MemoryLane()
    ledger.put(replace(ROW, state=State.SCHEDULED))
    ledger.submissions[KEY.server, KEY.number] = SUBMISSION
    ports = HoldPorts(ledger, ledger, lane, FixedClock(NOW))
    with pytest.raises(StateConflictError, match=f"cannot be {wish} any more, it is attempting"):
        ACTS[wish](KEY, "ann", ports)
    assert not lane.sent
