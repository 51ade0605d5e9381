"""What a parcel carries, and the rules it meets: suppressions, limits, schedule, retention."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from mailroom.domain.address import parse_address
from mailroom.domain.event import EventType, accepted
from mailroom.domain.labels import Labels
from mailroom.domain.lifecycle import State
from mailroom.domain.message import (
    Credential,
    Domain,
    Mode,
    OnSuppressed,
    Server,
    ServerId,
)
from mailroom.domain.send_limit import LimitAction, Limits
from mailroom.domain.suppression import Reason, Suppression, server_scope, stream_scope
from mailroom.errors import (
    InvalidRequestError,
    LimitUnavailableError,
    SendLimitExceededError,
)
from mailroom.fakes.limits import MemoryLimits
from mailroom.fakes.memory import (
    FixedChance,
    FixedClock,
    MemoryBodies,
    MemoryDirectory,
    MemoryLane,
    MemoryLedger,
)
from mailroom.fakes.suppressions import MemorySuppressions
from mailroom.usecases.accept import (
    BULK_LIFETIME_SECONDS,
    HAND_OVER_SECONDS,
    LIFETIME_SECONDS,
    MAX_SCHEDULE_SECONDS,
    Accepted,
    AcceptPorts,
    Parcel,
    accept,
)

NOW = 1_760_000_000.0
DAY = 86_400.0
SERVER = Server(ServerId("abcdefghij"), "org1", "Demo", "demo", "tok123")
KEY = Credential("c1", SERVER.id, "api", "main")
ANN, BOB, EVE = (parse_address(f"{name}@example.org") for name in ("ann", "bob", "eve"))
RAW = b"From: Ann <ann@demo.example>\r\nSubject: Hi {{name}}\r\n\r\nhello\r\n"
LARGE = RAW + b"".join(b"%064x\r\n" % (n**16 * 0x9E3779B97F4A7C15) for n in range(999))
PARCEL = Parcel(SERVER, KEY, "api", "ann@demo.example", (ANN, BOB, EVE), RAW)


class Frail(MemoryLedger):
    """A ledger that has `trouble` when a delivery is settled, or somebody who is quicker."""

    trouble: Callable[[], None] | None = None

    def settle(self, before: Any, after: Any, event: Any) -> bool:
        if self.trouble is not None:
            self.trouble()
            return False
        return super().settle(before, after, event)


@dataclass
class World:
    """A door with every port, all in memory."""

    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    ledger: Frail = field(default_factory=Frail)
    lane: MemoryLane = field(default_factory=MemoryLane)
    bodies: MemoryBodies = field(default_factory=MemoryBodies)
    limits: MemoryLimits | None = field(default_factory=MemoryLimits)

    def __post_init__(self) -> None:
        self.suppressions = MemorySuppressions(self.clock)

    def suppress(self, address: object, scope: str = server_scope(SERVER.id)) -> None:
        self.suppressions.add(
            scope, Suppression(scope, Reason.HARD_BOUNCE, str(address), created_at=NOW)
        )

    def accept(self, parcel: Parcel = PARCEL) -> Accepted:
        directory = MemoryDirectory()
        directory.add_domain(Domain("demo.example", f"server#{SERVER.id}", True, "s1", b""))
        directory.add_stream(SERVER.id, "news", "broadcast")
        directory.add_stream(SERVER.id, "receipts", "transactional")
        return accept(
            parcel,
            AcceptPorts(
                directory=directory,
                ledger=self.ledger,
                bodies=self.bodies,
                lane=self.lane,
                clock=self.clock,
                chance=FixedChance(),
                max_message_size=100_000,
                body_key=lambda server, number, chance, days: f"{days}/{server.id}/{number}",
                work=self.ledger,
                suppressions=self.suppressions,
                limits=self.limits,
            ),
        )

    @property
    def woken(self) -> list[str]:
        return [wake_up.recipient for wake_up, _ in self.lane.sent]


def states(accepted: Accepted) -> list[State]:
    return [delivery.state for delivery in accepted.deliveries]


def test_a_submission_carries_what_call_key_and_header_say() -> None:
    raw = b"X-Mailroom-Metadata-Plan: gold\r\nX-Mailroom-Track: none\r\n" + RAW
    parcel = replace(
        PARCEL,
        credential=replace(KEY, stream="broadcast"),
        raw=raw,
        labels=Labels(tags=("one", "two"), metadata={"order": "7"}),
        merge={str(ANN): {"name": "Ann"}},
        test=True,
    )
    world = World()
    submission = world.accept(parcel).submission
    assert (submission.stream, submission.tag, submission.tags) == (
        "broadcast",
        "one",
        ("one", "two"),
    )
    assert submission.metadata == {"order": "7", "plan": "gold"}
    assert (submission.track_opens, submission.track_clicks, submission.test) == (
        False,
        False,
        True,
    )
    rows = world.ledger.deliveries(SERVER.id, submission.number)
    assert [row.merge for row in rows] == [{"name": "Ann"}, {}, {}]


@pytest.mark.parametrize(
    "change",
    [
        {"raw": b"X-Mailroom-Track: maybe\r\n" + RAW},
        {"labels": Labels(stream="No Such")},
        {"merge": {str(ANN): {"n": "x" * 9000}}},
        {"send_at": NOW + MAX_SCHEDULE_SECONDS + 1},
    ],
)
def test_what_cannot_be_carried_is_refused_and_nothing_stored(change: dict[str, Any]) -> None:
    world = World()
    with pytest.raises(InvalidRequestError):
        world.accept(replace(PARCEL, **change))
    assert not world.ledger.rows


def test_suppressed_recipients_are_accepted_ended_and_not_woken() -> None:
    world = World()
    world.suppress(BOB)
    accepted = world.accept()
    assert states(accepted) == [State.QUEUED, State.SUPPRESSED, State.QUEUED]
    assert list(accepted.deliveries) == world.ledger.deliveries(
        SERVER.id, accepted.submission.number
    )
    assert world.woken == [str(ANN), str(EVE)]
    event = world.ledger.outbox[accepted.deliveries[1].key]
    assert event.type is EventType.SUPPRESSED
    assert event.attempt is not None
    assert event.attempt.final
    assert "hard_bounce" in event.attempt.details


def test_a_history_begins_with_the_acceptance_even_of_what_ended_at_once() -> None:
    world = World()
    world.suppress(ANN)
    found = world.accept()
    first = found.deliveries[0].key
    for event in (world.ledger.outbox[first], accepted(first, found.submission.accepted_at)):
        world.ledger.record(event)
    assert [event.type for event in world.ledger.history(first)] == [
        EventType.ACCEPTED,
        EventType.SUPPRESSED,
    ]


def test_only_the_scopes_of_the_message_count() -> None:
    world = World()
    world.suppress(ANN, stream_scope(SERVER.id, "broadcast"))
    world.suppress(BOB, stream_scope(SERVER.id, "transactional"))
    world.suppress(EVE, server_scope(ServerId("bbbbbbbbbb")))
    assert states(world.accept()) == [State.QUEUED, State.SUPPRESSED, State.QUEUED]


def test_when_nobody_is_left_nobody_is_woken() -> None:
    world = World()
    for each in (ANN, BOB, EVE):
        world.suppress(each)
    accepted = world.accept()
    assert accepted.handed_over
    assert not world.lane.sent


def test_a_server_may_hold_instead_which_the_sender_does() -> None:
    world = World()
    world.suppress(ANN)
    holding = replace(SERVER, suppressed=OnSuppressed.HOLD)
    assert states(world.accept(replace(PARCEL, server=holding))) == [State.QUEUED] * 3


def _trouble() -> None:
    raise OSError("the table is away")


@pytest.mark.parametrize("trouble", [_trouble, lambda: None])
def test_what_cannot_be_ended_now_is_left_to_the_sender(trouble: Callable[[], None]) -> None:
    world = World()
    world.suppress(ANN)
    world.ledger.trouble = trouble
    assert states(world.accept()) == [State.QUEUED] * 3
    assert world.woken == [str(ANN), str(BOB), str(EVE)]  # its claim looks again


def test_a_scheduled_message_waits_in_the_due_index() -> None:
    world = World()
    send_at = NOW + 2 * DAY
    accepted = world.accept(replace(PARCEL, send_at=send_at))
    assert states(accepted) == [State.SCHEDULED] * 3
    assert accepted.handed_over
    assert not world.lane.sent
    assert accepted.submission.send_at == send_at
    assert accepted.submission.expires_at == send_at + LIFETIME_SECONDS
    assert world.ledger.due(send_at - 1, 10) == []
    assert len(world.ledger.due(send_at, 10)) == 3


@pytest.mark.parametrize("ahead", [1.5, HAND_OVER_SECONDS])
def test_what_is_due_soon_is_handed_over_with_a_delay_and_never_early(ahead: float) -> None:
    world = World()
    accepted = world.accept(replace(PARCEL, send_at=NOW + ahead))
    assert states(accepted) == [State.SCHEDULED] * 3
    assert {delay >= ahead for _, delay in world.lane.sent} == {True}
    assert {delay < ahead + 1 for _, delay in world.lane.sent} == {True}


def test_a_time_that_has_come_is_now() -> None:
    accepted = World().accept(replace(PARCEL, send_at=NOW - 5))
    assert states(accepted) == [State.QUEUED] * 3
    assert accepted.submission.send_at is None
    assert accepted.submission.expires_at == NOW + LIFETIME_SECONDS


@pytest.mark.parametrize(
    ("stream", "bulk"),
    [("broadcast", True), ("news", True), ("receipts", False), ("transactional", False),
     ("unknown", False)],
)  # fmt: skip
def test_mail_is_of_the_class_of_its_stream(stream: str, bulk: bool) -> None:
    parcel = replace(PARCEL, credential=replace(KEY, stream=stream))
    accepted = World().accept(parcel)
    assert [each.bulk for each in accepted.deliveries] == [bulk] * 3
    lifetime = BULK_LIFETIME_SECONDS if bulk else LIFETIME_SECONDS
    assert accepted.submission.expires_at == NOW + lifetime


REJECTING = replace(SERVER, limits=Limits(hour=4, day=9, action=LimitAction.REJECT))


def test_a_server_that_rejects_is_counted_when_it_hands_in() -> None:
    world = World()
    parcel = replace(PARCEL, server=REJECTING)
    world.accept(parcel)
    with pytest.raises(SendLimitExceededError) as refused:
        world.accept(parcel)
    assert refused.value.retry_at == pytest.approx(NOW + 61 * 60, abs=60)
    assert len(world.ledger.submissions) == 1
    world.accept(replace(parcel, recipients=(ANN,)))  # there is room for one more


def test_who_is_suppressed_is_not_counted() -> None:
    world = World()
    world.suppress(ANN)
    world.accept(replace(PARCEL, server=REJECTING))
    assert world.limits is not None
    assert world.limits.usages[SERVER.id].day.used == 2


@pytest.mark.parametrize(
    "change",
    [
        {"server": SERVER},
        {"server": replace(REJECTING, limits=Limits(hour=0, action=LimitAction.DELAY))},
        {"server": replace(REJECTING, limits=Limits(hour=0, action=LimitAction.HOLD))},
        {"server": replace(REJECTING, mode=Mode.SANDBOX)},
        {"server": replace(REJECTING, mode=Mode.DEVELOPMENT)},
        {"server": REJECTING, "test": True},
    ],
)
def test_nothing_else_is_counted_here(change: dict[str, Any]) -> None:
    world = World()
    world.accept(replace(PARCEL, **change))
    assert world.limits is not None
    assert world.limits.asked == 0


def test_without_a_table_of_limits_nothing_is_accepted_that_has_to_be_counted() -> None:
    world = World(limits=None)
    world.accept()
    with pytest.raises(LimitUnavailableError):
        world.accept(replace(PARCEL, server=REJECTING))


@pytest.mark.parametrize(
    ("raw_days", "days", "send_at", "size", "expected"),
    [
        (30, 60, None, LARGE, "32"),
        (1, 60, None, LARGE, "3"),
        (400, 400, None, LARGE, "402"),
        (30, 60, NOW + 10 * DAY, LARGE, "42"),
        (30, 60, None, RAW, None),
        (1, 60, None, RAW, "3"),  # a row would keep it for sixty days
        (5, 5, None, RAW, None),
    ],
)
def test_a_body_lies_where_it_is_deleted_in_time(
    raw_days: int, days: int, send_at: float | None, size: bytes, expected: str | None
) -> None:
    server = replace(SERVER, retention_raw_days=raw_days, retention_days=days)
    world = World()
    submission = world.accept(replace(PARCEL, server=server, raw=size, send_at=send_at)).submission
    key = submission.body.key
    assert (key.split("/")[0] if key else None) == expected
    assert submission.retention_days == days
    assert submission.raw_until == submission.expires_at + raw_days * DAY
    assert world.ledger.kept_days[SERVER.id, submission.number] == days
