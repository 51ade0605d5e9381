"""The SendLimits port on DynamoDB: one item for each server that has a limit."""

import json

from pynamodb.exceptions import PutError

from mailroom.adapters.tables import LimitRow, bound
from mailroom.domain.message import ServerId
from mailroom.domain.send_limit import Notice, Reservation, Ring, Slice, reserve
from mailroom.errors import LimitUnavailableError

_SORT = "limit"
_TRIES = 20  # each lost race means that another process has its slice
_KEEP_SECONDS = 86_400


class DynamoLimits:
    """Rings in the counters table, each change conditional on the version that was read."""

    def __init__(self, rows: type[LimitRow]) -> None:
        self._rows = rows

    def reserve(
        self, server: ServerId, limit: int, minute: int, leftover: Slice | None = None
    ) -> Reservation:
        """See SendLimits.reserve."""
        for _ in range(_TRIES):
            version, ring = self._read(server)
            reservation = reserve(ring, limit=limit, minute=minute, leftover=leftover)
            if reservation.ring == ring or self._write(server, version, reservation):
                return reservation
        raise LimitUnavailableError(f"the send limit of {server} is too busy")

    def _read(self, server: ServerId) -> tuple[int, Ring]:
        try:
            row = self._rows.get(f"limit#{server}", _SORT, consistent_read=True)
        except self._rows.DoesNotExist:
            return 0, Ring()
        return int(row.ver), _load(row.ring)

    def _write(self, server: ServerId, version: int, reservation: Reservation) -> bool:
        row = self._rows(f"limit#{server}", _SORT)
        row.ver, row.ring = version + 1, _dump(reservation.ring)
        row.ttl = reservation.slice.minute * 60 + _KEEP_SECONDS
        known = self._rows.ver
        try:
            row.save(condition=known == version if version else known.does_not_exist())
        except PutError as error:
            if error.cause_response_code == "ConditionalCheckFailedException":
                return False
            raise
        return True


def bound_limits(table_name: str) -> type[LimitRow]:
    """Return the row tied to its table, without repeats of calls whose answer was lost.

    A repeat would meet the version that its own first try wrote, and a leftover would be given
    back twice. Whoever asks knows better: what was in doubt is forgotten, never reused.
    """
    rows = bound(LimitRow, table_name)
    rows.Meta.max_retry_attempts = 0
    return rows


def _dump(ring: Ring) -> str:
    notices = {str(notice): minute for notice, minute in ring.notices.items()}
    return json.dumps({"r": ring.reserved, "n": notices}, separators=(",", ":"))


def _load(text: str) -> Ring:
    stored = json.loads(text)
    return Ring(
        {int(minute): int(count) for minute, count in stored["r"].items()},
        {Notice(name): int(minute) for name, minute in stored["n"].items()},
    )
