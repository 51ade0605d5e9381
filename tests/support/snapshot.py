"""The stored rows of an earlier release, put into a cloud of the test's own.

What a snapshot shows as SEALED is encrypted anew by that cloud's key, for the same owner.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("snapshots")
_FAR = 4_000_000_000  # Unix seconds: what was to expire in its time must be there for the test
Wrap = Callable[[bytes, str], bytes]


def snapshot(release: str) -> dict[str, Any]:
    """The snapshot of a release: `tables` and the `keys` that opened its servers."""
    found: dict[str, Any] = json.loads((FOLDER / f"release-{release}.json").read_text())
    return found


def load(release: str, dynamodb: Any, table_name: Callable[[str], str], wrap: Wrap) -> None:
    """Write the rows of a snapshot."""
    for table, rows in snapshot(release)["tables"].items():
        for row in rows:
            item = {name: _value(value, wrap) for name, value in row.items()}
            if "ttl" in item:
                item["ttl"] = {"N": str(_FAR)}
            dynamodb.put_item(TableName=table_name(table), Item=item)


def _value(value: dict[str, Any], wrap: Wrap) -> dict[str, Any]:
    ((kind, content),) = value.items()
    if kind == "SEALED":
        return {"B": wrap(base64.b64decode(content["plain"]), content["context"])}
    return {"B": base64.b64decode(content)} if kind == "B" else value
