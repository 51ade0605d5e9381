"""Routes and endpoints: where mail that comes in goes. What follows them is the inbound function.

An address has one route in the whole installation, as in Postal; `__returnpath__`, which gets
bounces that match no message, has one in each server, which Postal promises and does not keep.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mailroom.domain.tenancy.kinds.shared import EXTERNAL_ID
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.tenancy.resource import Resource, ResourceKind, Unique

RETURN_PATH = "__returnpath__"


def _address(parent: str, fields: Mapping[str, Any]) -> str | None:
    if fields["name"] == RETURN_PATH:
        return f"{RETURN_PATH}/{parent}"
    return f"{fields['name']}@{fields['domain']}"


def _token(_: str, fields: Mapping[str, Any]) -> str | None:
    return str(fields["token"])


def _route_rows(route: Resource) -> Sequence[Record]:
    fields, server = route.fields, route.parent.removeprefix("server#")
    names = ("mode", "spam_mode", "endpoint", "more_endpoints")
    body = {"id": route.id, "server": server, **{name: fields.get(name) for name in names}}
    rows = [Record(Place(f"route-token#{fields['token']}"), body)]
    if fields["name"] == RETURN_PATH:
        return [*rows, Record(Place(route.parent, f"route#{RETURN_PATH}"), body)]
    return [*rows, Record(Place(f"route#{fields['domain']}", str(fields["name"])), body)]


def _endpoint_rows(endpoint: Resource) -> Sequence[Record]:
    return [Record(Place(endpoint.parent, f"endpoint#{endpoint.id}"), endpoint.fields)]


ROUTE = ResourceKind(
    name="route",
    prefix="rt",
    most=1_000,
    unique=(Unique("address", _address), Unique("token", _token), EXTERNAL_ID),
    runtime=_route_rows,
)
ENDPOINT = ResourceKind(
    name="endpoint",
    prefix="ep",
    most=1_000,
    unique=(EXTERNAL_ID,),
    runtime=_endpoint_rows,
    private=frozenset({"url"}),
)
