"""The LastUse port on the requests table: one write an hour for each id in a process."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from pynamodb.exceptions import PynamoDBException

from mailroom.adapters.dynamo_requests import RequestRow
from mailroom.ports.last_use import EVERY_SECONDS

log = logging.getLogger(__name__)

# Longer than a year, after which what is not used is called inactive.
KEPT_SECONDS = 3 * 365 * 86_400
_MAX_REMEMBERED = 20_000


class DynamoLastUse:
    """Rows `used#<id>` / `-`."""

    def __init__(self, rows: type[RequestRow]) -> None:
        self._rows = rows
        self._written: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def used(self, id_: str, now: float) -> None:
        """See LastUse.used."""
        if not self._is_due(id_, now):
            return
        rows = self._rows
        try:
            rows(f"used#{id_}", "-").update(
                actions=[rows.at.set(now), rows.ttl.set(int(now + KEPT_SECONDS))]
            )
        except PynamoDBException as error:
            # The mail in hand matters more than a date that people look at once a month.
            log.warning("last use not kept", extra={"credential": id_, "reason": str(error)})

    def last(self, ids: Sequence[str]) -> Mapping[str, float]:
        """See LastUse.last."""
        keys = [(f"used#{id_}", "-") for id_ in dict.fromkeys(ids)]
        found = self._rows.batch_get(keys) if keys else ()
        return {row.pk.removeprefix("used#"): float(row.at or 0) for row in found}

    def _is_due(self, id_: str, now: float) -> bool:
        with self._lock:
            if now - self._written.get(id_, 0.0) < EVERY_SECONDS:
                return False
            self._written[id_] = now
            self._written.move_to_end(id_)
            while len(self._written) > _MAX_REMEMBERED:
                self._written.popitem(last=False)
        return True
