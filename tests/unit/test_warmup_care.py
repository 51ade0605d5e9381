"""The days of warm-up judged by the scheduler, and the report of how far everything is."""

from dataclasses import dataclass, field

import pytest
from mail_scheduler.warming import judge_warm_up

from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.kinds.pool import POOL, POOL_ADDRESS
from mailroom.domain.tenancy.record import Record
from mailroom.domain.tenancy.resource import PLATFORM, Resource
from mailroom.domain.warmup.booking import Booking, Wish
from mailroom.domain.warmup.plan import GROUPS, SENDGRID
from mailroom.domain.warmup.progress import (
    DAY,
    HOUR,
    DayFacts,
    Progress,
    WarmState,
    begin,
    dump_progress,
    utc_day,
)
from mailroom.errors import NotFoundError
from mailroom.fakes.control import MemoryControl
from mailroom.fakes.memory import FixedChance, FixedClock
from mailroom.fakes.registry import MemoryRegistry
from mailroom.usecases.registrar import Registrar
from mailroom.usecases.warmup import (
    WarmUpPorts,
    note_complaint,
    note_facts,
    progress_place,
    progresses,
    reserve,
)
from mailroom.usecases.warmup_care import (
    GRACE_SECONDS,
    WarmUpCarePorts,
    judge_address,
    look_after_warm_up,
    warmup_report,
)

ME = Actor("platform", "key_1", "A test", "request-1", "192.0.2.1")
DAY_0 = 46_300
MIDNIGHT = float(DAY_0 * DAY)
GOOD = DayFacts(attempted=2_000_000, accepted=1_900_000)


@dataclass
class Desk:
    """Pools and addresses in memory."""

    control: MemoryControl = field(default_factory=MemoryControl)
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    clock: FixedClock = field(default_factory=lambda: FixedClock(MIDNIGHT))

    def __post_init__(self) -> None:
        registrar = Registrar(self.registry, self.clock, FixedChance(3), "test")
        self.ports = WarmUpCarePorts(self.control, registrar)
        self.host = WarmUpPorts(self.control)
        self.addresses = 0

    def pool(self, name: str = "Shared") -> Resource:
        fields = {"name": name}
        return self.ports.registrar.create(POOL, PLATFORM, fields, actor=ME, organisation="")

    def address(self, pool: Resource, state: str = "cold") -> Resource:
        self.addresses += 1
        fields = {"ipv4": f"192.0.2.{self.addresses}", "hostname": "mx.mail.test", "state": state}
        return self.ports.registrar.create(
            POOL_ADDRESS, pool.owner, fields, actor=ME, organisation=""
        )

    def again(self, address: Resource) -> Resource:
        return self.ports.registrar.read(POOL_ADDRESS, address.parent, address.id)

    def begin(self, address: Resource, *groups: str, day: int = DAY_0, index: int = 0) -> None:
        for group in groups:
            progress = begin(SENDGRID.name, SENDGRID.of(group), day)
            self.store(address, group, _at(progress, index))

    def store(self, address: Resource, group: str, progress: Progress) -> None:
        self.control.put(Record(progress_place(address.id, group), dump_progress(progress)))

    def facts(self, address: Resource, group: str, day: int, facts: DayFacts) -> None:
        note_facts(address.id, group, day=day, holder="run-1", facts=facts, ports=self.host)

    def progress(self, address: Resource, group: str = "gmail") -> Progress:
        return {name: each for name, each, _ in progresses(address.id, self.host)}[group]


def _at(progress: Progress, index: int) -> Progress:
    return Progress(
        progress.plan, progress.steps, index, progress.day, progress.started_on, progress.used_on
    )


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_day_is_judged_five_minutes_after_it_is_over_and_once(desk: Desk) -> None:
    address = desk.address(desk.pool())
    desk.begin(address, "gmail", "yahoo")
    desk.facts(address, "gmail", DAY_0, DayFacts(60, 50))
    now = MIDNIGHT + DAY
    assert look_after_warm_up(now - 1, desk.ports, limit=10) == {"warm_up_addresses": 1}
    assert look_after_warm_up(now + GRACE_SECONDS - 1, desk.ports, limit=10) == {}
    done = judge_warm_up(desk.ports, now + GRACE_SECONDS)
    assert done == {"warm_up_addresses": 1, "warm_up_decisions": 2}
    assert desk.progress(address).cap == 70
    assert desk.progress(address).reason == "advanced: used 50 of 50 (100%) without trouble"
    assert desk.progress(address, "yahoo").reason == "held: no mail for 1 days"
    assert judge_warm_up(desk.ports, now + 2 * GRACE_SECONDS) == {}
    assert judge_address(desk.again(address), DAY_0 + 1, desk.ports) == 0


