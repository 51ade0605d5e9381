"""Organisations: the tenants of the platform."""

from collections.abc import Mapping, Sequence
from typing import Any

from mailroom.domain.tenancy.kinds.shared import EXTERNAL_ID
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.tenancy.resource import Resource, ResourceKind, Unique

# Postal's, and what would clash with pages of a console.
RESERVED_PERMALINKS = frozenset(
    {"new", "edit", "remove", "delete", "destroy", "admin", "mail", "org", "server"}
)


def _permalink(_: str, fields: Mapping[str, Any]) -> str | None:
    return str(fields["permalink"])


def _runtime(organisation: Resource) -> Sequence[Record]:
    fields = organisation.fields
    body = {
        "suspended": fields.get("suspended"),
        "time_zone": fields.get("time_zone", "UTC"),
        "default_pool": fields.get("default_pool"),
    }
    if organisation.deleted_at is not None:  # its servers' rows are still there, and must not send
        body |= {"suspended": "The organisation is deleted", "deleted": True}
    return [Record(Place(f"organisation#{organisation.id}"), body)]


ORGANISATION = ResourceKind(
    name="organisation",
    prefix="org",
    most=None,  # administrators make them, and counting would read them all
    unique=(Unique("permalink", _permalink), EXTERNAL_ID),
    runtime=_runtime,
    leaves_rows=True,
)
