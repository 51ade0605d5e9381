"""The SendLimits port on DynamoDB: one item for each server that has a limit."""

import json
from typing import Any

from pynamodb.exceptions import PutError

from mailroom.adapters.tables import LimitRow, bound
from mailroom.domain.message import ServerId
from mailroom.domain.send_limit import (
    Limits,
    Notice,
    Period,
    Reservation,
    Slice,
    Times,
    Usage,
    Window,
    reserve,
)
from mailroom.errors import LimitUnavailableError

_SORT = "limit"
_TRIES = 20  # each lost race means that another process has its slice
_KEEP_SECONDS = 86_400


class DynamoLimits:
    """Usage in the counters table, each change conditional on the version that was read."""

    def __init__(self, rows: type[LimitRow]) -> None:
        self._rows = rows

    def reserve(
        self,
        server: ServerId,
        limits: Limits,
        at: Times,
        leftover: Slice | None = None,
        wanted: int | None = None,
    ) -> Reservation:
        """See SendLimits.reserve."""
        for _ in range(_TRIES):
            version, usage = self._read(server)
            reservation = reserve(usage, limits=limits, at=at, leftover=leftover, wanted=wanted)
            if reservation.usage == usage or self._write(server, version, at, reservation):
                return reservation
        raise LimitUnavailableError(f"the send limit of {server} is too busy")

    def usage(self, server: ServerId) -> Usage:
        """See SendLimits.usage."""
        return self._read(server)[1]

    def _read(self, server: ServerId) -> tuple[int, Usage]:
        try:
            row = self._rows.get(f"limit#{server}", _SORT, consistent_read=True)
        except self._rows.DoesNotExist:
            return 0, Usage()
        return int(row.ver), _load(row.ring)

    def _write(self, server: ServerId, version: int, at: Times, reservation: Reservation) -> bool:
        row = self._rows(f"limit#{server}", _SORT)
        row.ver, row.ring = version + 1, _dump(reservation.usage)
        row.ttl = int(at.month_ends) + _KEEP_SECONDS
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


def _dump(usage: Usage) -> str:
    stored = {
        "r": usage.reserved,
        "d": [usage.day.number, usage.day.used],
        "m": [usage.month.number, usage.month.used],
        "n": {_name(*notice): mark for notice, mark in usage.notices.items()},
    }
    return json.dumps(stored, separators=(",", ":"))


def _load(text: str) -> Usage:
    stored = json.loads(text)
    return Usage(
        {int(minute): int(count) for minute, count in stored["r"].items()},
        _window(stored.get("d")),
        _window(stored.get("m")),
        {_notice(name): int(mark) for name, mark in stored["n"].items()},
    )


def _window(stored: Any) -> Window:
    # Rows written when there was only the hour have none.
    return Window(int(stored[0]), int(stored[1])) if stored else Window()


def _name(period: Period, notice: Notice) -> str:
    return str(notice) if period is Period.HOUR else f"{notice}:{period}"


def _notice(name: str) -> tuple[Period, Notice]:
    notice, _, period = name.partition(":")
    return Period(period or Period.HOUR), Notice(notice)