def test_facts_of_all_processes_and_complaints_count(desk: Desk) -> None:
    address = desk.address(desk.pool())
    desk.begin(address, "gmail")
    for holder, facts in (("a", DayFacts(20, 20)), ("b", DayFacts(20, 15)), ("b", DayFacts(5, 5))):
        note_facts(address.id, "gmail", day=DAY_0, holder=holder, facts=facts, ports=desk.host)
    note_complaint(address.id, "gmail", MIDNIGHT + 5, desk.host)
    note_complaint(address.id, "gmail", MIDNIGHT + 6, desk.host)
    judge_address(address, DAY_0 + 1, desk.ports)
    reason = "held: 8.00% of 25 accepted messages were complained about"
    assert desk.progress(address).reason == reason


def test_days_that_were_missed_are_made_up_for(desk: Desk) -> None:
    address = desk.address(desk.pool())
    desk.begin(address, "gmail")
    for day in range(3):
        desk.facts(address, "gmail", DAY_0 + day, DayFacts(100, 90 if day != 1 else 10))
    judge_address(address, DAY_0 + 4, desk.ports)
    progress = desk.progress(address)
    assert (progress.day, progress.cap, progress.used_on) == (DAY_0 + 4, 97, DAY_0 + 2)
    assert [note.reason.split(":")[0] for note in progress.notes] == [
        *("advanced", "held", "advanced", "held"),
    ]


def test_an_address_is_warming_once_it_is_judged_and_warm_when_all_groups_are(desk: Desk) -> None:
    address = desk.address(desk.pool())
    desk.begin(address, *GROUPS, index=30)
    for number, group in enumerate(GROUPS):
        desk.facts(address, group, DAY_0 + (number == 0), GOOD)
    judge_address(address, DAY_0 + 1, desk.ports)
    assert desk.again(address).fields["state"] == "warming"  # one group is left
    judge_address(desk.again(address), DAY_0 + 2, desk.ports)
    assert desk.again(address).fields["state"] == "warm"
    for day in range(1, 33):
        for group in GROUPS[1:]:
            desk.facts(address, group, DAY_0 + day, GOOD)
    judge_address(desk.again(address), DAY_0 + 31, desk.ports)
    assert desk.again(address).fields["state"] == "warm"
    judge_address(desk.again(address), DAY_0 + 32, desk.ports)  # thirty days without gmail
    assert desk.again(address).fields["state"] == "warming"
    assert desk.progress(address).state is WarmState.WARMING
    assert desk.progress(address, "yahoo").state is WarmState.WARM


@pytest.mark.parametrize("state", ["warm", "draining", "disabled"])
def test_a_state_that_a_person_set_stays(desk: Desk, state: str) -> None:
    address = desk.address(desk.pool(), state)
    desk.begin(address, "gmail")
    desk.facts(address, "gmail", DAY_0, DayFacts(60, 50))
    assert judge_address(address, DAY_0 + 1, desk.ports) == 1
    assert desk.again(address).fields["state"] == state


def test_an_address_that_was_changed_meanwhile_is_left_for_the_next_day(desk: Desk) -> None:
    address = desk.address(desk.pool())
    desk.begin(address, "gmail")
    fields = {**address.fields, "weight": 5}
    desk.ports.registrar.update(POOL_ADDRESS, address, fields, actor=ME)
    assert judge_address(address, DAY_0 + 1, desk.ports) == 1
    assert desk.again(address).fields["state"] == "cold"
    judge_address(desk.again(address), DAY_0 + 2, desk.ports)
    assert desk.again(address).fields == {**fields, "state": "warming"}


