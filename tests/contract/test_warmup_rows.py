"""Warm-up and shared limits over the control table: one suite for the fake and for the table."""

import secrets

import pytest

from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
from mailroom.adapters.dynamo_registry import DynamoRegistry
from mailroom.adapters.system import SystemChance
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import SharedLimit, SharedScope
from mailroom.domain.sending.slices import SharedKey, load_bucket
from mailroom.domain.sending.turns import Wish as TurnWish
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.kinds.pool import POOL, POOL_ADDRESS
from mailroom.domain.tenancy.resource import PLATFORM
from mailroom.domain.warmup.booking import Booking, Wish
from mailroom.domain.warmup.plan import GENTLE, SENDGRID
from mailroom.domain.warmup.progress import DAY, HOUR, DayFacts
from mailroom.fakes.control import MemoryControl
from mailroom.fakes.memory import FixedClock
from mailroom.ports.control import Control
from mailroom.usecases.registrar import Registrar
from mailroom.usecases.slices import Booker, SlicePorts, book_turns, look
from mailroom.usecases.slices import give_back as give_back_turns
from mailroom.usecases.warmup import (
    WarmUpPorts,
    booked_of,
    facts_of,
    give_back,
    note_complaint,
    note_facts,
    progresses,
    reserve,
)
from mailroom.usecases.warmup_care import WarmUpCarePorts, look_after_warm_up, warmup_report

ME = Actor("platform", "key_1", "A test", "request-1", "192.0.2.1")
# To come: the emulator deletes rows whose ttl is over.
TODAY = 4_000_000_000 // DAY
NOW = float(TODAY * DAY + 10 * HOUR)
HOUR_NOW = int(NOW // HOUR)


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def control(request: pytest.FixtureRequest) -> Control:
    if request.param == "memory":
        return MemoryControl()
    cloud = request.getfixturevalue("cloud")
    return DynamoControl(bound(ControlRow, cloud.settings.resource("table", "control")))


@pytest.fixture
def address() -> str:
    return f"ip_{secrets.token_hex(6)}"


def test_a_plan_begins_and_its_cap_holds_for_all(control: Control, address: str) -> None:
    ports = WarmUpPorts(control)
    where = (address, "gmail")
    first = reserve(
        *where, plan=SENDGRID, holder="a", have=Booking(hour=HOUR_NOW), wish=Wish(3, 4), ports=ports
    )
    assert (first.progress.cap, first.progress.plan) == (50, "sendgrid")
    assert first.granted is not None
    assert first.granted.booking == Booking(3, 4, HOUR_NOW, 3, 4)
    second = reserve(
        *where, plan=SENDGRID, holder="b", have=Booking(hour=HOUR_NOW), wish=Wish(3, 4), ports=ports
    )
    assert second.granted is not None
    assert second.granted.booking == Booking(2, 2, HOUR_NOW, 2, 2)
    assert second.granted.until == NOW + HOUR
    assert booked_of(*where, NOW, ports) == Booking(5, 6, HOUR_NOW, 5, 6)
    have = Booking(1, 2, HOUR_NOW, 1, 2)
    assert give_back(*where, holder="a", have=have, ports=ports)
    assert booked_of(*where, NOW, ports).units == 3
    assert booked_of(*where, NOW + HOUR, ports) == Booking(3, 4, HOUR_NOW + 1)
    assert booked_of(*where, NOW + DAY, ports).units == 0


def test_another_plan_takes_over_at_no_higher_a_cap(control: Control, address: str) -> None:
    ports = WarmUpPorts(control)
    where = (address, "other")
    for plan in (SENDGRID, GENTLE, GENTLE):
        reserve(
            *where,
            plan=plan,
            holder="a",
            have=Booking(hour=HOUR_NOW),
            wish=Wish(1, 2),
            ports=ports,
        )
    ((group, progress, revision),) = progresses(address, ports)
    assert (group, progress.plan, progress.cap, revision) == ("other", "gentle", 50, 2)


def test_facts_are_totals_of_each_process(control: Control, address: str) -> None:
    ports = WarmUpPorts(control)
    for holder, accepted in (("a", 3), ("a", 5), ("b", 7)):
        facts = DayFacts(attempted=10, accepted=accepted)
        note_facts(address, "gmail", day=TODAY, holder=holder, facts=facts, ports=ports)
    for _ in range(2):
        note_complaint(address, "gmail", NOW, ports)
    assert facts_of(address, "gmail", TODAY, ports) == DayFacts(20, 12, complained=2)
    assert facts_of(address, "gmail", TODAY + 1, ports) == DayFacts()
    assert facts_of(address, "yahoo", TODAY, ports) == DayFacts()


def test_turns_are_booked_once_and_given_back(control: Control, address: str) -> None:
    ports = SlicePorts(control)
    limit = SharedLimit(SharedScope.TENANT, ("*",), Rate(10))
    key: SharedKey = (limit, (address,))
    seen = look(key, ports)
    assert seen is None
    wish = TurnWish(20, steady=True)
    booked = book_turns(key, seen, wish, Booker("a", 2), NOW, ports)
    assert booked is not None
    assert booked.turns is not None
    assert (booked.turns.start, booked.turns.count) == (NOW, 20)
    assert book_turns(key, seen, wish, Booker("b", 2), NOW, ports) is None  # it has changed
    again = book_turns(key, look(key, ports), wish, Booker("b", 2), NOW, ports)
    assert again is not None
    assert again.turns is not None
    assert again.turns.start == NOW + 2
    assert give_back_turns(key, "b", again.turns, ports)
    held = look(key, ports)
    assert held is not None
    bucket = load_bucket(held.body)
    assert (bucket.tat, set(bucket.claims)) == (NOW + 2, {"a"})


@pytest.mark.emulator
def test_a_day_is_judged_on_the_tables(request: pytest.FixtureRequest) -> None:
    cloud = request.getfixturevalue("cloud")
    registry = DynamoRegistry(bound(DirectoryRow, cloud.settings.resource("table", "directory")))
    control = DynamoControl(bound(ControlRow, cloud.settings.resource("table", "control")))
    clock = FixedClock(NOW)
    registrar = Registrar(registry, clock, SystemChance(), "test")
    ports = WarmUpCarePorts(control, registrar)
    name = f"Pool {secrets.token_hex(6)}"
    pool = registrar.create(POOL, PLATFORM, {"name": name}, actor=ME, organisation="")
    fields = {"hostname": "mx.mail.test", "state": "cold", "plan": "sendgrid"}
    made = registrar.create(POOL_ADDRESS, pool.owner, fields, actor=ME, organisation="")
    host, where = WarmUpPorts(control), (made.id, "gmail")
    have, wish = Booking(hour=HOUR_NOW), Wish(5, 6)
    reserve(*where, plan=SENDGRID, holder="a", have=have, wish=wish, ports=host)
    note_facts(*where, day=TODAY, holder="a", facts=DayFacts(60, 50), ports=host)
    tomorrow = NOW + DAY
    while look_after_warm_up(tomorrow, ports, limit=1):
        pass
    assert look_after_warm_up(tomorrow, ports, limit=1) == {}
    (line,) = warmup_report(made.id, tomorrow, ports)
    assert (line.day, line.cap, line.used, line.state) == (2, 70, 0, "warming")
    assert line.reason == "advanced: used 50 of 50 (100%) without trouble"
