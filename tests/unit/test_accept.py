"""Acceptance: all recipients or none, nothing visible without the commit, and no crash between.

The ports are the in-memory ones behind a tripwire that writes down every call in order and dies
at a chosen one, before or after it took effect.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from mailroom.domain.address import parse_address
from mailroom.domain.labels import Labels
from mailroom.domain.lifecycle import State
from mailroom.domain.message import (
    METADATA_DAYS,
    Credential,
    Domain,
    Server,
    ServerId,
    WakeUp,
    submission_number,
)
from mailroom.errors import (
    InvalidRequestError,
    MailroomError,
    MessageTooLargeError,
    NumberTakenError,
    ServerSuspendedError,
    UnauthenticatedFromAddressError,
)
from mailroom.fakes.memory import (
    FixedChance,
    FixedClock,
    MemoryBodies,
    MemoryDirectory,
    MemoryLane,
    MemoryLedger,
)
from mailroom.usecases.accept import (
    INLINE_OCTETS,
    LIFETIME_SECONDS,
    MAX_ACCEPTED_RECIPIENTS,
    WATCH_SECONDS,
    Accepted,
    AcceptPorts,
    Parcel,
    accept,
)

SERVER = Server(ServerId("abcdefghij"), "org1", "Demo", "demo", "tok123")
RAW = (
    b"From: Ann <ann@demo.example>\r\nSubject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n"
    b"Message-ID: <m1@demo.example>\r\nX-Postal-Tag: news\r\n\r\nhello\r\n"
)
INCOMPRESSIBLE = RAW + b"".join(b"%064x\r\n" % (n**16 * 0x9E3779B97F4A7C15) for n in range(999))
PEOPLE = tuple(parse_address(f"r{n}@example.org") for n in range(3))
PARCEL = Parcel(
    SERVER,
    Credential("c1", SERVER.id, "api", "main"),
    source="api",
    mail_from="ann@demo.example",
    recipients=PEOPLE,
    raw=RAW,
)


class Crash(BaseException):
    """The process died here."""


@dataclass
class Tripwire:
    """Names every call of a port; dies at number `fatal`, before or after it took effect."""

    fatal: int | None = None
    after: bool = False
    calls: list[str] = field(default_factory=list)

    def around(self, port: object) -> Any:
        return _Watched(port, self)

    def call(self, name: str, act: Callable[[], Any]) -> Any:
        self.calls.append(name)
        fatal = len(self.calls) == self.fatal
        if fatal and not self.after:
            raise Crash(name)
        answer = act()
        if fatal:
            raise Crash(name)
        return answer


class _Watched:
    def __init__(self, port: object, wire: Tripwire) -> None:
        self._port, self._wire = port, wire

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._port, name)
        return lambda *given, **named: self._wire.call(name, lambda: method(*given, **named))


class TornLedger(MemoryLedger):
    """A ledger whose `reserve` is many writes, as the real one's is: a crash may tear it."""

    torn = False

    def reserve(self, deliveries: Any, *, days: int = METADATA_DAYS) -> None:
        super().reserve(deliveries[:1], days=days)
        if self.torn:
            raise Crash("between two rows")
        for delivery in deliveries[1:]:
            self.rows[delivery.key] = delivery


@dataclass
class World:
    """The ports of one test, and what is behind them."""

    wire: Tripwire = field(default_factory=Tripwire)
    ledger: TornLedger = field(default_factory=TornLedger)
    bodies: MemoryBodies = field(default_factory=MemoryBodies)
    lane: MemoryLane = field(default_factory=MemoryLane)
    clock: FixedClock = field(default_factory=FixedClock)
    chance: Any = field(default_factory=FixedChance)
    divisor: float = 1.0

    def ports(self) -> AcceptPorts:
        directory = MemoryDirectory()
        domain = Domain("demo.example", f"server#{SERVER.id}", True, "s1", b"")
        directory.add_domain(domain)
        around = self.wire.around
        return AcceptPorts(
            directory=around(directory),
            ledger=around(self.ledger),
            bodies=around(self.bodies),
            lane=around(self.lane),
            clock=around(self.clock),
            chance=around(self.chance),
            max_message_size=100_000,
            body_key=lambda server, number, chance, days: (
                f"{days}/{chance:02x}/{server.id}/{number}"
            ),
            delay_divisor=self.divisor,
        )

    def accept(self, parcel: Parcel = PARCEL) -> Accepted:
        return accept(parcel, self.ports())

    @property
    def empty(self) -> bool:
        kept = (self.ledger.submissions, self.ledger.rows, self.ledger.watches)
        return not any((*kept, self.bodies.stored, self.lane.sent))

    def assert_whole(self, parcel: Parcel) -> None:
        """What an acceptance promises: all deliveries, the body, and somebody who looks."""
        ((server, number),) = self.ledger.submissions
        submission = self.ledger.submissions[server, number]
        deliveries = self.ledger.deliveries(server, number)
        assert [d.recipient for d in deliveries] == [str(a) for a in parcel.recipients]
        assert {d.state for d in deliveries} == {State.QUEUED}
        assert self.raw_of(submission.body) == parcel.raw
        assert (server, number) in {watch[1:] for watch in self.ledger.watches}

    def raw_of(self, body: Any) -> bytes:
        return zlib.decompress(body.inline) if body.inline else self.bodies.get(body.key)


