"""Tracking domains: names of a tenant's own that links and pixels lead to."""

from collections.abc import Mapping
from typing import Any

from mailroom.domain.tenancy.kinds.shared import EXTERNAL_ID
from mailroom.domain.tenancy.resource import ResourceKind, Unique


def _name(parent: str, fields: Mapping[str, Any]) -> str | None:
    return f"{parent}/{fields['name']}"


TRACKING_DOMAIN = ResourceKind(
    name="tracking_domain",
    prefix="trk",
    most=100,
    unique=(Unique("name", _name), EXTERNAL_ID),
)
