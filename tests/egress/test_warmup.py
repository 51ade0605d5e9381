"""Warm-up on a host: asked at once, booked in the background, given back at the end."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

import pytest

from egress.warmup import ASK_AGAIN_SECONDS, TROUBLE_SECONDS, WarmUp
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.judgement import Action, Judgement, Scope, Verb
from mailroom.domain.sending.source import AddressState, SourceAddress
from mailroom.domain.tenancy.record import Record
from mailroom.domain.warmup.plan import Plan, load_plan
from mailroom.domain.warmup.progress import (
    HOUR,
    DayFacts,
    Progress,
    WarmState,
    begin,
    dump_progress,
    utc_day,
)
from mailroom.fakes.control import MemoryControl
from mailroom.usecases.warmup import (
    WarmUpPorts,
    booked_of,
    facts_of,
    progress_place,
    progresses,
)
from tests.support.desk import until
from tests.support.flaky_control import FlakyControl

NOON = 46_300 * 86_400 + 12 * 3_600.0
COLD = SourceAddress("ip_1", "pool_1", "mx1.mail.test", state=AddressState.COLD, plan="mine")
WARM = replace(COLD, id="ip_2", state=AddressState.WARM)
PLAIN = replace(COLD, id="ip_3", plan="")


@dataclass
class Stand:
    """A warm-up over a table in memory, and a clock that goes when it is told to."""

    now: float = NOON
    store: MemoryControl = field(default_factory=MemoryControl)
    plan: Plan = field(default_factory=lambda: load_plan("mine", {"days": [100, 200, 300]}))
    made: list[WarmUp] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.control = FlakyControl(self.store)
        self.ports = WarmUpPorts(self.store)

    def process(self, holder: str = "run-1") -> WarmUp:
        warmup = WarmUp(
            WarmUpPorts(self.control),
            holder=holder,
            clock=lambda: self.now,
            plans=lambda _: self.plan,
        )
        warmup.start()
        self.made.append(warmup)
        return warmup

    def may(self, warmup: WarmUp, provider: str = "gmail") -> Callable[[], bool]:
        return lambda: warmup.room(COLD, provider, self.now) <= self.now

    def blocked(self, warmup: WarmUp) -> Callable[[], bool]:
        return lambda: warmup.room(COLD, "gmail", self.now) > self.now + 1

    async def send(self, warmup: WarmUp, count: int) -> None:
        for _ in range(count):
            await until(self.may(warmup))
            assert warmup.attempted(COLD, "gmail", self.now)

    def accept(self, warmup: WarmUp, count: int) -> None:
        for _ in range(count):
            warmup.accepted(COLD, "gmail", self.now)


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    stand = Stand()
    yield stand
    for warmup in stand.made:
        await warmup.close()


async def test_a_cold_address_begins_its_plan_and_keeps_to_the_hour(stand: Stand) -> None:
    warmup = stand.process()
    assert warmup.room(COLD, "gmail", stand.now) == stand.now + 0.25  # nothing is booked yet
    assert not warmup.attempted(COLD, "gmail", stand.now)
    await stand.send(warmup, 10)
    await until(stand.blocked(warmup))
    assert warmup.room(COLD, "gmail", stand.now) == NOON + HOUR
    assert not warmup.attempted(COLD, "gmail", stand.now)
    await until(stand.may(warmup, "yahoo"))  # a cap of its own
    ((group, progress, _), _) = progresses("ip_1", stand.ports)
    assert (group, progress.cap, progress.plan) == ("gmail", 100, "mine")
    stand.accept(warmup, 9)
    stand.now = NOON + HOUR
    await stand.send(warmup, 9)  # and one is still under way
    await until(stand.blocked(warmup))


async def test_what_is_refused_makes_room_and_what_is_accepted_does_not(stand: Stand) -> None:
    warmup = stand.process()
    await stand.send(warmup, 10)
    await until(stand.blocked(warmup))
    warmup.accepted(COLD, "gmail", stand.now)
    assert warmup.room(COLD, "gmail", stand.now) > stand.now
    warmup.refused(COLD, "gmail", stand.now, blames_path=True)
    assert warmup.room(COLD, "gmail", stand.now) == stand.now
    warmup.bounced(COLD, "gmail", stand.now)
    await stand.send(warmup, 2)
    await until(stand.blocked(warmup))


async def test_providers_without_a_group_share_one_cap(stand: Stand) -> None:
    warmup = stand.process()
    for provider in ("seznam", "web-de", "other"):
        await until(stand.may(warmup, provider))
        assert warmup.attempted(COLD, provider, stand.now)
    assert [group for group, _, _ in progresses("ip_1", stand.ports)] == ["other"]


async def test_what_happened_is_written_as_the_facts_of_the_day(stand: Stand) -> None:
    warmup = stand.process()
    await stand.send(warmup, 4)
    warmup.accepted(COLD, "gmail", stand.now)
    warmup.refused(COLD, "gmail", stand.now, blames_path=True)
    warmup.refused(COLD, "gmail", stand.now, blames_path=False)
    warmup.bounced(COLD, "gmail", stand.now)
    warmup.suspended(COLD, "gmail", stand.now)
    warmup.held(COLD, "gmail", stand.now)
    day = utc_day(stand.now)
    assert facts_of("ip_1", "gmail", day, stand.ports) == DayFacts()
    stand.now += 6
    expected = DayFacts(attempted=4, accepted=1, deferred=1, bounced=1, suspended=1, held=1)
    await until(lambda: facts_of("ip_1", "gmail", day, stand.ports) == expected)
    warmup.suspended(COLD, "gmail", stand.now)
    await warmup.close()
    written = facts_of("ip_1", "gmail", day, stand.ports)
    assert written == replace(expected, suspended=2)


@pytest.mark.parametrize(
    ("code", "judgement", "silenced", "expected"),
    [
        (250, None, True, DayFacts(accepted=1)),
        (550, Judgement(Scope.MESSAGE), False, DayFacts(bounced=1)),
        (450, Judgement(Scope.MESSAGE), True, DayFacts()),
        (450, Judgement(Scope.MESSAGE, permanent=True), False, DayFacts(bounced=1)),
        (550, Judgement(Scope.MESSAGE, permanent=False), False, DayFacts()),
        (421, Judgement(Scope.PATH), False, DayFacts(deferred=1)),
        (554, Judgement(Scope.ADDRESS), True, DayFacts(deferred=1, suspended=1)),
        (421, Judgement(Scope.TENANT), True, DayFacts()),
        (
            *(421, Judgement(Scope.PATH, actions=(Action(Verb.HOLD_WARMUP),)), False),
            DayFacts(deferred=1, held=1),
        ),
    ],
)
async def test_what_a_reply_means_for_the_day(
    stand: Stand, code: int, judgement: Judgement | None, silenced: bool, expected: DayFacts
) -> None:
    warmup = stand.process()
    await stand.send(warmup, 1)
    reply = SmtpReply(code, "so", Phase.DOT)
    warmup.concluded(COLD, "gmail", judgement, reply, stand.now, silenced=silenced)
    await warmup.close()
    facts = facts_of("ip_1", "gmail", utc_day(stand.now), stand.ports)
    assert facts == replace(expected, attempted=1)
    booked = booked_of("ip_1", "gmail", stand.now, stand.ports)
    assert booked.units == expected.accepted


async def test_what_was_not_offered_makes_room(stand: Stand) -> None:
    warmup = stand.process()
    await stand.send(warmup, 10)
    await until(stand.blocked(warmup))
    warmup.returned(COLD, "gmail", stand.now)
    await stand.send(warmup, 1)
    await until(stand.blocked(warmup))
    await warmup.close()
    assert facts_of("ip_1", "gmail", utc_day(stand.now), stand.ports).attempted == 10


async def test_facts_that_could_not_be_written_are_written_later(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    warmup = stand.process()
    await stand.send(warmup, 1)
    stand.control.before = lambda: True
    stand.now += 6
    await until(lambda: "not written" in caplog.text)
    stand.control.before = lambda: False
    stand.now += 6
    day = utc_day(stand.now)
    await until(lambda: facts_of("ip_1", "gmail", day, stand.ports) == DayFacts(attempted=1))


async def test_nothing_goes_while_the_table_is_silent(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.control.before = lambda: True
    warmup = stand.process()
    await until(stand.blocked(warmup))
    assert warmup.room(COLD, "gmail", stand.now) == stand.now + TROUBLE_SECONDS
    assert "cannot be booked" in caplog.text
    stand.control.before = lambda: False
    stand.now += TROUBLE_SECONDS
    await until(stand.may(warmup))


async def test_a_shutdown_gives_back_and_a_crash_loses_one_slice(stand: Stand) -> None:
    stand.plan = load_plan("mine", {"days": [5_000]})
    first = stand.process("run-1")
    await stand.send(first, 3)
    await until(lambda: booked_of("ip_1", "gmail", stand.now, stand.ports).units > 50)
    await first.close()
    assert booked_of("ip_1", "gmail", stand.now, stand.ports).units == 3
    second = stand.process("run-2")
    await stand.send(second, 3)
    await until(lambda: booked_of("ip_1", "gmail", stand.now, stand.ports).units > 50)
    third = stand.process("run-3")  # and nobody hears of the second any more
    sent = 0
    while not stand.blocked(third)():
        await until(lambda: stand.may(third)() or stand.blocked(third)())
        sent += third.attempted(COLD, "gmail", stand.now)
    assert 500 - 3 - 3 - 100 <= sent <= 500 - 3 - 3


async def test_an_address_that_leaves_is_given_back_and_begun_anew(stand: Stand) -> None:
    warmup = stand.process()
    await stand.send(warmup, 2)
    await warmup.release("ip_1")
    assert booked_of("ip_1", "gmail", stand.now, stand.ports).units == 2
    assert facts_of("ip_1", "gmail", utc_day(stand.now), stand.ports).attempted == 2
    await stand.send(warmup, 1)
    await until(lambda: booked_of("ip_1", "gmail", stand.now, stand.ports).units >= 3)
    warmup.accepted(COLD, "gmail", stand.now)
    await warmup.close()
    assert booked_of("ip_1", "gmail", stand.now, stand.ports).units == 3
    facts = facts_of("ip_1", "gmail", utc_day(stand.now), stand.ports)
    assert facts == DayFacts(attempted=3, accepted=1)


async def test_a_group_that_is_warm_has_no_cap_and_is_looked_at_again(stand: Stand) -> None:
    def store(progress: Progress) -> None:
        stand.store.put(Record(progress_place("ip_1", "gmail"), dump_progress(progress)))

    progress = begin("mine", stand.plan.of("gmail"), utc_day(NOON))
    store(replace(progress, state=WarmState.WARM))
    warmup = stand.process()
    await until(stand.may(warmup))
    for _ in range(500):
        assert warmup.attempted(COLD, "gmail", stand.now)
        warmup.accepted(COLD, "gmail", stand.now)
    assert warmup.connections(COLD, "gmail") is None
    store(progress)  # it was without mail for thirty days
    stand.now += ASK_AGAIN_SECONDS
    await stand.send(warmup, 10)
    await until(stand.blocked(warmup))


async def test_in_the_first_week_there_are_two_connections(stand: Stand) -> None:
    warmup = stand.process()
    assert warmup.connections(COLD, "gmail") == 2
    await stand.send(warmup, 1)
    assert warmup.connections(COLD, "gmail") == 2
    assert warmup.connections(WARM, "gmail") is None


async def test_addresses_without_caps_cost_no_booking(stand: Stand) -> None:
    warmup = stand.process()
    for source in (WARM, PLAIN):
        for _ in range(100):
            assert warmup.room(source, "gmail", stand.now) == stand.now
            assert warmup.attempted(source, "gmail", stand.now)
            warmup.accepted(source, "gmail", stand.now)
    assert stand.control.calls == 0
    await warmup.close()
    day = utc_day(stand.now)
    assert facts_of("ip_2", "gmail", day, stand.ports) == DayFacts(100, 100)
    assert facts_of("ip_3", "gmail", day, stand.ports) == DayFacts()


async def test_shaping_may_name_another_plan_for_a_group(stand: Stand) -> None:
    warmup = WarmUp(
        stand.ports,
        holder="run-1",
        clock=lambda: stand.now,
        named=lambda _, group: "gentle" if group == "gmail" else "",
    )
    stand.made.append(warmup)
    warmup.start()
    cold = replace(COLD, plan="sendgrid")
    for provider in ("gmail", "yahoo"):
        await until(lambda: warmup.room(cold, provider, stand.now) <= stand.now)  # noqa: B023
    found = {group: progress.plan for group, progress, _ in progresses("ip_1", stand.ports)}
    assert found == {"gmail": "gentle", "yahoo": "sendgrid"}


async def test_a_plan_that_changes_counts_from_the_next_booking(stand: Stand) -> None:
    warmup = stand.process()
    await stand.send(warmup, 10)
    await until(stand.blocked(warmup))
    stand.accept(warmup, 10)
    stand.plan = load_plan("other", {"days": [20, 50]})
    stand.now = NOON + HOUR
    await stand.send(warmup, 5)
    await until(stand.blocked(warmup))
    ((_, progress, _),) = progresses("ip_1", stand.ports)
    assert (progress.plan, progress.cap) == ("other", 50)