def test_a_tick_looks_at_so_many_and_the_next_goes_on(desk: Desk) -> None:
    for number in range(5):
        pool = desk.pool(f"Pool {number}")
        for _ in range(2):
            desk.begin(desk.address(pool), "gmail", day=DAY_0 - 1)
    now = MIDNIGHT + GRACE_SECONDS
    seen = [judge_warm_up(desk.ports, now, limit=3)["warm_up_addresses"] for _ in range(4)]
    assert seen == [3, 3, 3, 1]
    assert judge_warm_up(desk.ports, now + DAY, limit=100)["warm_up_decisions"] == 10


def test_the_report_tells_plan_day_used_and_why(desk: Desk) -> None:
    pool = desk.pool()
    address, other = desk.address(pool), desk.address(pool)
    wish = Wish(2, 3)
    now = MIDNIGHT + 5 * HOUR
    reserve(
        *(address.id, "gmail"),
        plan=SENDGRID,
        holder="run-1",
        have=Booking(hour=int(now // HOUR)),
        wish=wish,
        ports=desk.host,
    )
    desk.facts(address, "gmail", DAY_0, DayFacts(3, 1, bounced=1))
    desk.begin(other, "yahoo", index=9)
    line, another = warmup_report(None, now, desk.ports)
    assert (line.address, line.pool, line.ipv4) == (address.id, pool.id, "192.0.2.1")
    assert (line.name, line.state, line.plan) == ("mx.mail.test", "cold", "sendgrid")
    assert (line.group, line.progress, line.connections) == ("gmail", "warming", 2)
    assert (line.day, line.days, line.cap, line.used) == (1, 31, 50, 2)
    assert (line.hour_cap, line.hour_used) == (5, 2)
    assert (line.attempts, line.attempts_cap, line.facts) == (3, 65, DayFacts(3, 1, bounced=1))
    assert line.started_on == "2096-10-06"
    assert line.history == ("2096-10-06 day 1: started with plan sendgrid: 50 a day",)
    assert line.reason == "started with plan sendgrid: 50 a day"
    assert (another.address, another.day, another.cap) == (other.id, 10, 1_032)
    assert warmup_report(other.id, now, desk.ports) == [another]
    (later,) = warmup_report(address.id, now + HOUR, desk.ports)
    assert (later.used, later.hour_used) == (2, 0)


def test_a_warm_group_has_no_caps_in_the_report(desk: Desk) -> None:
    address = desk.address(desk.pool())
    desk.begin(address, "gmail", index=30)
    desk.facts(address, "gmail", DAY_0, GOOD)
    judge_address(address, DAY_0 + 1, desk.ports)
    (line,) = warmup_report(address.id, MIDNIGHT + DAY, desk.ports)
    assert (line.progress, line.cap, line.hour_cap, line.attempts_cap) == ("warm", *[None] * 3)


def test_an_unknown_address_is_said_to_be_unknown(desk: Desk) -> None:
    with pytest.raises(NotFoundError):
        warmup_report("ip_unknown", MIDNIGHT, desk.ports)
    assert warmup_report(None, MIDNIGHT, desk.ports) == []
    assert warmup_report(desk.address(desk.pool()).id, MIDNIGHT, desk.ports) == []


def test_two_schedulers_at_once_advance_one_day(desk: Desk) -> None:
    address = desk.address(desk.pool())
    desk.begin(address, "gmail")
    desk.facts(address, "gmail", DAY_0, DayFacts(60, 50))

    class Slow(MemoryControl):
        """A table in which somebody else judges the day between our read and our write."""

        def put(self, record: Record, expected: int | None = None) -> Record | None:
            judge_address(desk.again(address), DAY_0 + 1, desk.ports)
            return desk.control.put(record, expected)

    slow = Slow()
    slow.read, slow.page = desk.control.read, desk.control.page  # type: ignore[method-assign]
    ports = WarmUpCarePorts(slow, desk.ports.registrar)
    assert judge_address(address, DAY_0 + 1, ports) == 0
    assert desk.progress(address).cap == 70
    assert utc_day(MIDNIGHT) == DAY_0