def test_what_is_accepted_is_stored_whole_and_handed_over() -> None:
    world = World()
    accepted = world.accept()
    world.assert_whole(PARCEL)
    assert accepted.handed_over
    assert world.lane.sent == [(WakeUp(d.key, 0, d.recipient), 0.0) for d in accepted.deliveries]
    assert list(accepted.deliveries) == world.ledger.deliveries(
        SERVER.id, accepted.submission.number
    )


def test_the_submission_remembers_what_the_header_said() -> None:
    submission = World().accept(replace(PARCEL, bounce=True, received_with_ssl=True)).submission
    assert (submission.from_address, submission.sign_domain) == ("ann@demo.example", "demo.example")
    assert (submission.subject, submission.message_id) == ("grüße", "m1@demo.example")
    assert (submission.tag, submission.size, submission.recipients) == ("news", len(RAW), 3)
    assert (submission.credential, submission.source) == ("c1", "api")
    assert (submission.bounce, submission.received_with_ssl) == (True, True)


def test_a_tag_of_the_call_goes_before_one_in_the_header() -> None:
    assert World().accept(replace(PARCEL, labels=Labels(tags=("mine",)))).submission.tag == "mine"


def test_long_header_values_are_kept_in_part() -> None:
    raw = b"From: a@demo.example\r\n" + b"".join(
        name + b": " + b"x" * 100_000 + b"\r\n"
        for name in (b"Subject", b"Message-ID", b"X-Postal-Tag")
    )
    submission = accept(
        replace(PARCEL, raw=raw), replace(World().ports(), max_message_size=1_000_000)
    ).submission
    assert len(submission.subject) == 200
    assert len(submission.message_id or "") == 998  # a row has room for 400 KB in all
    assert len(submission.tag or "") == 100


@pytest.mark.parametrize("divisor", [1.0, 100.0])
def test_times_are_milliseconds_and_divided_on_a_local_stack(divisor: float) -> None:
    world = World(clock=FixedClock(1_760_000_000.123456), divisor=divisor)
    submission = world.accept().submission
    assert submission.accepted_at == 1_760_000_000.123
    assert submission.expires_at == pytest.approx(
        submission.accepted_at + LIFETIME_SECONDS / divisor
    )
    ((due, _, _),) = world.ledger.watches
    assert due == pytest.approx(submission.accepted_at + WATCH_SECONDS / divisor, abs=0.001)


def test_a_body_rides_along_if_it_is_small_and_lies_alone_if_it_is_not() -> None:
    small, large = World(), World()
    assert small.accept().submission.body.inline
    assert not small.bodies.stored
    body = large.accept(replace(PARCEL, raw=INCOMPRESSIBLE)).submission.body
    assert body.inline is None
    assert large.bodies.stored == {body.key: INCOMPRESSIBLE}
    squeezed = World().accept(replace(PARCEL, raw=RAW + b"a" * (INLINE_OCTETS * 5))).submission
    assert squeezed.body.inline  # it is the packed size that counts


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"server": replace(SERVER, suspended="abuse")}, ServerSuspendedError),
        ({"raw": RAW + b"x" * 100_000}, MessageTooLargeError),
        ({"recipients": ()}, InvalidRequestError),
        ({"recipients": PEOPLE[:1] * (MAX_ACCEPTED_RECIPIENTS + 1)}, InvalidRequestError),
        ({"raw": b""}, InvalidRequestError),
        ({"raw": b"no header\r\n\r\n"}, InvalidRequestError),
        ({"raw": b"From: a@evil.example\r\n\r\n"}, UnauthenticatedFromAddressError),
        ({"raw": b"Subject: x\r\n\r\n"}, UnauthenticatedFromAddressError),
        (
            {"raw": b"From: a@demo.example, b@evil.example\r\n\r\n"},
            UnauthenticatedFromAddressError,
        ),
    ],
)
def test_what_is_refused_leaves_nothing_behind(
    change: dict[str, Any], error: type[MailroomError]
) -> None:
    world = World()
    with pytest.raises(error):
        world.accept(replace(PARCEL, **change))
    assert world.empty


