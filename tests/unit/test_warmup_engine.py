"""Warm-up in the engine, in simulated time: caps hold, the rest of the mail finds another way."""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import pytest

from bench.engine_lab import Lab, Receiver, SimWorld, make_job, path_blame
from egress.core.engine.work import MoveKind
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.judgement import Judgement
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.source import AddressState, SourceAddress
from mailroom.domain.warmup.allowance import Allowance
from mailroom.domain.warmup.booking import Wish
from mailroom.domain.warmup.plan import load_plan
from mailroom.domain.warmup.progress import DAY, HOUR, Caps
from mailroom.fakes.control import MemoryControl
from mailroom.usecases.warmup import WarmUpPorts, reserve

MIDNIGHT = 46_300.0 * DAY
SITE = Site("gmail", "gmail")
COLD = SourceAddress("cold", "pool", "c.example", state=AddressState.WARMING, plan="mine")
WARM = SourceAddress("warm", "pool", "w.example")
OTHER = SourceAddress("other", "spare", "o.example")
CAP = 50


@dataclass
class WarmWorld(SimWorld):
    """A world in which the cold address has a plan, and its process may die."""

    control: MemoryControl = field(default_factory=MemoryControl)
    allowance: Allowance = field(default_factory=Allowance)
    lab: Lab | None = None
    runs: int = 0

    def crash(self) -> None:
        self.runs += 1
        self.allowance = Allowance()

    def room(self, source: SourceAddress, provider: str, now: float) -> float:
        if source is not COLD:
            return now
        wish = self.allowance.wish(now)
        if wish is not None:
            assert self.lab is not None
            holder, allowance, have = f"run-{self.runs}", self.allowance, self.allowance.booking

            def book(wish: Wish = wish) -> None:
                plan = load_plan("mine", {"days": [CAP]})
                ports = WarmUpPorts(self.control)
                got = reserve(
                    *("cold", "gmail"), plan=plan, holder=holder, have=have, wish=wish, ports=ports
                )
                assert got.granted is not None
                allowance.granted(got.granted, CAP)

            self.lab.at(now + 0.05, book)
        return self.allowance.earliest(now)

    def connections(self, source: SourceAddress, provider: str) -> int | None:
        return 2 if source is COLD else None

    def started(self, source: SourceAddress, provider: str, now: float) -> None:
        if source is COLD:
            assert self.allowance.take(now)

    def ended(
        self,
        source: SourceAddress,
        provider: str,
        judgement: Judgement | None,
        reply: SmtpReply,
        now: float,
        *,
        silenced: bool,
    ) -> None:
        if source is COLD:
            (self.allowance.refused if judgement else self.allowance.accepted)(now)


def lab(*sources: SourceAddress, start: float = MIDNIGHT, receiver: Receiver | None = None) -> Lab:
    world = WarmWorld(list(sources), overflows={"pool": "spare"})
    made = Lab(world, {SITE.key: receiver or Receiver()}, judge=path_blame, start=start)
    world.lab = made
    return made


def steady(run: Lab, every: float, until: float) -> int:
    """Offer a message in every so many seconds; return how many."""
    count = int((until - run.now) / every)
    for number in range(count):
        job = make_job(number, at=run.now + number * every)
        run.at(job.accepted_at, partial(run.offer, job, SITE))
    return count


def accepted_by(run: Lab, address: str, seconds: int) -> Counter[int]:
    return Counter(
        int(seen.at // seconds)
        for seen in run.seen
        if seen.path.address == address and seen.reply.code == 250
    )


@pytest.mark.parametrize("others", [[WARM], [OTHER]], ids=["warm address", "overflow pool"])
def test_the_cap_is_used_and_the_rest_goes_another_way_at_once(others: list[SourceAddress]) -> None:
    """Three days, with a crash of the process in each of many hours, and over two midnights."""
    run = lab(COLD, *others)
    world = run.world
    assert isinstance(world, WarmWorld)
    count = steady(run, 40.0, MIDNIGHT + 3 * DAY)
    for number in range(24):
        run.at(MIDNIGHT + 3 * number * HOUR - 0.1 + number, world.crash)
    run.run(MIDNIGHT + 3 * DAY + 60)
    caps = Caps.of(CAP)
    hours, days = accepted_by(run, "cold", HOUR), accepted_by(run, "cold", DAY)
    assert max(hours.values()) <= caps.hour
    assert max(days.values()) <= caps.day
    assert min(days.values()) >= caps.day - 9  # a slice is lost with each crash
    assert run.delivered == count
    waited = [seen.at - seen.job.accepted_at for seen in run.seen]
    assert max(waited) < 15.0


def test_without_another_way_mail_waits_for_the_next_hour() -> None:
    run = lab(COLD, start=MIDNIGHT + 600)
    for number in range(12):
        run.offer(make_job(number, at=MIDNIGHT + 600), SITE)
    run.run(MIDNIGHT + 3 * HOUR)
    assert accepted_by(run, "cold", HOUR) == {
        int(MIDNIGHT // HOUR) + hour: count for hour, count in enumerate((5, 5, 2))
    }
    parked = [move for _, move in run.moves if move.kind is MoveKind.PARK]
    assert {move.reason for move in parked} == {"the address is being warmed up"}
    assert MIDNIGHT + HOUR in {move.until for move in parked}


def test_what_is_refused_is_tried_from_the_room_it_leaves_but_not_for_ever() -> None:
    busy = SmtpReply(450, "4.2.0 later", Phase.RCPT)
    receiver = Receiver(reply=lambda _job, _connection, _now: busy)
    run = lab(COLD, start=MIDNIGHT + 600, receiver=receiver)
    for number in range(40):
        run.offer(make_job(number, at=MIDNIGHT + 600), SITE)
    run.run(MIDNIGHT + HOUR - 1)
    assert len(run.seen) == Caps.of(CAP).hour_tries == 6
