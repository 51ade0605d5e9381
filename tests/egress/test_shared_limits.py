"""Limits over several hosts, on a host: asked from memory, booked while somebody asks."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from egress.shared_limits import SharedLimits
from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import SharedLimit, SharedScope
from mailroom.domain.sending.slices import SharedKey, load_bucket
from mailroom.fakes.control import MemoryControl
from mailroom.usecases.slices import SlicePorts, look
from tests.support.desk import until
from tests.support.flaky_control import FlakyControl

START = 4_000_000_000.0
GMAIL: SharedKey = (
    SharedLimit(SharedScope.POOL_PROVIDER, ("*", "gmail"), Rate(10)),
    ("pool_1", "gmail"),
)
TAG: SharedKey = (SharedLimit(SharedScope.CAMPAIGN, ("srv_1", "*"), Rate(1)), ("srv_1", "news"))


@dataclass
class Stand:
    """Shared limits over a table in memory, and a clock that goes when it is told to."""

    now: float = START
    control: FlakyControl = field(default_factory=lambda: FlakyControl(MemoryControl()))
    made: list[SharedLimits] = field(default_factory=list)

    def process(self, holder: str = "run-1") -> SharedLimits:
        limits = SharedLimits(
            SlicePorts(self.control), holder=holder, live=lambda: 2, clock=lambda: self.now
        )
        limits.start()
        self.made.append(limits)
        return limits

    def tat(self, key: SharedKey) -> float:
        held = look(key, SlicePorts(self.control))
        return load_bucket(held.body).tat if held else 0.0

    async def ready(self, limits: SharedLimits, *keys: SharedKey) -> None:
        await until(lambda: limits.earliest(keys, self.now) <= self.now)


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    stand = Stand()
    yield stand
    for limits in stand.made:
        await limits.close()


async def test_a_message_without_a_shared_limit_goes_at_once(stand: Stand) -> None:
    limits = stand.process()
    assert limits.earliest((), stand.now) == stand.now
    assert limits.take((), stand.now)
    assert stand.control.calls == 0


async def test_the_first_question_books_and_the_turns_are_spaced(stand: Stand) -> None:
    limits = stand.process()
    assert limits.earliest([GMAIL], stand.now) == stand.now + 0.25
    assert not limits.take([GMAIL], stand.now)
    await stand.ready(limits, GMAIL)
    assert limits.take([GMAIL], stand.now)
    await until(lambda: stand.tat(GMAIL) > START + 0.15)
    await until(lambda: limits.earliest([GMAIL], stand.now) < stand.now + 0.2)
    assert limits.earliest([GMAIL], stand.now) == pytest.approx(START + 0.1)
    stand.now = START + 0.1
    assert limits.take([GMAIL], stand.now)


async def test_all_limits_let_a_message_go_or_none_is_used(stand: Stand) -> None:
    limits = stand.process()
    await stand.ready(limits, GMAIL, TAG)
    assert limits.take([GMAIL, TAG], stand.now)
    stand.now += 0.5
    await stand.ready(limits, GMAIL)
    assert limits.earliest([GMAIL, TAG], stand.now) > stand.now
    assert not limits.take([GMAIL, TAG], stand.now)
    assert limits.earliest([GMAIL], stand.now) == stand.now  # its turn was not used
    stand.now += 0.5
    await stand.ready(limits, GMAIL, TAG)
    assert limits.take([GMAIL, TAG], stand.now)


async def test_two_processes_never_have_the_same_turn(stand: Stand) -> None:
    both = stand.process("run-1"), stand.process("run-2")
    sent = {0: 0, 1: 0}
    while stand.now < START + 10:
        for number, limits in enumerate(both):
            while limits.take([GMAIL], stand.now):
                sent[number] += 1
        await until(lambda: all(limits._turns[GMAIL]._hands for limits in both))
        stand.now += 0.05
    assert 50 <= sum(sent.values()) <= 10 * 10 + 50 + 1
    assert min(sent.values()) > 0


async def test_nothing_goes_while_the_table_is_silent(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.control.before = lambda: True
    limits = stand.process()
    limits.earliest([GMAIL], stand.now)
    await until(lambda: "no turns of pool-provider: OutOfReachError" in caplog.text)
    assert limits.earliest([GMAIL], stand.now) == stand.now + 1.0
    stand.control.before = lambda: False
    stand.now += 1.0
    await stand.ready(limits, GMAIL)


async def test_what_is_not_used_is_given_back_at_the_end(stand: Stand) -> None:
    limits = stand.process()
    await stand.ready(limits, GMAIL)
    assert stand.tat(GMAIL) > START
    await limits.close()
    assert stand.tat(GMAIL) == START
    assert stand.control.calls > 0


async def test_a_key_nobody_asks_for_is_forgotten(stand: Stand) -> None:
    limits = stand.process()
    await stand.ready(limits, GMAIL)
    assert len(limits._turns) == 1
    stand.now += 60
    limits.earliest([TAG], stand.now)
    await until(lambda: GMAIL not in limits._turns)


async def test_a_shutdown_survives_a_silent_table(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    limits = stand.process()
    await stand.ready(limits, GMAIL)
    stand.control.before = lambda: True
    await limits.close()
    assert "not given back" in caplog.text