def test_nothing_is_written_after_the_commit_and_everything_before() -> None:
    world = World()
    world.accept(replace(PARCEL, raw=INCOMPRESSIBLE))
    writes = [call for call in world.wire.calls if call not in ("now", "bits", "sending_domain")]
    assert writes == ["watch", "reserve", "put", "commit", "send"]


class LoadedChance:
    """Draws `clashes` times 0, then others."""

    def __init__(self, clashes: int) -> None:
        self._left, self._next = clashes, 0

    def bits(self, count: int) -> int:
        self._left -= 1
        if self._left >= 0:
            return 0
        self._next += 1
        return self._next % (1 << count)


@pytest.mark.parametrize("clashes", [1, 4])
def test_a_number_in_use_is_drawn_again_and_the_other_mail_left_alone(clashes: int) -> None:
    world = World()
    others = taken_numbers(world, clashes)
    world.chance = LoadedChance(clashes)
    mine = world.accept(replace(PARCEL, recipients=PEOPLE[:2]))
    # Each further draw is from the second after, where there is more room.
    assert mine.submission.number == submission_number(world.clock.at + clashes, 1)
    for other in others:
        stored = world.ledger.deliveries(SERVER.id, other.submission.number)
        assert list(other.deliveries) == stored


def taken_numbers(world: World, seconds: int) -> list[Accepted]:
    """Mail that has the number 0 of this second and of those after it."""
    now, accepted = world.clock.at, []
    for later in range(seconds):
        world.clock.at, world.chance = now + later, LoadedChance(1)
        accepted.append(world.accept())
    world.clock.at = now
    return accepted


def test_five_clashes_in_a_row_accept_nothing() -> None:
    world = World()
    taken_numbers(world, 5)
    world.chance = LoadedChance(5)
    with pytest.raises(NumberTakenError):
        world.accept()
    assert len(world.ledger.submissions) == 5


def test_a_queue_that_is_down_does_not_stop_acceptance() -> None:
    world = World()
    world.lane.broken = True
    assert not world.accept().handed_over
    world.assert_whole(PARCEL)


def _calls(raw: bytes) -> list[str]:
    world = World()
    world.accept(replace(PARCEL, raw=raw))
    return world.wire.calls


CRASHES = [
    pytest.param(raw, number + 1, after, id=f"{name}-{'after' if after else 'before'}-{number}")
    for raw in (RAW, INCOMPRESSIBLE)
    for number, name in enumerate(_calls(raw))
    for after in (False, True)
]


@pytest.mark.parametrize(("raw", "fatal", "after"), CRASHES)
def test_a_crash_at_any_call_leaves_all_or_nothing_accepted(
    raw: bytes, fatal: int, after: bool
) -> None:
    world = World(Tripwire(fatal, after))
    parcel = replace(PARCEL, raw=raw)
    with pytest.raises(Crash):
        world.accept(parcel)
    committed = world.wire.calls[-1] == "send" or (world.wire.calls[-1] == "commit" and after)
    assert bool(world.ledger.submissions) == committed
    if committed:
        world.assert_whole(parcel)
    else:
        assert not world.lane.sent
        # Whatever garbage there is, somebody will come by and sweep it up.
        watched = {watch[1:] for watch in world.ledger.watches}
        assert {(key.server, key.number) for key in world.ledger.rows} <= watched


def test_a_crash_between_two_rows_accepts_nobody() -> None:
    world = World()
    world.ledger.torn = True
    with pytest.raises(Crash):
        world.accept()
    assert len(world.ledger.rows) == 1
    assert not world.ledger.submissions
    assert not world.lane.sent
