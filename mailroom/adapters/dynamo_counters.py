"""The Counters port on DynamoDB."""

from collections.abc import Mapping

from pynamodb.expressions.operand import Path

from mailroom.adapters.tables import CounterRow
from mailroom.domain.message import ServerId
from mailroom.ports import Chance

HOUR = 3600
SHARD_BITS = 2  # four items an hour: 4,000 updates a second before a busy server throttles
_KEEP_SECONDS = 400 * 86_400
_SORT = "hour"
_PREFIX = "n_"  # keeps an event type from ever being a key attribute


class DynamoCounters:
    """Counts of one server and hour, added to one of four items drawn by chance."""

    def __init__(self, rows: type[CounterRow], chance: Chance) -> None:
        self._rows = rows
        self._chance = chance

    def add(self, server: ServerId, hour: int, counts: Mapping[str, int]) -> None:
        """See Counters.add: one update whatever the number of counts."""
        if not counts:
            return
        row = self._rows(_pk(server, hour, self._chance.bits(SHARD_BITS)), _SORT)
        row.update(
            actions=[
                *(Path(_PREFIX + name).add(count) for name, count in counts.items()),
                self._rows.v.set(1),
                self._rows.ttl.set(hour * HOUR + _KEEP_SECONDS),
            ]
        )

    def total(self, server: ServerId, hour: int) -> dict[str, int]:
        """Return the sums over all shards."""
        sums: dict[str, int] = {}
        for shard in range(1 << SHARD_BITS):
            for name, count in self._read(_pk(server, hour, shard)).items():
                sums[name] = sums.get(name, 0) + count
        return sums

    def _read(self, pk: str) -> dict[str, int]:
        # The model does not know the attributes `add` makes, so the raw item is read.
        connection = self._rows._get_connection()  # noqa: SLF001  # pynamodb has no public way
        item = connection.get_item(pk, _SORT, consistent_read=True).get("Item", {})
        return {
            name.removeprefix(_PREFIX): int(value["N"])
            for name, value in item.items()
            if name.startswith(_PREFIX)
        }


def _pk(server: ServerId, hour: int, shard: int) -> str:
    return f"{server}#{hour}#{shard}"
