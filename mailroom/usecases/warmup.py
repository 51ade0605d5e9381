"""Warm-up: reserve from the caps, note what came of it, go a day further, tell how far it is.

Rows in the `control` table, all in partition `warm#<address id>`:

    progress#<group>                       where it is in its plan, with the reasons so far
    booked#<group>#<day>                   what processes have booked of that UTC day's caps
    facts#<group>#<day>#<process>          what a process met with, as totals of its own

A cap is never passed: a booking is one write on the condition that nobody else wrote, and states
the totals of the process instead of adding to them, so that a repeat changes nothing. A counter
that is added to would give a slice back twice when an answer is lost on the way. What a process
that dies had booked, one slice at most, stays booked.

A day is judged by the scheduler, five minutes after midnight when the last facts of the day are
in, and not by the host that sees the new day first: an address without mail must be judged too,
and so must a complaint that arrives while no host holds the address. Until then yesterday's caps
hold; when no scheduler runs they go on holding, so that less goes out and never more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mailroom.domain.tenancy.record import ABSENT, Place, Record
from mailroom.domain.warmup.booking import Booking, Granted, Wish, dump_book, load_book, total
from mailroom.domain.warmup.booking import reserve as reserve_in
from mailroom.domain.warmup.plan import Plan
from mailroom.domain.warmup.progress import (
    DAY,
    HOUR,
    Caps,
    DayFacts,
    Progress,
    begin,
    day_text,
    dump_facts,
    dump_progress,
    load_facts,
    load_progress,
    replan,
    utc_day,
)
from mailroom.ports.control import Control

KEEP_DAYS = 40
_TRIES = 8  # each lost race means that another process has its slice
_MOST_PROCESSES = 200  # whose facts of one day are added up
_COMPLAINTS = "complaints"  # the process that complaints are noted for


@dataclass(frozen=True, slots=True)
class WarmUpPorts:
    """The world that warm-up needs on a host."""

    control: Control


@dataclass(frozen=True, slots=True)
class Reserved:
    """Where an address is with a group, and what a process has booked; None once it is warm."""

    progress: Progress
    granted: Granted | None = None


def progress_place(address: str, group: str) -> Place:
    """Return where the progress of an address with a group lies."""
    return Place(f"warm#{address}", f"progress#{group}")


def reserve(
    address: str,
    group: str,
    *,
    plan: Plan,
    holder: str,
    have: Booking,
    wish: Wish,
    ports: WarmUpPorts,
) -> Reserved:
    """Book what `holder` wishes beside what it has, as far as the caps of that day allow.

    Begins the plan if the address has not begun it, and changes it where `plan` is another one.
    """
    day = int(have.hour * HOUR // DAY)
    progress = _under_plan(address, group, plan, day, ports)
    caps = progress.caps
    if caps is None:
        return Reserved(progress)
    return Reserved(
        progress, _booked(_booked_place(address, group, day), holder, have, wish, caps, ports)
    )


def give_back(address: str, group: str, *, holder: str, have: Booking, ports: WarmUpPorts) -> bool:
    """Write that `holder` keeps only `have`. False if others were faster too often: it is lost."""
    day = int(have.hour * HOUR // DAY)
    place = _booked_place(address, group, day)
    for _ in range(_TRIES):
        held = ports.control.read(place)
        if held is None:
            return True
        book = {**load_book(held.body), holder: have}
        if ports.control.put(_book_record(place, dump_book(book), day), held.revision):
            return True
    return False


def note_facts(
    address: str, group: str, *, day: int, holder: str, facts: DayFacts, ports: WarmUpPorts
) -> None:
    """Write the totals of what `holder` met with on a UTC day; the last write counts."""
    place = Place(f"warm#{address}", f"facts#{group}#{day_text(day)}#{holder}")
    ports.control.put(Record(place, dump_facts(facts), expires_at=_expiry(day)))


def note_complaint(address: str, group: str, now: float, ports: WarmUpPorts) -> None:
    """Count a complaint about mail from an address, on the day it was heard of."""
    day = utc_day(now)
    place = Place(f"warm#{address}", f"facts#{group}#{day_text(day)}#{_COMPLAINTS}")
    for _ in range(_TRIES):
        held = ports.control.read(place)
        known = load_facts(held.body) if held else DayFacts()
        facts = known.plus(DayFacts(complained=1))
        record = Record(place, dump_facts(facts), expires_at=_expiry(day))
        if ports.control.put(record, held.revision if held else ABSENT):
            return


def facts_of(address: str, group: str, day: int, ports: WarmUpPorts) -> DayFacts:
    """Return what an address met with at a group on a UTC day, over all processes."""
    prefix = f"facts#{group}#{day_text(day)}#"
    page = ports.control.page(f"warm#{address}", prefix, limit=_MOST_PROCESSES)
    facts = DayFacts()
    for record in page.records:
        facts = facts.plus(load_facts(record.body))
    return facts


def booked_of(address: str, group: str, now: float, ports: WarmUpPorts) -> Booking:
    """Return what all processes have booked of today and of the hour under way."""
    held = ports.control.read(_booked_place(address, group, utc_day(now)))
    return total(load_book(held.body) if held else {}, int(now // HOUR))


def progresses(address: str, ports: WarmUpPorts) -> Sequence[tuple[str, Progress, int]]:
    """Return the groups that an address has begun with, their progress and its revision."""
    page = ports.control.page(f"warm#{address}", "progress#")
    return [
        (record.place.sort.partition("#")[2], load_progress(record.body), record.revision)
        for record in page.records
    ]


def _under_plan(address: str, group: str, plan: Plan, day: int, ports: WarmUpPorts) -> Progress:
    """Return the progress; a race that is lost to another host leaves what that one wrote."""
    place, steps = progress_place(address, group), plan.of(group)
    held = ports.control.read(place)
    if held is None:
        progress, expected = begin(plan.name, steps, day), ABSENT
    else:
        progress, expected = load_progress(held.body), held.revision
        if (progress.plan, progress.steps) == (plan.name, steps):
            return progress
        progress = replan(progress, plan.name, steps, day)
    if ports.control.put(Record(place, dump_progress(progress)), expected) is None:
        held = ports.control.read(place)
        return load_progress(held.body) if held else progress
    return progress


def _booked(
    place: Place, holder: str, have: Booking, wish: Wish, caps: Caps, ports: WarmUpPorts
) -> Granted:
    day = int(have.hour * HOUR // DAY)
    for _ in range(_TRIES):
        held = ports.control.read(place)
        book, granted = reserve_in(load_book(held.body) if held else {}, holder, have, wish, caps)
        record = _book_record(place, dump_book(book), day)
        if ports.control.put(record, held.revision if held else ABSENT):
            return granted
    return Granted(have)  # ask again


def _booked_place(address: str, group: str, day: int) -> Place:
    return Place(f"warm#{address}", f"booked#{group}#{day_text(day)}")


def _book_record(place: Place, body: dict[str, object], day: int) -> Record:
    return Record(place, body, expires_at=_expiry(day))


def _expiry(day: int) -> float:
    return float((day + KEEP_DAYS) * DAY)
