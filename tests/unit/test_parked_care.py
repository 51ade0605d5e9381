"""Parked mail that no open path fetches: it grows old all the same."""

from dataclasses import replace

import pytest

from mailroom.domain.event import AttemptFacts, Event, EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, DeliveryKey, ServerId
from mailroom.domain.retry import HOUR
from mailroom.domain.tenancy.record import Place, Record
from mailroom.fakes.control import MemoryControl
from mailroom.fakes.memory import MemoryLane, MemoryLedger
from mailroom.usecases.parked_care import PARKED, ParkedPorts, look_after_parked
from mailroom.usecases.reconcile import DEAD_SECONDS, ReconcilePorts

SERVER = ServerId("abcdefghij")
ACCEPTED = 1_760_000_000.0
SHARD = "park#pool_1#0123"


def parked(number: int = 1, **more: object) -> Delivery:
    row = Delivery(
        DeliveryKey(SERVER, number, 0), "ann@sim.test", State.QUEUED, ACCEPTED,
        ACCEPTED + 48 * HOUR, due_at=ACCEPTED,
    )  # fmt: skip
    return replace(row, **more)  # type: ignore[arg-type]


class World:
    """One partition; `asked` are the windows that were looked at."""

    def __init__(self, *rows: Delivery, beat: float | None = None, **body: str) -> None:
        self.ledger, self.control = MemoryLedger(), MemoryControl()
        for row in rows:
            self.ledger.put(row)
        self.rows = rows
        self.asked: list[tuple[str, float, float]] = []
        self.control.put(Record(Place(PARKED, SHARD), {"pool": "pool_1", "site": "s.test"} | body))
        reconcile = ReconcilePorts(
            self.ledger, self.ledger, MemoryLane(), beat_of=lambda _process: beat
        )
        self.ports = ParkedPorts(reconcile, self.control, self.between)

    def between(self, shard: str, since: float, until: float, limit: int) -> list[DeliveryKey]:
        self.asked.append((shard, since, until))
        times = [(row.due_at or 0.0, row.key) for row in self.rows]
        return [key for at, key in sorted(times) if since <= at <= until][:limit]

    def look(self, age: float, **most: int) -> dict[str, int]:
        return dict(look_after_parked(ACCEPTED + age, self.ports, **most))

    def row(self, number: int = 1) -> Delivery:
        found = self.ledger.delivery(DeliveryKey(SERVER, number, 0))
        assert found is not None
        return found


def test_young_mail_is_left_alone() -> None:
    world = World(parked())
    assert world.look(HOUR) == {}
    assert world.row() == parked()


def test_what_is_too_old_expires_with_what_it_waited_for() -> None:
    world = World(parked())
    assert world.look(48 * HOUR) == {"expired": 1}
    facts = world.ledger.outbox[parked().key].attempt
    assert facts is not None
    assert "no path from the pool pool_1 to s.test was open" in facts.reply


def test_what_closed_the_path_is_told_and_what_was_refused_before() -> None:
    world = World(parked(), why="suspended after 421 4.7.0")
    refused = AttemptFacts(1, "x", reply="451 busy")
    world.ledger.record(Event("e", EventType.DEFERRED, parked().key, ACCEPTED + 1, attempt=refused))
    world.look(48 * HOUR)
    facts = world.ledger.outbox[parked().key].attempt
    assert facts is not None
    assert facts.reply.endswith(": suspended after 421 4.7.0; before that: 451 busy")


def test_what_is_late_is_told_once_and_stays_parked() -> None:
    world = World(parked())
    assert world.look(4 * HOUR) == {"late": 1}
    assert world.row() == parked(late=True)
    assert world.look(4 * HOUR + 60) == {}


@pytest.mark.parametrize(
    ("beat", "done"),
    [(None, {}), (ACCEPTED + 600, {}), (ACCEPTED + 599 - DEAD_SECONDS, {"lost_claims": 1})],
)
def test_a_claim_of_a_host_that_died_is_given_up(beat: float | None, done: dict[str, int]) -> None:
    claimed = parked(state=State.ATTEMPTING, claim="host.ab.01", claim_until=ACCEPTED + 1_800)
    world = World(claimed, beat=beat)
    assert world.look(600.0) == done
    assert (world.row().state is State.DEFERRED) == bool(done)


def test_a_claim_that_is_over_is_given_up() -> None:
    world = World(parked(state=State.ATTEMPTING, claim="01", claim_until=ACCEPTED + 1_800))
    assert world.look(1_801.0) == {"lost_claims": 1}


def test_behind_a_hundred_that_wait_longer_the_expired_are_found() -> None:
    rows = [
        parked(number, due_at=ACCEPTED - 12 * HOUR, expires_at=ACCEPTED + 60 * HOUR, late=True)
        for number in range(2, 10)
    ]
    world = World(*rows, parked())
    assert world.look(48 * HOUR, each=8) == {"expired": 1}


def test_many_partitions_have_their_turns() -> None:
    world = World()
    for number in range(9):
        world.control.put(Record(Place(PARKED, f"park#{number}"), {}))
    for tick in range(5):
        world.look(tick * 60.0, partitions=2)
    assert len({shard for shard, _, _ in world.asked}) == 10
