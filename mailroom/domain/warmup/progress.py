"""How far an address is with one group of providers, and whether it may go a day further.

A day further only after a day that used the cap and met with no trouble; two steps back after a
suspension; a quarter of what it was after thirty days without mail. Every decision is kept with
its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from mailroom.domain.warmup.plan import (
    FIRST_DAYS,
    FIRST_DAYS_CONNECTIONS,
    Steps,
    hour_cap,
    tries_cap,
)

DAY = 86_400
HOUR = 3_600
IDLE_DAYS = 30
STEPS_BACK = 2
MOST_NOTES = 60

LEAST_USED = 0.70  # of the cap
MOST_DEFERRED = 0.05  # of the attempts, by replies that blame the path
MOST_BOUNCED = 0.03  # of the attempts
MOST_COMPLAINED = 0.001  # of what was accepted
RESTART_SHARE = 0.25
_NO_MAIL = "held: no mail"


class WarmState(StrEnum):
    """How far a group is. Values are stored; never rename them."""

    WARMING = "warming"
    WARM = "warm"


@dataclass(frozen=True, slots=True)
class DayFacts:
    """What an address met with at a group in one UTC day.

    `deferred` are refusals that blame the path, `bounced` permanent ones; `suspended` is how often
    the address was suspended or disabled there, `held` how often a reply asked to stay at this cap.
    """

    attempted: int = 0
    accepted: int = 0
    deferred: int = 0
    bounced: int = 0
    complained: int = 0
    suspended: int = 0
    held: int = 0

    def plus(self, other: "DayFacts") -> "DayFacts":
        """Return both together."""
        return DayFacts(*(getattr(self, n) + getattr(other, n) for n in _FACTS))

    @property
    def is_idle(self) -> bool:
        """Say whether nothing was sent and nothing happened to the address."""
        return self.attempted == self.accepted == self.suspended == 0


_FACTS = tuple(each.name for each in fields(DayFacts))


@dataclass(frozen=True, slots=True)
class Note:
    """What was decided for UTC day `day` (days since 1970): the index from then on, and why."""

    day: int
    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an address is in a plan with one group. Days are UTC days since 1970.

    `day_index` (0 is the first) holds from day `day` on. `used_on` is the last day with mail.
    """

    plan: str
    steps: Steps
    day_index: int
    day: int
    started_on: int
    used_on: int
    state: WarmState = WarmState.WARMING
    notes: tuple[Note, ...] = ()

    @property
    def cap(self) -> int | None:
        """The cap of the day, None once it is warm."""
        if self.state is WarmState.WARM:
            return None
        return self.steps[min(self.day_index, len(self.steps) - 1)]

    @property
    def caps(self) -> "Caps | None":
        """All caps of the day, None once it is warm."""
        return None if self.cap is None else Caps.of(self.cap)

    @property
    def connections(self) -> int | None:
        """The most connections to the group's sites: 2 in the first week of the plan."""
        early = self.state is WarmState.WARMING and self.day_index < FIRST_DAYS
        return FIRST_DAYS_CONNECTIONS if early else None

    @property
    def reason(self) -> str:
        """Why it is where it is: the last decision."""
        return self.notes[-1].reason if self.notes else ""


@dataclass(frozen=True, slots=True)
class Caps:
    """What may go out in a day and in an hour: accepted or under way, and attempts."""

    day: int
    hour: int
    day_tries: int
    hour_tries: int

    @classmethod
    def of(cls, cap: int) -> "Caps":
        """Return the caps that a day's cap means."""
        hour = hour_cap(cap)
        return cls(cap, hour, tries_cap(cap), tries_cap(hour))


