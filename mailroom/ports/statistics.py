"""Live statistics: adding what was counted, and reading it back by hour or day."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from mailroom.domain.event import Event
from mailroom.domain.message import ServerId
from mailroom.domain.statistic import Counts, Dimension, Mailing, Slot, Tally


class Grain(StrEnum):
    """How finely counts are kept. Hours and days are numbered from 1970, in UTC."""

    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Rows:
    """Counts by hour or day, those without any left out. `units` is what reading them cost, in
    read units of the store (0 for a store that counts none)."""

    counts: Mapping[int, Counts] = field(default_factory=dict)
    units: float = 0.0


class Statistics(Protocol):
    """Counts of servers, kept by hour for 100 days and by day for five years."""

    def add(self, tallies: Sequence[Tally], token: str) -> int:
        """Add every tally to its hour and its day; return how many rows were written.

        `token` names this addition: repeating one of the last moments adds nothing. Raises what
        the store raises, after all that could be added has been.
        """

    def admit(self, server: ServerId, dimension: Dimension, day: int, value: str) -> bool:
        """Say whether a value has statistics of its own that day: the first `MAX_VALUES` do.

        The answer for a value is the same all day.
        """

    def values(self, server: ServerId, dimension: Dimension, days: range) -> Collection[str]:
        """Return the values that were admitted on any of those days."""

    def read(self, slot: Slot, grain: Grain, first: int, last: int) -> Rows:
        """Return the counts from `first` to `last`, both included.

        One query, whose cost depends on the length of the range and on nothing else.
        """


class Mailings(Protocol):
    """What the messages behind events are, for counting."""

    def of(self, events: Collection[Event]) -> Mapping[str, Mailing]:
        """Return by event id what is known of its message; those that are gone are left out."""


class Watchlist(Protocol):
    """Servers at which something happened that brakes care about, by ten minutes."""

    def note(self, server: ServerId, at: float) -> None:
        """Put a server on the list of the ten minutes around `at` (Unix seconds)."""

    def noted(self, since: float, until: float) -> Collection[ServerId]:
        """Return the servers that were put on the lists between two times."""
