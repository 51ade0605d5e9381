"""Mail servers in Postal's sense: the unit that owns credentials, domains, webhooks and mail."""

from collections.abc import Mapping, Sequence
from typing import Any

from mailroom.domain.tenancy.kinds.shared import EXTERNAL_ID
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.tenancy.resource import Resource, ResourceKind, Unique
from mailroom.domain.tenancy.spelling import login_pk

RESERVED_PERMALINKS = frozenset(
    {"new", "all", "search", "stats", "edit", "manage", "delete", "destroy", "remove"}
)


def _permalink(parent: str, fields: Mapping[str, Any]) -> str | None:
    return f"{parent}/{fields['permalink']}"


def _token(_: str, fields: Mapping[str, Any]) -> str | None:
    return str(fields["token"])


def _runtime(server: Resource) -> Sequence[Record]:
    fields = server.fields
    login = login_pk(f"{fields['organisation_permalink']}/{fields['permalink']}")
    rows = [
        Record(Place(server.owner), {**fields, "organisation": server.organisation}),
        Record(Place(login), {"server": server.id}, exclusive=True),
    ]
    if fields.get("privacy"):
        rows.append(Record(Place("platform", f"private#{server.id}"), {}))
    return rows


SERVER = ResourceKind(
    name="server",
    prefix="srv",
    most=10_000,
    unique=(Unique("permalink", _permalink), Unique("token", _token), EXTERNAL_ID),
    runtime=_runtime,
)