def utc_day(now: float) -> int:
    """Return the UTC day of a time (Unix seconds), in days since 1970."""
    return int(now // DAY)


def day_text(day: int) -> str:
    """Return a UTC day as it is written: 2026-11-28."""
    return datetime.fromtimestamp(day * DAY, UTC).strftime("%Y-%m-%d")


def begin(plan: str, steps: Steps, day: int) -> Progress:
    """Return the first day of a plan."""
    note = Note(day, 0, f"started with plan {plan}: {steps[0]:,} a day")
    return Progress(plan, steps, 0, day, started_on=day, used_on=day - 1, notes=(note,))


def replan(progress: Progress, plan: str, steps: Steps, day: int) -> Progress:
    """Return the progress under another plan: at the highest day with no more than the cap now."""
    cap = progress.cap
    if cap is None:
        return replace(progress, plan=plan, steps=steps, day_index=len(steps) - 1)
    index = _at_most(steps, cap)
    reason = f"plan {plan} instead of {progress.plan}: day {index + 1}, {steps[index]:,} a day"
    return _noted(replace(progress, plan=plan, steps=steps), day, index, reason)


def advance(progress: Progress, yesterday: DayFacts) -> tuple[Progress, str]:
    """Judge the day `progress.day` by its facts; return the next day's progress and the reason.

    The reason is kept in `notes`; of days without mail in a row only the last one's is.
    """
    day = progress.day + 1
    if yesterday.is_idle:
        return _idle(replace(progress, day=day))
    after = replace(progress, day=day, used_on=progress.day)
    if progress.state is WarmState.WARM:
        return after, "warm"
    index, reason = _judged(progress, yesterday)
    if index >= len(progress.steps):
        after = replace(after, state=WarmState.WARM)
        index, reason = len(progress.steps) - 1, f"warm: {reason}, which was the last day"
    return _noted(after, day, index, reason), reason


def _judged(progress: Progress, facts: DayFacts) -> tuple[int, str]:
    index, cap = progress.day_index, progress.cap or 1
    if facts.suspended:
        back = max(0, index - STEPS_BACK)
        return back, f"{index - back} days back: the address was suspended there"
    for holds, reason in _troubles(facts, cap):
        if holds:
            return index, f"held: {reason}"
    used = f"used {facts.accepted:,} of {cap:,} ({facts.accepted / cap:.0%})"
    return index + 1, f"advanced: {used} without trouble"


def _troubles(facts: DayFacts, cap: int) -> list[tuple[bool, str]]:
    tried, accepted = max(1, facts.attempted), max(1, facts.accepted)
    deferred, bounced = facts.deferred / tried, facts.bounced / tried
    complained = facts.complained / accepted
    used = f"used {facts.accepted:,} of {cap:,} ({facts.accepted / cap:.0%})"
    return [
        (facts.held > 0, "a reply asked us not to send more"),
        (deferred >= MOST_DEFERRED, _share(deferred, tried, "were deferred", MOST_DEFERRED)),
        (bounced >= MOST_BOUNCED, _share(bounced, tried, "bounced", MOST_BOUNCED)),
        (
            complained >= MOST_COMPLAINED,
            f"{complained:.2%} of {accepted:,} accepted messages were complained about",
        ),
        (facts.accepted < cap * LEAST_USED - 1e-9, f"{used}, {LEAST_USED:.0%} is needed"),
    ]


def _share(share: float, tried: int, what: str, most: float) -> str:
    return f"{share:.1%} of {tried:,} attempts {what}, below {most:.0%} is needed"


def _idle(progress: Progress) -> tuple[Progress, str]:
    """Judge a day without mail; `day` is the next one already."""
    idle = progress.day - 1 - progress.used_on
    before = progress.steps[min(progress.day_index, len(progress.steps) - 1)]
    index = _at_most(progress.steps, int(before * RESTART_SHARE))
    if idle < IDLE_DAYS or (progress.state, index) == (WarmState.WARMING, progress.day_index):
        reason = f"{_NO_MAIL} for {idle} days"
        if progress.reason.startswith(_NO_MAIL):
            progress = replace(progress, notes=progress.notes[:-1])
        return _noted(progress, progress.day, progress.day_index, reason), reason
    # Counted from here: another thirty days make it a quarter of a quarter.
    begun = replace(progress, state=WarmState.WARMING, used_on=progress.day - 1)
    reason = f"started again at a quarter: no mail for {idle} days"
    return _noted(begun, progress.day, index, reason), reason


def _at_most(steps: Steps, cap: int) -> int:
    """Return the last day with a cap of no more than `cap`, the first if there is none."""
    return max((index for index, step in enumerate(steps) if step <= cap), default=0)


def _noted(progress: Progress, day: int, index: int, reason: str) -> Progress:
    notes = (*progress.notes, Note(day, index, reason))[-MOST_NOTES:]
    return replace(progress, day_index=index, notes=notes)


def dump_progress(progress: Progress) -> dict[str, Any]:
    """Return a progress as the body of its row."""
    return {
        "plan": progress.plan,
        "steps": list(progress.steps),
        "index": progress.day_index,
        "day": progress.day,
        "started": progress.started_on,
        "used": progress.used_on,
        "state": str(progress.state),
        "notes": [[note.day, note.index, note.reason] for note in progress.notes],
    }


def load_progress(body: Mapping[str, Any]) -> Progress:
    """Read what `dump_progress` wrote."""
    return Progress(
        plan=body["plan"],
        steps=tuple(int(step) for step in body["steps"]),
        day_index=int(body["index"]),
        day=int(body["day"]),
        started_on=int(body["started"]),
        used_on=int(body["used"]),
        state=WarmState(body.get("state", WarmState.WARMING)),
        notes=tuple(Note(int(day), int(at), text) for day, at, text in body.get("notes", ())),
    )


def dump_facts(facts: DayFacts) -> dict[str, int]:
    """Return facts as the body of a row, without what is none."""
    return {name: getattr(facts, name) for name in _FACTS if getattr(facts, name)}


def load_facts(body: Mapping[str, Any]) -> DayFacts:
    """Read what `dump_facts` wrote."""
    return DayFacts(**{name: int(body.get(name, 0)) for name in _FACTS})
