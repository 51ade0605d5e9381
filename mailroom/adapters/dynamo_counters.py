"""Counters of release 0.1, an hour of a server in four rows: moved to where statistics are now."""

import re
from collections.abc import Iterator

from pynamodb.expressions.operand import Path

from mailroom.adapters.dynamo_statistics import DynamoStatistics, read_counts
from mailroom.adapters.tables import CounterRow
from mailroom.domain.message import ServerId
from mailroom.domain.statistic import HOURS_A_DAY, Slot, Tally

_SORT = "hour"
_PK = re.compile(r"([a-z2-7]{10})#(\d{1,9})#\d\Z", re.ASCII)


def move_old_counters(rows: type[CounterRow], statistics: DynamoStatistics, today: int) -> int:
    """Add old rows of days before `today` (Unix days) to the new ones; return how many there were.

    May be stopped and run again: an addition is named after its row, which goes only after it.
    Rows of today stay, because live counts would hide that name; the next run takes them. This
    reads the whole table, once in its life.
    """
    moved = 0
    for pk, tally in _old(rows):
        if tally.hour // HOURS_A_DAY < today:
            statistics.add([tally], pk)
            rows(pk, _SORT).delete()
            moved += 1
    return moved


def _old(rows: type[CounterRow]) -> Iterator[tuple[str, Tally]]:
    # The model does not know the attributes of counts, so raw items are read.
    connection = rows._get_connection()  # noqa: SLF001  # pynamodb has no public way
    start = None
    while True:
        page = connection.scan(filter_condition=Path("sk") == _SORT, exclusive_start_key=start)
        for item in page["Items"]:
            named = _PK.match(item["pk"]["S"])
            if named:
                slot = Slot(ServerId(named[1]))
                yield named[0], Tally(slot, int(named[2]), read_counts(item))
        start = page.get("LastEvaluatedKey")
        if not start:
            return
