"""The ports of brakes: one partition of the counters table, and a row beside the server's own."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pynamodb.exceptions import DeleteError, PutError

from mailroom.adapters.tables import BrakeRow, DirectoryRow
from mailroom.domain.brake import Brake, BrakeState, Cause
from mailroom.domain.message import ServerId

_PK = "brakes"
_REFUSED = "ConditionalCheckFailedException"
FLAG = "brake"  # sort key of the row in the directory, in the partition of the server


class DynamoBrakes:
    """A row for each brake that is touched; one that is as it was in the beginning has none."""

    def __init__(self, rows: type[BrakeRow]) -> None:
        self._rows = rows

    def read(self, server: ServerId) -> tuple[Brake, int]:
        """See Brakes.read."""
        try:
            row = self._rows.get(_PK, server, consistent_read=True)
        except self._rows.DoesNotExist:
            return Brake(), 0
        return load_brake(json.loads(row.brake)), int(row.ver)

    def swap(self, server: ServerId, brake: Brake, version: int) -> bool:
        """See Brakes.swap."""
        row = self._rows(_PK, server)
        known = self._rows.ver
        same = known == version if version else known.does_not_exist()
        try:
            if brake.is_untouched:
                row.delete(condition=same)
                return True
            row.ver, row.brake = version + 1, json.dumps(asdict(brake), separators=(",", ":"))
            row.save(condition=same)
        except (PutError, DeleteError) as error:
            if error.cause_response_code == _REFUSED:
                return False
            raise
        return True

    def touched(self, *, limit: int) -> Sequence[ServerId]:
        """See Brakes.touched."""
        return [ServerId(row.sk) for row in self._rows.query(_PK, limit=limit)]


class DirectoryBrakeFlags:
    """The reason in the directory, where the senders' copy of a server is made."""

    def __init__(self, rows: type[DirectoryRow]) -> None:
        self._rows = rows

    def apply(self, server: ServerId, reason: str | None) -> None:
        """See BrakeFlags.apply."""
        row = self._rows(f"server#{server}", FLAG)
        if reason is None:
            row.delete()
            return
        row.json = json.dumps({"reason": reason})
        row.save()


def load_brake(stored: dict[str, Any]) -> Brake:
    """Read a brake; what it does not have has its default."""
    known = {name: stored[name] for name in Brake.__dataclass_fields__ if name in stored}
    cause = known.get("cause")
    return Brake(
        **known
        | {
            "state": BrakeState(known.get("state", BrakeState.OK)),
            "cause": Cause(cause) if cause else None,
        }
    )
