"""Warm-up plans: how much an address may send to a group of providers on each of its days.

A plan is a list of caps a day for each group of providers. What counts against a cap is what was
accepted and what is under way; attempts have a cap of their own, 1.3 times as high. Not more than
a tenth of a day's cap goes out in one hour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OTHER = "other"
# Groups that are warmed by themselves. All other providers together are one group: none of them
# gets so much that a cap of its own would mean anything. Values are stored; never rename them.
GROUPS = ("gmail", "microsoft", "microsoft365", "yahoo", "apple", OTHER)

MOST_DAYS = 120
MOST_A_DAY = 10_000_000
STEEPEST = 3  # a day may have so many times the cap of the day before: more is a slip of the pen
FIRST_DAYS = 7
FIRST_DAYS_CONNECTIONS = 2

Steps = tuple[int, ...]

# Twilio SendGrid, "Automated IP warmup hourly send schedule", the cap an hour on days 0 to 30.
_SENDGRID_HOURS = (
    *(20, 28, 39, 55, 77, 108, 151, 211, 295, 413, 579, 810, 1_000, 1_587, 2_222, 3_111, 4_356),
    *(6_098, 8_583, 11_953, 16_734, 23_427, 32_798, 45_917, 64_284, 89_998, 125_997, 176_395),
    *(246_953, 345_735, 484_029),
)
_FIRST_DAY = 50
_GENTLE_FACTOR = 1.2
_GENTLE_DAYS = 42


class PlanError(ValueError):
    """A plan that somebody wrote down is none."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Caps a day, from the first day on: `steps` for every group that has none in `groups`."""

    name: str
    steps: Steps
    groups: Mapping[str, Steps]

    def of(self, group: str) -> Steps:
        """Return the caps of a group."""
        return self.groups.get(group, self.steps)


def group_of(provider: str) -> str:
    """Return the group that a provider is warmed with."""
    return provider if provider in GROUPS else OTHER


def hour_cap(cap: int) -> int:
    """Return how much of a day's cap may go out in one hour: a tenth, and one at least."""
    return max(1, cap // 10)


def tries_cap(cap: int) -> int:
    """Return how many attempts a cap allows: 1.3 times as many."""
    return cap * 13 // 10


def slice_size(cap: int) -> int:
    """Return how much a process reserves at once: a fiftieth of the day, and one at least.

    It is also the most that is lost for the hour when a process dies.
    """
    return max(1, cap // 50)


def load_plan(name: str, stored: Mapping[str, Any]) -> Plan:
    """Return a plan that somebody wrote down. Raises PlanError saying what is wrong with it.

    `{"days": [50, 70, 100]}` is a list of caps; `{"start": 50, "factor": 1.3, "days": 30}` makes
    one. Under `groups` a group of providers may have its own, in either way.
    """
    if not name or len(name) > 64:
        raise PlanError("the name of a warm-up plan has 1 to 64 characters")
    if not isinstance(stored, Mapping):
        raise PlanError(f"warm-up plan {name}: it is an object with `days`")
    groups = stored.get("groups", {})
    if not isinstance(groups, Mapping):
        raise PlanError(f"warm-up plan {name}: `groups` is an object by group of providers")
    unknown = sorted(str(group) for group in groups if group not in GROUPS)
    if unknown:
        raise PlanError(f"warm-up plan {name}: no group {unknown[0][:40]!r}, but {GROUPS}")
    common = {key: value for key, value in stored.items() if key != "groups"}
    return Plan(
        name,
        _steps(f"warm-up plan {name}", common),
        {group: _steps(f"warm-up plan {name}, {group}", own) for group, own in groups.items()},
    )


def _steps(where: str, stored: Any) -> Steps:
    if not isinstance(stored, Mapping):
        raise PlanError(f"{where}: it is an object with `days`")
    unknown = sorted(str(key) for key in stored.keys() - {"days", "start", "factor"})
    if unknown:
        raise PlanError(f"{where}: {unknown[0][:40]!r} is not known")
    days = stored.get("days")
    if "start" in stored or "factor" in stored:
        return _checked(where, _grown(where, stored))
    if not isinstance(days, Sequence) or isinstance(days, str):
        raise PlanError(f"{where}: `days` is a list of caps, or a number beside `start`")
    return _checked(where, days)


def _grown(where: str, stored: Mapping[str, Any]) -> Sequence[int]:
    start, factor, days = stored.get("start"), stored.get("factor"), stored.get("days")
    if not _is_number(start, 1, MOST_A_DAY) or not isinstance(start, int):
        raise PlanError(f"{where}: `start` is a whole number from 1 to {MOST_A_DAY:,}")
    if not _is_number(factor, 1, STEEPEST):
        raise PlanError(f"{where}: `factor` is a number from 1 to {STEEPEST}")
    if not _is_number(days, 1, MOST_DAYS) or not isinstance(days, int):
        raise PlanError(f"{where}: `days` is a whole number from 1 to {MOST_DAYS}")
    return _even(start, float(factor or 1), days)


def _even(start: int, factor: float, days: int) -> Sequence[int]:
    return [min(MOST_A_DAY, round(start * factor**day)) for day in range(days)]


def _checked(where: str, caps: Sequence[Any]) -> Steps:
    if not 1 <= len(caps) <= MOST_DAYS:
        raise PlanError(f"{where}: 1 to {MOST_DAYS} days, not {len(caps)}")
    for day, cap in enumerate(caps):
        if not isinstance(cap, int) or not _is_number(cap, 1, MOST_A_DAY):
            raise PlanError(
                f"{where}, day {day + 1}: a cap is a whole number from 1 to {MOST_A_DAY:,}"
            )
        if day and cap < caps[day - 1]:
            raise PlanError(f"{where}, day {day + 1}: a cap is never below the day before")
        if day and cap > caps[day - 1] * STEEPEST:
            raise PlanError(f"{where}, day {day + 1}: more than {STEEPEST} times the day before")
    return tuple(caps)


def _is_number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


SENDGRID = Plan(
    "sendgrid", tuple(hour * _FIRST_DAY // _SENDGRID_HOURS[0] for hour in _SENDGRID_HOURS), {}
)
GENTLE = Plan("gentle", tuple(_even(_FIRST_DAY, _GENTLE_FACTOR, _GENTLE_DAYS)), {})
BUILT_IN: Mapping[str, Plan] = {plan.name: plan for plan in (SENDGRID, GENTLE)}


def plan_named(name: str, own: Mapping[str, Plan] | None = None) -> Plan:
    """Return a plan by its name: one of the installation's own, or a built-in one.

    A name that nobody knows any more means `gentle`: slower than it might be, never faster.
    """
    return (own or {}).get(name) or BUILT_IN.get(name, GENTLE)
