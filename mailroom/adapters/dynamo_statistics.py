"""The Statistics and Watchlist ports on the counters table.

Rows of a slot share a partition, `stat#<server>#<dimension>#<value>`, under `h#<Unix hour>` and
`d#<Unix day>`, so that any range of them is one query. A row stays below one kilobyte: each update
is one write unit.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pynamodb.exceptions import UpdateError
from pynamodb.expressions.condition import size
from pynamodb.expressions.operand import Path

from mailroom.adapters.tables import CounterNamesRow, CounterRow, WatchedServerRow
from mailroom.domain.message import ServerId
from mailroom.domain.statistic import (
    DAY,
    HOUR,
    HOURS_A_DAY,
    MAX_VALUES,
    Counts,
    Dimension,
    Slot,
    Tally,
    summed,
)
from mailroom.ports.statistics import Grain, Rows

KEPT_SECONDS: Mapping[Grain, int] = {Grain.HOUR: 100 * DAY, Grain.DAY: 5 * 366 * DAY}
_SECONDS: Mapping[Grain, int] = {Grain.HOUR: HOUR, Grain.DAY: DAY}
PREFIX = "n_"  # keeps a counter's name from ever being a key attribute
_REFUSED = "ConditionalCheckFailedException"
_MOST_REMEMBERED = 50_000
BUCKET = 600  # seconds a list of watched servers is for


class DynamoStatistics:
    """Counts in the counters table."""

    def __init__(self, rows: type[CounterRow], names: type[CounterNamesRow]) -> None:
        """Take the models of counts and of the values that have some."""
        self._rows = rows
        self._names = names
        self._admitted: dict[tuple[ServerId, Dimension, int, str], bool] = {}

    def add(self, tallies: Sequence[Tally], token: str) -> int:
        """See Statistics.add. One update for each row."""
        problems = []
        written = 0
        for slot, grain, number, counts in _row_sums(tallies):
            try:
                written += self._add(slot, grain, number, counts, token)
            except UpdateError as error:
                problems.append(error)
        if problems:
            raise problems[0]
        return written

    def _add(self, slot: Slot, grain: Grain, number: int, counts: Counts, token: str) -> bool:
        row = self._rows(*key_of(slot, grain, number))
        try:
            row.update(
                actions=[
                    *(Path(PREFIX + name).add(count) for name, count in counts.items()),
                    self._rows.v.set(1),
                    self._rows.ttl.set(kept_until(grain, number)),
                    self._rows.token.set(token),
                ],
                # A repeat of a call whose answer was lost finds its own token.
                condition=self._rows.token.does_not_exist() | (self._rows.token != token),
            )
        except UpdateError as error:
            if error.cause_response_code == _REFUSED:
                return False
            raise
        return True

    def admit(self, server: ServerId, dimension: Dimension, day: int, value: str) -> bool:
        """See Statistics.admit. Asked of the table once a value, day and process."""
        key = (server, dimension, day, value)
        known = self._admitted.get(key)
        if known is None:
            if len(self._admitted) >= _MOST_REMEMBERED:
                self._admitted.clear()
            known = self._admitted[key] = self._admit(*key)
        return known

    def _admit(self, server: ServerId, dimension: Dimension, day: int, value: str) -> bool:
        names = self._names.names
        row = self._names(f"stat#{server}", _names_sk(dimension, day))
        has_room = names.does_not_exist() | names.contains(value)
        try:
            row.update(
                actions=[
                    names.add({value}),
                    self._names.v.set(1),
                    self._names.ttl.set(day * DAY + KEPT_SECONDS[Grain.DAY]),
                ],
                condition=has_room | _fewer_names_than(MAX_VALUES),
            )
        except UpdateError as error:
            if error.cause_response_code == _REFUSED:
                return False
            raise
        return True

    def values(self, server: ServerId, dimension: Dimension, days: range) -> Collection[str]:
        """See Statistics.values. One query."""
        if not days:
            return frozenset()
        found = self._names.query(
            f"stat#{server}",
            self._names.sk.between(
                _names_sk(dimension, days.start), _names_sk(dimension, days.stop - 1)
            ),
        )
        return frozenset(name for row in found for name in row.names or ())

    def read(self, slot: Slot, grain: Grain, first: int, last: int) -> Rows:
        """See Statistics.read."""
        if last < first:
            return Rows()
        # The model does not know the attributes `add` makes, so raw items are read.
        connection = self._rows._get_connection()  # noqa: SLF001  # pynamodb has no public way
        span = self._rows.sk.between(_sk(grain, first), _sk(grain, last))
        found: dict[int, Counts] = {}
        units, start = 0.0, None
        while True:
            page = connection.query(
                _pk(slot),
                range_key_condition=span,
                exclusive_start_key=start,
                return_consumed_capacity="TOTAL",
            )
            units += page.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)
            for item in page["Items"]:
                found[int(item["sk"]["S"][2:])] = read_counts(item)
            start = page.get("LastEvaluatedKey")
            if not start:
                return Rows(found, units)


class DynamoWatchlist:
    """Lists of servers in the counters table, `watched#<ten minutes>` / `<server>`."""

    def __init__(self, rows: type[WatchedServerRow]) -> None:
        self._rows = rows
        self._noted: dict[tuple[ServerId, int], None] = {}

    def note(self, server: ServerId, at: float) -> None:
        """See Watchlist.note. One write a server and list in each process."""
        bucket = int(at // BUCKET)
        if (server, bucket) in self._noted:
            return
        row = self._rows(f"watched#{bucket}", server)
        row.ttl = (bucket + 1) * BUCKET + DAY
        row.save()
        if len(self._noted) >= _MOST_REMEMBERED:
            self._noted.clear()
        self._noted[server, bucket] = None

    def noted(self, since: float, until: float) -> Collection[ServerId]:
        """See Watchlist.noted. One query for each ten minutes."""
        buckets = range(int(since // BUCKET), int(until // BUCKET) + 1)
        return frozenset(
            ServerId(row.sk) for bucket in buckets for row in self._rows.query(f"watched#{bucket}")
        )


def _row_sums(tallies: Iterable[Tally]) -> list[tuple[Slot, Grain, int, Counts]]:
    """Return what is added to each row: hours as they are, and their days."""
    days: dict[tuple[Slot, int], list[Counts]] = {}
    sums = []
    for tally in tallies:
        sums.append((tally.slot, Grain.HOUR, tally.hour, tally.counts))
        days.setdefault((tally.slot, tally.hour // HOURS_A_DAY), []).append(tally.counts)
    return sums + [(slot, Grain.DAY, day, summed(counts)) for (slot, day), counts in days.items()]


def read_counts(item: Mapping[str, Any]) -> Counts:
    """Return what a raw item of the table counts."""
    return {
        name.removeprefix(PREFIX): int(value["N"])
        for name, value in item.items()
        if name.startswith(PREFIX)
    }


def _fewer_names_than(most: int) -> Any:
    return size("names") < most  # type: ignore[no-untyped-call]  # pynamodb


def key_of(slot: Slot, grain: Grain, number: int) -> tuple[str, str]:
    """Return the key of the row that counts a slot in one hour or day."""
    return _pk(slot), _sk(grain, number)


def kept_until(grain: Grain, number: int) -> int:
    """Return when the row of an hour or day may go, in Unix seconds."""
    return number * _SECONDS[grain] + KEPT_SECONDS[grain]


def _pk(slot: Slot) -> str:
    return f"stat#{slot.server}#{slot.dimension}#{slot.value}"


def _sk(grain: Grain, number: int) -> str:
    return f"{grain[0]}#{number:07d}"


def _names_sk(dimension: Dimension, day: int) -> str:
    return f"{dimension}#{day:07d}"
