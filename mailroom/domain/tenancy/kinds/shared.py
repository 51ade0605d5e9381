"""Rules that several kinds share."""

from collections.abc import Mapping
from typing import Any

from mailroom.domain.tenancy.resource import Unique


def _external(parent: str, fields: Mapping[str, Any]) -> str | None:
    given = fields.get("external_id")
    return f"{parent}/{given}" if given else None


# What somebody else calls it: an importer and a reseller's billing find their own by it.
EXTERNAL_ID = Unique("external_id", _external)
