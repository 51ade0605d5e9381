"""The Gates port on DynamoDB: one small row for each endpoint in trouble."""

import json
from dataclasses import asdict

from pynamodb.exceptions import PutError

from mailroom.adapters.tables import GateRow
from mailroom.domain.breaker import Gate, Place
from mailroom.ports import Clock

_KEEP_SECONDS = 86_400


class DynamoGates:
    """Rows in the notifications' table, written on condition that nobody was faster.

    They expire a day after their last change: then the endpoint has long been quiet.
    """

    def __init__(self, rows: type[GateRow], clock: Clock) -> None:
        self._rows = rows
        self._clock = clock

    def read(self, name: str) -> tuple[Gate, int]:
        """See Gates.read."""
        try:
            row = self._rows.get(f"gate#{name}", "-", consistent_read=True)
        except self._rows.DoesNotExist:
            return Gate(), 0
        return _load(row.gate), int(row.ver)

    def swap(self, name: str, gate: Gate, version: int) -> bool:
        """See Gates.swap."""
        row = self._rows(f"gate#{name}", "-")
        row.gate, row.ver = json.dumps(asdict(gate), separators=(",", ":")), version + 1
        row.ttl = int(max(self._clock.now(), gate.open_until)) + _KEEP_SECONDS
        unchanged = self._rows.ver == version if version else self._rows.pk.does_not_exist()
        try:
            row.save(condition=unchanged)
        except PutError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            return False
        return True


def _load(text: str) -> Gate:
    stored = json.loads(text)
    places = tuple(Place(str(p["holder"]), float(p["until"])) for p in stored["places"])
    return Gate(
        opens=int(stored["opens"]),
        open_until=float(stored["open_until"]),
        probe_until=float(stored["probe_until"]),
        slow_until=float(stored["slow_until"]),
        places=places,
    )
