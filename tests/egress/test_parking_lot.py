"""Parked mail: partitions are announced, come back by credit, and are forgotten when empty."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from bench.engine_lab import SimWorld, make_job
from egress.aws.parked import park_shard
from egress.core.engine.bars import Bars
from egress.core.engine.engine import Engine, EngineSettings
from egress.core.engine.work import Offer, Parked
from egress.sender.intake import Ticket
from egress.sender.parking_lot import ANNOUNCE_SECONDS, EMPTY_SECONDS, PARTITION, ParkingLot
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, DeliveryKey, ServerId
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.source import SourceAddress
from mailroom.domain.tenancy.record import Place, Record
from mailroom.fakes.control import MemoryControl

NOW = 1_800_000_000.0
SITE = Site("mx.test", "gmail")
HERE = Parked("pool", SITE, "mx")
ELSEWHERE = Parked("nobodys", SITE, "mx")


def shard_of(parked: Parked) -> str:
    return park_shard(parked.pool, parked.site.key, parked.group)


class Store:
    """Partitions of deliveries, those parked first at first; `asked` is how many were asked for."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Delivery]] = defaultdict(list)
        self.asked: list[tuple[str, int]] = []

    async def waiting(self, shard: str, most: int) -> Sequence[Delivery]:
        self.asked.append((shard, most))
        return self.rows[shard][:most]


@dataclass
class Stand:
    """A lot with what surrounds it. `here` are keys that the dispatcher has in hand."""

    control: MemoryControl = field(default_factory=MemoryControl)
    store: Store = field(default_factory=Store)
    now: float = NOW
    here: set[int] = field(default_factory=set)
    brought: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = SimWorld([SourceAddress("a", "pool", "a.example")])
        self.engine = Engine(self.world, EngineSettings(), Bars())
        self.lot = ParkingLot(
            self.control, self.store, self.engine, now=lambda: self.now, bring=self._bring
        )

    async def park(self, parked: Parked, *numbers: int) -> None:
        await self.lot.announce(parked, shard_of(parked))
        for number in numbers:
            key = DeliveryKey(ServerId("tenant"), number, 0)
            row = Delivery(key, "a@example.org", State.QUEUED, NOW, NOW + 172_800)
            self.store.rows[shard_of(parked)].append(row)

    def row(self, parked: Parked) -> Record | None:
        return self.control.read(Place(PARTITION, shard_of(parked)))

    def _bring(self, ticket: Ticket) -> bool:
        assert ticket.wake_up is not None
        assert ticket.intake is None  # no queue has an entry of it
        number = ticket.wake_up.key.number
        if number in self.here:
            return False
        self.here.add(number)
        self.brought.append(number)
        return True


@pytest.fixture
def stand() -> Stand:
    return Stand()


async def test_a_partition_is_announced_once_in_a_while_and_says_whose_mail_it_has(
    stand: Stand,
) -> None:
    for seconds in (0.0, ANNOUNCE_SECONDS - 1, 1.0):
        stand.now += seconds
        await stand.park(HERE)
    row = stand.row(HERE)
    assert row is not None
    assert row.revision == 2
    assert row.body == {
        "pool": "pool",
        "site": "mx.test",
        "provider": "gmail",
        "group": "mx",
        "at": NOW + ANNOUNCE_SECONDS,
    }


async def test_of_what_was_not_tried_for_a_while_a_few_come_back_the_oldest_first(
    stand: Stand,
) -> None:
    await stand.park(HERE, *range(1, 40))
    assert await stand.lot.look() == 5
    assert stand.brought == [1, 2, 3, 4, 5]


async def test_mail_that_is_in_hand_already_takes_nobodys_place(stand: Stand) -> None:
    await stand.park(HERE, *range(1, 8))
    stand.here = {1, 2}
    stand.engine.offer(Offer(make_job(1), SITE, "mx"), NOW)
    assert await stand.lot.look() == 3  # one waits already, and five are enough to try
    assert stand.store.asked == [(shard_of(HERE), 4 + 1)]
    assert stand.brought == [3, 4, 5]


async def test_what_no_address_here_may_send_is_left_to_others(stand: Stand) -> None:
    await stand.park(ELSEWHERE, 1)
    stand.now += EMPTY_SECONDS + 1
    assert await stand.lot.look() == 0
    assert not stand.store.asked
    assert stand.row(ELSEWHERE) is not None


async def test_while_its_hosts_are_left_alone_nothing_comes_back(stand: Stand) -> None:
    await stand.park(HERE, 1)
    stand.world.rooms = lambda _source, _provider, now: now + 60
    assert await stand.lot.look() == 0
    stand.world.rooms = lambda _source, _provider, now: now
    assert await stand.lot.look() == 1


async def test_an_empty_partition_is_forgotten_when_nobody_can_be_putting_mail_in(
    stand: Stand,
) -> None:
    await stand.park(HERE)
    stand.now += EMPTY_SECONDS - 1
    await stand.lot.look()
    assert stand.row(HERE) is not None
    stand.now += 2
    await stand.lot.look()
    assert stand.row(HERE) is None


async def test_an_old_partition_with_mail_stays(stand: Stand) -> None:
    await stand.park(HERE, 1)
    stand.now += 100 * EMPTY_SECONDS
    await stand.lot.look()
    assert stand.row(HERE) is not None


async def test_a_partition_that_was_announced_anew_meanwhile_is_not_forgotten(
    stand: Stand,
) -> None:
    await stand.park(HERE)
    old = stand.row(HERE)
    assert old is not None
    stand.now += EMPTY_SECONDS + 1
    await stand.park(HERE)
    await stand.lot._forget_if_old(old)
    assert stand.row(HERE) is not None


async def test_a_row_that_cannot_be_read_keeps_no_mail_from_coming_back(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.control.put(Record(Place(PARTITION, "a-stranger"), {"at": NOW}))
    await stand.park(HERE, 1)
    assert await stand.lot.look() == 1
    assert "unreadable partition" in caplog.messages
