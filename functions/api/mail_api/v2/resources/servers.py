"""Mail servers of an organisation."""

from collections.abc import Mapping, Sequence
from typing import Any

from mail_api.v2.crud import expected, flat, paged
from mail_api.v2.models.base import DeletedListing, Page
from mail_api.v2.models.servers import (
    Server,
    ServerCreate,
    ServerSuspend,
    ServerUpdate,
)
from mail_api.v2.operation import Answer, Call, Operation, invalid
from mail_api.v2.resources.pools import require_pool
from mailroom.domain.message import METADATA_DAYS, RAW_DAYS
from mailroom.domain.tenancy.access import Kind, Scope
from mailroom.domain.tenancy.kinds.server import SERVER
from mailroom.domain.tenancy.resource import Resource
from mailroom.usecases.servers import (
    ServerPorts,
    change_server,
    create_server,
    find_server,
    suspend_server,
    unsuspend_server,
)

# What only the platform's administrators set, and the value everybody may "set".
_RESERVED: Mapping[str, Any] = {"token": None, "allow_sender": False, "brake": None}


def list_servers(call: Call) -> Any:
    """Those the caller may see, in the order of their ids."""
    who, organisation = call.principal, call.target.organisation
    part = who.membership(organisation)
    narrowed = part.servers if part and not who.is_administrator else None
    if who.kind is Kind.SERVER:
        narrowed = frozenset({who.server})

    def read(limit: int, after: str) -> tuple[Sequence[Any], str]:
        found, more = call.desk.registrar.page(
            SERVER, call.parent, limit=limit, after=after, deleted=call.query.deleted
        )
        seen = [each for each in found if narrowed is None or each.id in narrowed]
        return list(map(_flat, seen)), more

    return paged(call, read)


def create(call: Call) -> Answer:
    """Make one."""
    fields = call.body.model_dump(mode="json")
    _require_platform(call, fields)
    require_pool(call, fields["pool"])
    made = create_server(call.target.organisation, fields, actor=call.actor, ports=_ports(call))
    return _shown(made)


def read(call: Call) -> Answer:
    """Read one."""
    return _shown(_one(call))


def update(call: Call) -> Answer:
    """Change one."""
    given = call.body.model_dump(mode="json", exclude_unset=True)
    _require_platform(call, given)
    require_pool(call, given.get("pool"))
    before = expected(call, _one(call))
    whole = {**before.fields, **given}
    raw_days = whole.get("retention_raw_days", RAW_DAYS)
    if whole.get("retention_days", METADATA_DAYS) < raw_days:
        raise invalid("retention_days", "must not be less than retention_raw_days")
    return _shown(change_server(before, given, actor=call.actor, ports=_ports(call)))


def delete(call: Call) -> Answer:
    """Delete one: nothing is accepted or sent for it from now on."""
    call.desk.registrar.delete(SERVER, expected(call, _one(call)), actor=call.actor)
    return Answer()


def restore(call: Call) -> Answer:
    """Bring a deleted one back."""
    back = call.desk.registrar.restore(SERVER, call.parent, call.path["deleted"], actor=call.actor)
    return _shown(back)


def suspend(call: Call) -> Answer:
    """Suspend one."""
    before = expected(call, _one(call))
    after = suspend_server(
        before,
        call.body.reason,
        by_platform=_is_platform(call),
        actor=call.actor,
        registrar=call.desk.registrar,
    )
    return _shown(after)


def unsuspend(call: Call) -> Answer:
    """End a suspension."""
    before = expected(call, _one(call))
    after = unsuspend_server(
        before, by_platform=_is_platform(call), actor=call.actor, registrar=call.desk.registrar
    )
    return _shown(after)


def _one(call: Call) -> Resource:
    return find_server(call.target.server, call.desk.registrar)


def _ports(call: Call) -> ServerPorts:
    return ServerPorts(call.desk.registrar, call.desk.tracking_url)


def _is_platform(call: Call) -> bool:
    return call.principal.kind is Kind.PLATFORM or call.principal.is_administrator


def _require_platform(call: Call, fields: Mapping[str, Any]) -> None:
    """See that reserved fields are the platform's to set. Raises ForbiddenError."""
    if any(fields.get(name, value) != value for name, value in _RESERVED.items()):
        call.require(Scope.PLATFORM)


def _flat(server: Resource) -> dict[str, Any]:
    return {**flat(server), "organisation": server.organisation}


def _shown(server: Resource) -> Answer:
    return Answer(Server.model_validate(_flat(server)), revision=server.revision)


_ALL = "/organisations/{organisation}/servers"
_ONE = "/servers/{server}"

OPERATIONS = (
    Operation("servers.list", "GET", _ALL, "List servers", list_servers, Scope.SERVERS_READ,
              answer=Page[Server], query=DeletedListing),
    Operation("servers.create", "POST", _ALL, "Create a server", create, Scope.SERVERS_WRITE,
              answer=Server, body=ServerCreate, status=201),
    Operation("servers.read", "GET", _ONE, "Read a server", read, Scope.SERVERS_READ,
              answer=Server),
    Operation("servers.update", "PATCH", _ONE, "Change a server", update, Scope.SERVERS_WRITE,
              answer=Server, body=ServerUpdate),
    Operation("servers.delete", "DELETE", _ONE, "Delete a server", delete, Scope.SERVERS_WRITE,
              status=204),
    Operation("servers.restore", "POST",
              "/organisations/{organisation}/deleted-servers/{deleted}/restore",
              "Bring a deleted server back", restore, Scope.SERVERS_WRITE, answer=Server),
    Operation("servers.suspend", "POST", f"{_ONE}/suspend", "Suspend a server", suspend,
              Scope.SERVERS_WRITE, answer=Server, body=ServerSuspend),
    Operation("servers.unsuspend", "POST", f"{_ONE}/unsuspend",
              "End the suspension of a server", unsuspend, Scope.SERVERS_WRITE, answer=Server),
)  # fmt: skip
