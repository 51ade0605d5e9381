"""How jobs leave a host without a transaction: each kind of move, and what the table has then."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from egress.core.engine.work import Move, MoveKind, Parked
from egress.sender.exchange import Exchanged
from egress.sender.intake import Ticket
from egress.sender.leaving import Leaving
from mailroom.domain.event import EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.path import PathKey, Site
from tests.support.desk import START, Life, World
from tests.support.sender_stand import Places, Queue, Rules, facts

SITE = Site("mx.test", "gmail")
FULL = SmtpReply(421, "4.3.2 busy", Phase.BANNER)
GONE = SmtpReply(0, "cannot connect to mx.test", Phase.CONNECT)


@dataclass
class Stand:
    """One delivery that came by the queue, and who ends its wait."""

    world: World
    life: Life
    queue: Queue = field(default_factory=Queue)
    places: Places = field(default_factory=Places)
    announced: list[tuple[Parked, str]] = field(default_factory=list)
    answered: list[tuple[PathKey, Exchanged]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.add(1)
        self.leaving = Leaving(
            self.life.desk,
            self.places,
            self._announce,
            Rules().judge,
            lambda path, exchanged: self.answered.append((path, exchanged)),
        )

    async def leave(
        self,
        kind: MoveKind,
        *,
        reply: SmtpReply | None = None,
        until: float | None = None,
        is_trouble: bool = False,
        is_new: bool = True,
    ) -> None:
        wake_up = self.world.wake_up()
        move = Move(
            facts(wake_up),
            kind,
            SITE,
            "pool",
            "because of a test",
            until,
            reply=reply,
            host="mx.test" if reply else "",
            address="a" if reply else "",
            group="mx",
            is_trouble=is_trouble,
        )
        await self.leaving(move, Ticket(wake_up, self.queue, "r0") if is_new else Ticket(wake_up))

    async def _announce(self, parked: Parked, shard: str) -> None:
        self.announced.append((parked, shard))


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    world = World(tmp_path)
    life = Life(world)
    yield Stand(world, life)
    await life.end()


async def test_parked_mail_is_announced_before_it_goes_in(stand: Stand) -> None:
    await stand.leave(MoveKind.PARK)
    ((parked, shard),) = stand.announced
    assert parked == Parked("pool", SITE, "mx")
    assert stand.places.parked == [(stand.world.row().key, 0, shard)]
    assert stand.queue.acknowledged == ["r0"]
    assert not stand.world.book.asked["claim"]


@pytest.mark.parametrize(("is_trouble", "is_new"), [(True, False), (False, True), (False, False)])
async def test_only_mail_that_is_new_to_a_closed_path_hears_why_it_waits(
    stand: Stand, is_trouble: bool, is_new: bool
) -> None:
    await stand.leave(MoveKind.PARK, is_trouble=is_trouble, is_new=is_new)
    assert not stand.places.told


async def test_mail_that_comes_to_a_closed_path_hears_why_it_waits(stand: Stand) -> None:
    await stand.leave(MoveKind.PARK, is_trouble=True)
    (event,) = stand.places.told
    assert event.type is EventType.DEFERRED
    assert event.attempt is not None
    assert (event.attempt.attempt, event.attempt.site) == (0, "mx.test")
    assert event.attempt.reply == "because of a test"


@pytest.mark.parametrize(("until", "earliest"), [(START + 50, 50), (None, 0), (START - 9, 0)])
async def test_mail_that_is_put_off_comes_at_its_time_but_not_all_at_once(
    stand: Stand, until: float | None, earliest: float
) -> None:
    await stand.leave(MoveKind.LATER, until=until)
    ((key, at),) = stand.places.put_off_until
    assert key == stand.world.row().key
    assert at == START + earliest + 15.0  # the middle of what it is spread over
    assert stand.queue.acknowledged == ["r0"]


@pytest.mark.parametrize(
    ("kind", "reply", "state", "type_", "attempts"),
    [
        (MoveKind.EXPIRE, None, State.EXPIRED, EventType.EXPIRED, 0),
        (MoveKind.HOLD, None, State.HELD, EventType.HELD, 0),
        (MoveKind.REFUSE, FULL, State.DEFERRED, EventType.DEFERRED, None),
        (MoveKind.REFUSE, GONE, State.DEFERRED, EventType.DEFERRED, None),
        (MoveKind.BOUNCE, None, State.BOUNCED, EventType.BOUNCED, 1),
        (MoveKind.DROP, None, State.BOUNCED, EventType.BOUNCED, 1),
    ],
)
async def test_what_ends_a_wait_is_written_down_under_a_claim(
    stand: Stand,
    kind: MoveKind,
    reply: SmtpReply | None,
    state: State,
    type_: EventType,
    attempts: int | None,
) -> None:
    await stand.leave(kind, reply=reply)
    row = stand.world.row()
    (event,) = stand.world.book.events
    assert (row.state, row.claim, event.type) == (state, None, type_)
    assert attempts is None or row.attempts == attempts
    assert stand.queue.acknowledged == ["r0"]
    assert stand.life.open_claims() == 0


async def test_a_refused_connection_tells_its_way(stand: Stand) -> None:
    await stand.leave(MoveKind.REFUSE, reply=GONE)
    (event,) = stand.world.book.events
    assert event.attempt is not None
    seen = event.attempt
    assert (seen.mx, seen.address, seen.site, seen.tls) == ("mx.test", "a", "mx.test", False)
    ((path, exchanged),) = stand.answered
    assert path == PathKey("a", "mx.test")
    assert exchanged.reply == GONE


@pytest.mark.parametrize(
    ("kind", "word"), [(MoveKind.BOUNCE, "bounced"), (MoveKind.DROP, "dropped")]
)
async def test_what_an_operator_ends_says_so_and_why(
    stand: Stand, kind: MoveKind, word: str
) -> None:
    await stand.leave(kind)
    (event,) = stand.world.book.events
    assert event.attempt is not None
    assert event.attempt.reply == f"550 5.7.0 {word} by an operator: because of a test"
    assert not stand.answered


async def test_what_somebody_else_has_is_left_to_them(stand: Stand) -> None:
    stand.world.add(1, state=State.ATTEMPTING, claim="theirs")
    await stand.leave(MoveKind.BOUNCE)
    assert not stand.world.book.events
    assert stand.queue.acknowledged == ["r0"]


async def test_trouble_with_the_table_keeps_the_entry(stand: Stand) -> None:
    class Broken(Places):
        async def put_off(self, *_: object) -> bool:
            raise OSError("down")

    stand.leaving = Leaving(stand.life.desk, Broken(), stand._announce, Rules().judge)
    with pytest.raises(OSError, match="down"):
        await stand.leave(MoveKind.LATER)
    assert not stand.queue.acknowledged
