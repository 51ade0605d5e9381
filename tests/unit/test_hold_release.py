"""Releasing, cancelling, and holds that nobody ended: over the ledger in memory."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mailroom.domain.event import EventType
from mailroom.domain.hold import Hold, put_on_hold
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, DeliveryKey, ServerId, WakeUp
from mailroom.errors import MessageNotFoundError, NotHeldError, StateConflictError
from mailroom.fakes.memory import FixedClock, MemoryLane, MemoryLedger
from mailroom.usecases.accept import LIFETIME_SECONDS, WATCH_SECONDS
from mailroom.usecases.cancel import cancel
from mailroom.usecases.reconcile import ReconcilePorts, bring_due, look_after
from mailroom.usecases.release import HoldPorts, release

NOW = 1_760_000_000.0
WEEK = 7 * 86_400.0
KEY = DeliveryKey(ServerId("abcdefghij"), 77, 0)
CLAIMED = Delivery(
    KEY, "ann@x.test", State.ATTEMPTING, NOW - 5, NOW + LIFETIME_SECONDS,
    generation=1, claim="c", claim_until=NOW + 1800,
)  # fmt: skip
HELD = put_on_hold(CLAIMED, Hold.LIMIT, now=NOW, seconds=WEEK).after

EndHold = Callable[[DeliveryKey, str, HoldPorts], Delivery]


class World:
    """One held delivery and who may end its hold."""

    def __init__(self, delivery: Delivery = HELD) -> None:
        self.ledger, self.lane, self.clock = MemoryLedger(), MemoryLane(), FixedClock(NOW + 60)
        self.ledger.put(delivery)
        self.ports = HoldPorts(self.ledger, self.ledger, self.lane, self.clock)

    def tick(self, now: float) -> dict[str, int]:
        ports = ReconcilePorts(self.ledger, self.ledger, self.lane)
        return dict(bring_due(self.ledger.due(now + 60, 10), now=now, ports=ports))

    @property
    def row(self) -> Delivery:
        return self.ledger.rows[KEY]

    @property
    def told(self) -> EventType | None:
        event = self.ledger.outbox.get(KEY)
        return event.type if event else None


@pytest.fixture
def world() -> World:
    return World()


def test_a_released_message_is_queued_again_and_woken(world: World) -> None:
    after = release(KEY, "ann", world.ports)
    assert after == world.row
    assert (after.state, after.manual, after.generation) == (State.QUEUED, True, 3)
    assert after.expires_at == world.clock.at + LIFETIME_SECONDS
    assert [wake_up for wake_up, _ in world.lane.sent] == [WakeUp(KEY, 3, "ann@x.test")]
    assert world.told is EventType.RELEASED


def test_a_release_that_is_not_handed_over_is_found_by_the_scheduler(world: World) -> None:
    world.lane.broken = True
    release(KEY, "ann", world.ports)
    world.lane.broken = False
    assert world.tick(world.clock.at + WATCH_SECONDS) == {"woken": 1}
    assert [wake_up for wake_up, _ in world.lane.sent] == [WakeUp(KEY, 3, "ann@x.test")]
    assert world.row.state is State.QUEUED


def test_a_cancelled_message_is_never_due_again(world: World) -> None:
    after = cancel(KEY, "ann", world.ports)
    assert after == world.row == replace(HELD, state=State.CANCELLED, generation=3, due_at=None)
    assert world.told is EventType.CANCELLED
    assert not world.lane.sent
    assert world.tick(NOW + 2 * WEEK) == {}


@pytest.mark.parametrize("state", sorted(set(State) - {State.HELD}))
def test_only_what_is_held_can_be_let_go(state: State) -> None:
    world = World(replace(HELD, state=state))
    before = world.row
    with pytest.raises(NotHeldError, match=state):
        release(KEY, "ann", world.ports)
    assert world.row == before
    assert not world.lane.sent


@pytest.mark.parametrize("act", [release, cancel])
def test_what_is_not_there_cannot_be_let_go(world: World, act: EndHold) -> None:
    with pytest.raises(MessageNotFoundError):
        act(replace(KEY, number=78), "ann", world.ports)


class Quick(MemoryLedger):
    """Somebody else cancels between our look and our write."""

    def settle(self, before, after, event):  # type: ignore[no-untyped-def]  # as the fake has it
        self.rows[before.key] = replace(before, state=State.CANCELLED, generation=9)
        return super().settle(before, after, event)


@pytest.mark.parametrize("act", [release, cancel])
def test_of_two_who_decide_at_once_one_is_told_what_became_of_it(act: EndHold) -> None:
    ledger, lane = Quick(), MemoryLane()
    ledger.put(HELD)
    with pytest.raises(StateConflictError, match="any more, it is cancelled"):
        act(KEY, "ann", HoldPorts(ledger, ledger, lane, FixedClock(NOW)))
    assert not lane.sent
    assert not ledger.outbox


def test_a_hold_ends_by_itself_and_not_a_moment_sooner(world: World) -> None:
    assert world.tick(NOW + 86_400) == {}
    assert world.tick(NOW + WEEK - 30) == {"held": 1}  # a tick looks ahead
    assert world.row == HELD
    assert world.tick(NOW + WEEK) == {"holds_ended": 1}
    assert (world.row.state, world.told) == (State.CANCELLED, EventType.CANCELLED)
    assert not world.lane.sent


def test_a_hold_outlives_the_lifetime_of_its_message(world: World) -> None:
    assert world.tick(HELD.expires_at + 3600) == {}
    world.clock.at = HELD.expires_at + 7200
    after = release(KEY, "ann", world.ports)
    assert world.tick(after.expires_at - 1) == {"late": 1, "woken": 1}


def test_the_watch_row_lets_a_held_message_be(world: World) -> None:
    world.ledger.watch(KEY.server, KEY.number, NOW)
    world.ledger.submissions[KEY.server, KEY.number] = object()  # type: ignore[assignment]
    ports = ReconcilePorts(world.ledger, world.ledger, world.lane)
    done = look_after(KEY.server, KEY.number, NOW, now=NOW + 1, ports=ports)
    assert dict(done) == {"unwatched": 1}
    assert world.row == HELD
