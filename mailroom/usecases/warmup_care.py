"""Warm-up as the platform looks after it: judge the days that are over, say how far everything is.

The pools' addresses are read from the registry. Once all six groups of an address are warm, so is
the address: the scheduler sets its state in the registry, with an entry in the audit log. It
becomes `warming` again when a group was without mail for thirty days.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from mailroom.domain.sending.source import AddressState
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.kinds.pool import POOL, POOL_ADDRESS
from mailroom.domain.tenancy.record import ABSENT, Place, Record
from mailroom.domain.tenancy.resource import PLATFORM, Resource
from mailroom.domain.warmup.plan import GROUPS
from mailroom.domain.warmup.progress import (
    HOUR,
    DayFacts,
    Progress,
    WarmState,
    advance,
    day_text,
    dump_progress,
    utc_day,
)
from mailroom.errors import NotFoundError, RevisionError
from mailroom.ports.control import Control
from mailroom.usecases.registrar import Registrar
from mailroom.usecases.warmup import (
    WarmUpPorts,
    booked_of,
    facts_of,
    progress_place,
    progresses,
)

GRACE_SECONDS = 300.0  # after midnight: until then facts of the day before may still come in
_ACTOR = Actor("platform", "scheduler", "warm-up", "", "")
_TURN = Place("warm-up", "turn")
_MOST_DAYS = 40  # that were missed and are made up for at once
_PAGE = 200


@dataclass(frozen=True, slots=True)
class WarmUpCarePorts:
    """The world that looking after warm-up needs."""

    control: Control
    registrar: Registrar


@dataclass(frozen=True, slots=True)
class WarmUpLine:
    """How far one address is with one group of providers, today.

    `day` of `days` begins with 1. `used` is what is accepted, under way or reserved of `cap`,
    `hour_used` of `hour_cap`; caps are None once the group is warm. `connections` is the most to
    one site, None where the plan sets none. `reason` is the last decision, `history` all that are
    kept, each as `2026-11-28 day 3: advanced: ...`, the newest last.
    """

    address: str
    name: str
    ipv4: str
    pool: str
    state: str
    group: str
    plan: str
    progress: WarmState
    day: int
    days: int
    cap: int | None
    used: int
    hour_cap: int | None
    hour_used: int
    attempts: int
    attempts_cap: int | None
    facts: DayFacts
    connections: int | None
    started_on: str
    reason: str
    history: tuple[str, ...]


def warmup_report(address: str | None, now: float, ports: WarmUpCarePorts) -> Sequence[WarmUpLine]:
    """Return how far an address is, by group, or all addresses that have begun (None).

    Raises NotFoundError for an id that no pool has.
    """
    found = _every_address(ports)
    if address is not None:
        found = (each for each in found if each.id == address)
    wanted = list(found)
    if address is not None and not wanted:
        raise NotFoundError("there is no address with that id")
    return [
        _line(each, group, progress, now, ports)
        for each in wanted
        for group, progress, _ in progresses(each.id, _host(ports))
    ]


def look_after_warm_up(now: float, ports: WarmUpCarePorts, *, limit: int) -> dict[str, int]:
    """Judge the days that are over, of up to `limit` addresses; return what came of it.

    The row `warm-up` / `turn` says where the last call ended, and that all is done for today. Two
    calls at once do no harm: a day is judged on the condition that the progress is as it was read.
    """
    today = utc_day(now - GRACE_SECONDS)
    held = ports.control.read(_TURN)
    turn = held.body if held else {}
    if turn.get("done") == today:
        return {}
    goes_on = turn.get("day") == today
    start = (str(turn["pool"]), str(turn["after"])) if goes_on else ("", "")
    taken = list(islice(_every_address(ports, *start), limit))
    decisions = sum(judge_address(address, today, ports) for address in taken)
    body: dict[str, object] = {"done": today}
    if len(taken) == limit:
        last = taken[-1]
        body = {"day": today, "pool": last.parent.partition("#")[2], "after": last.id}
    ports.control.put(Record(_TURN, body), held.revision if held else ABSENT)
    done = {"warm_up_addresses": len(taken), "warm_up_decisions": decisions}
    return {name: count for name, count in done.items() if count}


def judge_address(address: Resource, today: int, ports: WarmUpCarePorts) -> int:
    """Judge the days before `today` (UTC day) of one address; return how many decisions fell."""
    decisions, again = 0, False
    found: dict[str, Progress] = {}
    for group, before, revision in progresses(address.id, _host(ports)):
        after = _caught_up(address.id, group, before, today, ports)
        found[group] = after
        if after == before:
            continue
        place = progress_place(address.id, group)
        if ports.control.put(Record(place, dump_progress(after)), revision) is None:
            continue  # somebody else has judged it
        decisions += 1
        again |= (before.state, after.state) == (WarmState.WARM, WarmState.WARMING)
    if found:
        _set_state(address, found, again=again, ports=ports)
    return decisions


def _caught_up(
    address: str, group: str, progress: Progress, today: int, ports: WarmUpCarePorts
) -> Progress:
    for _ in range(_MOST_DAYS):
        if progress.day >= today:
            break
        facts = facts_of(address, group, progress.day, _host(ports))
        progress, _ = advance(progress, facts)
    return progress


def _set_state(
    address: Resource, found: dict[str, Progress], *, again: bool, ports: WarmUpCarePorts
) -> None:
    """Write the state that the groups mean, unless a person has set another one meanwhile."""
    state = address.fields.get("state", "")
    warm = all(group in found and found[group].state is WarmState.WARM for group in GROUPS)
    if again and state == AddressState.WARM:
        wanted = AddressState.WARMING
    elif warm and state in {AddressState.COLD, AddressState.WARMING}:
        wanted = AddressState.WARM
    elif state == AddressState.COLD:
        wanted = AddressState.WARMING
    else:
        return
    try:
        fields = {**address.fields, "state": str(wanted)}
        ports.registrar.update(POOL_ADDRESS, address, fields, actor=_ACTOR)
    except RevisionError:
        return  # at the next day's look


def _every_address(ports: WarmUpCarePorts, first: str = "", behind: str = "") -> Iterator[Resource]:
    """Return the addresses of all pools, or those behind address `behind` of pool `first`."""
    after = ""
    while True:
        pools, after = ports.registrar.page(POOL, PLATFORM, limit=_PAGE, after=after)
        for pool in pools:
            if pool.id >= first:
                yield from _addresses_of(pool, behind if pool.id == first else "", ports)
        if not after:
            return


def _addresses_of(pool: Resource, after: str, ports: WarmUpCarePorts) -> Iterator[Resource]:
    while True:
        found, after = ports.registrar.page(POOL_ADDRESS, pool.owner, limit=_PAGE, after=after)
        yield from found
        if not after:
            return


def _line(
    address: Resource, group: str, progress: Progress, now: float, ports: WarmUpCarePorts
) -> WarmUpLine:
    booked = booked_of(address.id, group, now, _host(ports)).in_hour(int(now // HOUR))
    caps = progress.caps
    return WarmUpLine(
        address=address.id,
        name=address.fields.get("hostname", ""),
        ipv4=address.fields.get("ipv4", ""),
        pool=address.parent.partition("#")[2],
        state=address.fields.get("state", ""),
        group=group,
        plan=progress.plan,
        progress=progress.state,
        day=progress.day_index + 1,
        days=len(progress.steps),
        cap=caps.day if caps else None,
        used=booked.units,
        hour_cap=caps.hour if caps else None,
        hour_used=booked.hour_units,
        attempts=booked.tries,
        attempts_cap=caps.day_tries if caps else None,
        facts=facts_of(address.id, group, utc_day(now), _host(ports)),
        connections=progress.connections,
        started_on=day_text(progress.started_on),
        reason=progress.reason,
        history=tuple(
            f"{day_text(note.day)} day {note.index + 1}: {note.reason}" for note in progress.notes
        ),
    )


def _host(ports: WarmUpCarePorts) -> WarmUpPorts:
    return WarmUpPorts(ports.control)
