"""Routes and endpoints: what is to be done with mail that comes in."""

from collections.abc import Mapping, Sequence
from typing import Any

from mail_api.v2.crud import Crud, Fields
from mail_api.v2.models.inbound import (
    Endpoint,
    EndpointCreate,
    EndpointUpdate,
    Route,
    RouteCreate,
    RouteUpdate,
)
from mail_api.v2.operation import Call, Operation, invalid
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.kinds.inbound import ENDPOINT, ROUTE
from mailroom.domain.tenancy.record import Place
from mailroom.domain.tenancy.resource import Resource
from mailroom.domain.webhook_target import UnfitTargetError, parse_target
from mailroom.errors import NotFoundError

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# What an endpoint of each type has, with what it has if nothing is said; "" must be given.
_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "http": {"url": "", "encoding": "json", "format": "hash", "strip_replies": False,
             "include_attachments": True, "timeout": 5},
    "smtp": {"hostname": "", "port": 25, "tls": "auto"},
    "address": {"address": ""},
}  # fmt: skip
_SHARED = frozenset({"name", "type", "external_id"})


def _route_made(call: Call, fields: Fields) -> Fields:
    if fields["token"] is not None:
        call.require(Scope.PLATFORM)
    _require_domain(call, fields["domain"])
    drawn = call.desk.registrar.chance.bits(64)
    token = "".join(_LETTERS[drawn // 26**place % 26] for place in range(8))
    return _routed(call, {**fields, "token": fields["token"] or token})


def _route_merged(call: Call, _: Resource, fields: Fields) -> Fields:
    return _routed(call, fields)


def _routed(call: Call, fields: Fields) -> Fields:
    """See that the endpoints are the server's own, and there where the mode needs one."""
    if (fields["mode"] == "endpoint") != (fields.get("endpoint") is not None):
        raise invalid("endpoint", "the mode endpoint, and no other, needs an endpoint")
    more = fields.get("more_endpoints") or []
    if more and fields["mode"] != "endpoint":
        raise invalid("more_endpoints", "only the mode endpoint has endpoints")
    for id_ in filter(None, [fields.get("endpoint"), *more]):
        endpoint = _endpoint(call, id_)
        if fields["name"] == "__returnpath__" and endpoint.fields["type"] != "http":
            raise invalid("endpoint", "__returnpath__ leads to an HTTP endpoint")
    return fields


def _endpoint(call: Call, id_: str) -> Resource:
    try:
        return call.desk.registrar.read(ENDPOINT, call.parent, id_)
    except NotFoundError:
        raise invalid("endpoint", "there is no such endpoint") from None


def _require_domain(call: Call, domain: str | None) -> None:
    if domain is None:
        return
    owners = (call.parent, f"organisation#{call.target.organisation}")
    rows = call.desk.registry.read_many([Place(f"domain#{domain}", each) for each in owners])
    if not any(row.body.get("verified") for row in rows.values()):
        raise invalid("domain", "there is no such verified domain")


def _endpoint_made(_: Call, fields: Fields) -> Fields:
    given = {name: value for name, value in fields.items() if value is not None}
    return _fit({**_FIELDS[fields["type"]], **given})


def _endpoint_merged(_: Call, before: Resource, fields: Fields) -> Fields:
    given = {name: value for name, value in fields.items() if value is not None}
    return _fit({**before.fields, **given})


def _fit(fields: dict[str, Any]) -> dict[str, Any]:
    known = _FIELDS[fields["type"]]
    for name, value in fields.items():
        if name not in known and name not in _SHARED:
            raise invalid(name, f"an endpoint of type {fields['type']} has no {name}")
        if value == "" and known.get(name) == "":
            raise invalid(name, f"an endpoint of type {fields['type']} needs it", "missing")
    if "url" in fields:
        try:
            parse_target(fields["url"])
        except UnfitTargetError as error:
            raise invalid("url", str(error)) from error
    return fields


def _turn_routes_away(call: Call, endpoint: Resource) -> None:
    """Routes that lead to an endpoint reject from now on, as in Postal."""
    registrar, after = call.desk.registrar, ""
    while True:
        routes, after = registrar.page(ROUTE, call.parent, limit=100, after=after)
        for route in routes:
            if fields := _without(route.fields, endpoint.id):
                registrar.update(ROUTE, route, fields, actor=call.actor)
        if not after:
            return


def _without(fields: Fields, endpoint: str) -> Fields | None:
    more = list(fields.get("more_endpoints") or ())
    if fields.get("endpoint") == endpoint:
        return {**fields, "mode": "reject", "endpoint": None, "more_endpoints": []}
    if endpoint in more:
        return {**fields, "more_endpoints": [each for each in more if each != endpoint]}
    return None


ROUTES = Crud(
    kind=ROUTE,
    tag="routes",
    path="/servers/{server}/routes",
    parameter="route",
    view=Route,
    create=RouteCreate,
    update=RouteUpdate,
    read_scope=Scope.ROUTES_READ,
    write_scope=Scope.ROUTES_WRITE,
    noun="route",
    made=_route_made,
    merged=_route_merged,
)
ENDPOINTS = Crud(
    kind=ENDPOINT,
    tag="endpoints",
    path="/servers/{server}/endpoints",
    parameter="endpoint",
    view=Endpoint,
    create=EndpointCreate,
    update=EndpointUpdate,
    read_scope=Scope.ROUTES_READ,
    write_scope=Scope.ROUTES_WRITE,
    noun="endpoint",
    made=_endpoint_made,
    merged=_endpoint_merged,
    before_delete=_turn_routes_away,
)

OPERATIONS: Sequence[Operation] = (*ROUTES.operations, *ENDPOINTS.operations)
