"""What is kept of a path: its state and what was learned, as a row of the control table."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from mailroom.domain.sending.judgement import Category

ENGINE = "engine"  # the author of what no person ordered
MOST_TEXT = 300  # characters of a reply that are kept


class PathState(StrEnum):
    """How a path is. Values are stored; never rename them."""

    NORMAL = "normal"
    SLOW = "slow"
    BACKOFF = "backoff"
    SUSPENDED = "suspended"
    PROBE = "probe"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a path is as it is: the rule, and a sample of the reply that set it off."""

    rule: str = ""
    reply: str = ""
    category: str = Category.OTHER.value

    def __str__(self) -> str:
        return ": ".join(part for part in (self.rule, self.reply) if part)


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state, for events and the path's history. `until` None: not by time."""

    at: float
    before: PathState
    after: PathState
    cause: Cause
    until: float | None
    by: str = ENGINE

    @property
    def reply(self) -> str:
        """The sample of the reply that set it off, "" for none."""
        return self.cause.reply


@dataclass(frozen=True, slots=True)
class PathRecord:
    """What a path is worth remembering. Times are Unix seconds, `rate` messages a minute.

    `until` None does not end by time; `base` is the seconds that strikes multiply. One connection
    is kept to until `hold_until`, `rate` until `rate_hold_until`. `probed` is how many cohorts of
    a probe were clean, `learned` messages per connection, `seen` when this was written.
    """

    state: PathState = PathState.NORMAL
    since: float = 0.0
    until: float | None = None
    strikes: int = 0
    clean_since: float = 0.0
    base: float = 0.0
    hold_until: float = 0.0
    window: int = 1
    rate: float | None = None
    rate_hold_until: float = 0.0
    probed: int = 0
    learned: float | None = None
    learned_at: float = 0.0
    cause: Cause = Cause()
    by: str = ENGINE
    seen: float = 0.0
    counters: Mapping[str, int] = field(default_factory=dict)


_NUMBERS = {
    each.name
    for each in fields(PathRecord)
    if each.name not in {"state", "cause", "by", "counters"}
}


def dump(record: PathRecord) -> dict[str, Any]:
    """Return a record as JSON-ready values."""
    body = {name: getattr(record, name) for name in _NUMBERS}
    cause = record.cause
    return body | {
        "state": record.state.value,
        "by": record.by,
        "cause": {"rule": cause.rule, "reply": cause.reply, "category": cause.category},
        "counters": dict(record.counters),
    }


def load(body: Mapping[str, Any]) -> PathRecord:
    """Return the record that a row holds.

    Fields that are missing, or that this version does not know, take their defaults, and a state
    it does not know is BACKOFF: careful, but not silent.
    """
    values = {name: body[name] for name in _NUMBERS if name in body}
    state = body.get("state", PathState.NORMAL.value)
    cause = body.get("cause") or {}
    known = state in set(PathState)
    return PathRecord(
        state=PathState(state) if known else PathState.BACKOFF,
        cause=Cause(
            str(cause.get("rule", "")),
            str(cause.get("reply", ""))[:MOST_TEXT],
            str(cause.get("category", Category.OTHER.value)),
        ),
        by=str(body.get("by", ENGINE)),
        counters={str(name): int(count) for name, count in (body.get("counters") or {}).items()},
        **values,
    )
