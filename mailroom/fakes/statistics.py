"""The ports of statistics in memory, held to the contract tests of the adapters."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mailroom.domain.event import Event, EventType
from mailroom.domain.message import ServerId
from mailroom.domain.provider import provider_of
from mailroom.domain.search_keys import tags_of
from mailroom.domain.statistic import (
    HOURS_A_DAY,
    MAX_VALUES,
    Counts,
    Dimension,
    Mailing,
    Slot,
    Tally,
    summed,
)
from mailroom.fakes.memory import MemoryLedger
from mailroom.ports.statistics import Grain, Rows

_ROWS_A_UNIT = 20  # rows of 400 octets in the 8 KB that one eventually consistent unit reads
BUCKET = 600


class MemoryStatistics:
    """The Statistics port; `updates` counts rows written, which are what costs."""

    def __init__(self) -> None:
        self.updates = 0
        self.broken = False  # as if the table could not be reached
        self._rows: dict[tuple[Slot, Grain, int], tuple[dict[str, int], str]] = {}
        self._names: dict[tuple[ServerId, Dimension, int], set[str]] = {}

    def add(self, tallies: Sequence[Tally], token: str) -> int:
        """See Statistics.add. Raises ConnectionError while `broken`."""
        if self.broken:
            raise ConnectionError("no table")
        sums: dict[tuple[Slot, Grain, int], list[Counts]] = {}
        for tally in tallies:
            sums.setdefault((tally.slot, Grain.HOUR, tally.hour), []).append(tally.counts)
            day = tally.hour // HOURS_A_DAY
            sums.setdefault((tally.slot, Grain.DAY, day), []).append(tally.counts)
        written = sum(self._add(key, summed(counts), token) for key, counts in sums.items())
        self.updates += written
        return written

    def _add(self, key: tuple[Slot, Grain, int], counts: Counts, token: str) -> bool:
        known, last = self._rows.get(key, ({}, ""))
        if last == token:
            return False
        self._rows[key] = summed([known, counts]), token
        return True

    def admit(self, server: ServerId, dimension: Dimension, day: int, value: str) -> bool:
        """See Statistics.admit."""
        names = self._names.setdefault((server, dimension, day), set())
        if value not in names and len(names) >= MAX_VALUES:
            return False
        names.add(value)
        return True

    def values(self, server: ServerId, dimension: Dimension, days: range) -> Collection[str]:
        """See Statistics.values."""
        return frozenset(
            name for day in days for name in self._names.get((server, dimension, day), ())
        )

    def read(self, slot: Slot, grain: Grain, first: int, last: int) -> Rows:
        """See Statistics.read. Looks up each number, so its work depends on the range alone."""
        rows = (
            (number, self._rows.get((slot, grain, number))) for number in range(first, last + 1)
        )
        found = {number: row[0] for number, row in rows if row is not None}
        return Rows(found, units=max(0.5, len(found) / _ROWS_A_UNIT))


@dataclass(slots=True)
class MemoryMailings:
    """The Mailings port over what a MemoryLedger holds."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    broken: bool = False  # as if the table could not be reached

    def of(self, events: Collection[Event]) -> Mapping[str, Mailing]:
        """See Mailings.of. Raises ConnectionError while `broken`."""
        if self.broken:
            raise ConnectionError("no table")
        found = {event.id: self._of(event) for event in events}
        return {id_: mailing for id_, mailing in found.items() if mailing is not None}

    def _of(self, event: Event) -> Mailing | None:
        key = event.key
        submission = self.ledger.submission(key.server, key.number)
        if submission is None:
            return None
        deliveries = self.ledger.deliveries(key.server, key.number)
        if event.type is not EventType.ACCEPTED:
            deliveries = [each for each in deliveries if each.key == key]
        names = [provider_of(each.recipient) for each in deliveries]
        return Mailing(
            domain=submission.sign_domain,
            tags=tags_of(submission),
            stream=submission.stream,
            providers={name: names.count(name) for name in sorted(set(names))},
            days=submission.retention_days,
            test=submission.test,
        )


class MemoryWatchlist:
    """The Watchlist port."""

    def __init__(self) -> None:
        self.lists: dict[int, set[ServerId]] = {}

    def note(self, server: ServerId, at: float) -> None:
        """See Watchlist.note."""
        self.lists.setdefault(int(at // BUCKET), set()).add(server)

    def noted(self, since: float, until: float) -> Collection[ServerId]:
        """See Watchlist.noted."""
        buckets = range(int(since // BUCKET), int(until // BUCKET) + 1)
        return frozenset(server for bucket in buckets for server in self.lists.get(bucket, ()))
