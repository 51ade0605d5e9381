"""Templates of a server. They are stored here; senders render them in a process apart."""

from collections.abc import Mapping
from typing import Any

from mailroom.domain.tenancy.kinds.shared import EXTERNAL_ID
from mailroom.domain.tenancy.resource import ResourceKind, Unique


def _alias(parent: str, fields: Mapping[str, Any]) -> str | None:
    alias = fields.get("alias")
    return f"{parent}/{alias}" if alias else None


TEMPLATE = ResourceKind(
    name="template", prefix="tpl", most=1_000, unique=(Unique("alias", _alias), EXTERNAL_ID)
)
