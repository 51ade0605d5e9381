"""Tracking domains of servers and organisations, and which one a server uses."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from mail_api.v2.crud import Crud, expected, flat, one, paged
from mail_api.v2.models.domains import (
    DnsView,
    TrackingDomain,
    TrackingDomainCreate,
    TrackingDomainUpdate,
)
from mail_api.v2.models.servers import Server
from mail_api.v2.operation import Answer, Call, Operation
from mail_api.v2.resources.domains import ports_of, shown_domain
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.kinds.tracking_domain import TRACKING_DOMAIN
from mailroom.domain.tenancy.resource import Resource
from mailroom.errors import NotFoundError
from mailroom.usecases import domains
from mailroom.usecases.domain_checks import DomainPorts, check_tracking_domain, read_watch
from mailroom.usecases.domain_views import wanted_alias
from mailroom.usecases.servers import ServerPorts, find_server


def _answer(resource: Resource) -> Answer:
    view = TrackingDomain.model_validate(shown_domain(resource))
    return Answer(view, revision=resource.revision)


def _list(call: Call) -> Any:
    def read(limit: int, after: str) -> tuple[Sequence[Any], str]:
        found, more = call.desk.registrar.page(
            TRACKING_DOMAIN, call.parent, limit=limit, after=after, deleted=call.query.deleted
        )
        return list(map(shown_domain, found)), more

    return paged(call, read)


def _create(call: Call) -> Answer:
    made = domains.create_tracking_domain(
        call.parent,
        call.target.organisation,
        call.body.model_dump(mode="json"),
        ports_of(call),
        actor=call.actor,
    )
    return _answer(made)


def _read(crud: Crud, call: Call) -> Answer:
    return _answer(one(crud, call))


def _update(crud: Crud, call: Call) -> Answer:
    before = expected(call, one(crud, call))
    given = call.body.model_dump(mode="json", exclude_unset=True)
    fields = {**before.fields, **given}
    return _answer(call.desk.registrar.update(TRACKING_DOMAIN, before, fields, actor=call.actor))


def _delete(crud: Crud, call: Call) -> Answer:
    found, registrar = expected(call, one(crud, call)), call.desk.registrar
    server = find_server(call.target.server, registrar) if call.target.server else None
    domains.delete_tracking_domain(found, server, registrar, actor=call.actor)
    return Answer()


def _restore(crud: Crud, call: Call) -> Answer:
    back = domains.restore_domain(
        TRACKING_DOMAIN,
        call.parent,
        call.path[crud.parameter],
        call.desk.registrar,
        actor=call.actor,
    )
    return _answer(back)


def _dns(crud: Crud, call: Call) -> Any:
    return _dns_of(one(crud, call), ports_of(call))


def _check(crud: Crud, call: Call) -> Any:
    ports = ports_of(call)
    found, _ = check_tracking_domain(one(crud, call), ports, actor=call.actor)
    return _dns_of(found, ports)


def _dns_of(domain: Resource, ports: DomainPorts) -> Any:
    watch = read_watch(domain.id, ports.registrar)
    return {
        "state": domain.fields.get("dns_state", "unknown"),
        "checked_at": watch.checked_at if watch else None,
        "next_check_at": watch.due_at if watch else None,
        "records": [wanted_alias(domain, watch, ports.platform).as_row()],
    }


def _use(call: Call) -> Answer:
    registrar = call.desk.registrar
    server = find_server(call.target.server, registrar)
    try:
        domain = one(SERVER, call)
    except NotFoundError:  # an organisation's is for all its servers
        parent = f"organisation#{call.target.organisation}"
        domain = registrar.read(TRACKING_DOMAIN, parent, call.path["tracking_domain"])
    after = domains.use_tracking_domain(server, domain, _server_ports(call), actor=call.actor)
    return _server(after)


def _leave(call: Call) -> Answer:
    server = find_server(call.target.server, call.desk.registrar)
    return _server(domains.leave_tracking_domain(server, _server_ports(call), actor=call.actor))


def _server_ports(call: Call) -> ServerPorts:
    return ServerPorts(call.desk.registrar, call.desk.tracking_url)


def _server(server: Resource) -> Answer:
    view = Server.model_validate({**flat(server), "organisation": server.organisation})
    return Answer(view, revision=server.revision)


def _crud(path: str, tag: str) -> Crud:
    return Crud(
        kind=TRACKING_DOMAIN,
        tag=tag,
        path=path,
        parameter="tracking_domain",
        view=TrackingDomain,
        create=TrackingDomainCreate,
        update=TrackingDomainUpdate,
        read_scope=Scope.DOMAINS_READ,
        write_scope=Scope.DOMAINS_WRITE,
        noun="tracking domain",
    )


def _operations(crud: Crud) -> Sequence[Operation]:
    calls: dict[str, Callable[[Call], Any]] = {
        "list": _list,
        "create": _create,
        "read": partial(_read, crud),
        "update": partial(_update, crud),
        "delete": partial(_delete, crud),
        "restore": partial(_restore, crud),
    }
    one_path = f"{crud.path}/{{tracking_domain}}"
    return (
        *(replace(each, call=calls[each.id.split(".")[1]]) for each in crud.operations),
        Operation(f"{crud.tag}.dns", "GET", f"{one_path}/dns",
                  "Read what a tracking domain should publish", partial(_dns, crud),
                  Scope.DOMAINS_READ, answer=DnsView),
        Operation(f"{crud.tag}.check", "POST", f"{one_path}/check", "Check a tracking domain",
                  partial(_check, crud), Scope.DOMAINS_WRITE, answer=DnsView),
    )  # fmt: skip


SERVER = _crud("/servers/{server}/tracking-domains", "tracking_domains")
ORGANISATION = _crud("/organisations/{organisation}/tracking-domains",
                     "organisation_tracking_domains")  # fmt: skip

OPERATIONS: Sequence[Operation] = (
    *_operations(SERVER),
    *_operations(ORGANISATION),
    Operation("tracking_domains.use", "POST",
              "/servers/{server}/tracking-domains/{tracking_domain}/use",
              "Let the server's links lead to a tracking domain", _use, Scope.SERVERS_WRITE,
              answer=Server, description="One of the server's own or of its organisation's."),
    Operation("tracking_domains.leave", "POST", "/servers/{server}/leave-tracking-domain",
              "Let the server's links lead to the platform's tracking host again", _leave,
              Scope.SERVERS_WRITE, answer=Server),
)  # fmt: skip
