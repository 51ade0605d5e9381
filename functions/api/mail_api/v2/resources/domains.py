"""Sending domains of servers and organisations: their proof, their DNS and their keys."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pydantic import BaseModel

from mail_api.v2.crud import Crud, Fields, expected, flat, one, paged
from mail_api.v2.models.domains import (
    ChangeBatch,
    DnsView,
    Domain,
    DomainCreate,
    DomainUpdate,
    KeyCreate,
    OwnKey,
)
from mail_api.v2.operation import Answer, Call, Operation
from mailroom.domain.dns.dkim_rotation import removable_at
from mailroom.domain.dns.names import shown_name
from mailroom.domain.dns.render import zone_snippet
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.kinds.domain import DOMAIN, key_ring
from mailroom.domain.tenancy.resource import Resource
from mailroom.usecases import domains
from mailroom.usecases.domain_checks import DomainPorts, check_domain, read_watch
from mailroom.usecases.domain_views import change_batch, wanted_records

Step = Callable[[Call, Resource, DomainPorts], Resource]


def ports_of(call: Call) -> DomainPorts:
    """Return what domains need of the world: the area `domains`."""
    ports: DomainPorts = call.desk.area("domains")
    return ports


def shown_domain(resource: Resource) -> dict[str, Any]:
    """Return what the views of both kinds of domains are made of."""
    return {**flat(resource), "shown_name": shown_name(resource.fields["name"])}


def _merged(_: Call, before: Resource, fields: Fields) -> Fields:
    if fields["return_path_label"] != before.fields["return_path_label"]:
        return {**fields, "return_path_ok": False}  # until the new name is seen in the DNS
    return fields


def _flat(resource: Resource) -> dict[str, Any]:
    stored = zip(resource.fields["keys"], key_ring(resource.fields), strict=True)
    keys = [{**fields, "removable_at": removable_at(key)} for fields, key in stored]
    return {**shown_domain(resource), "keys": keys}


def _answer(resource: Resource) -> Answer:
    return Answer(Domain.model_validate(_flat(resource)), revision=resource.revision)


def _list(call: Call) -> Any:
    def read(limit: int, after: str) -> tuple[Sequence[Any], str]:
        found, more = call.desk.registrar.page(
            DOMAIN, call.parent, limit=limit, after=after, deleted=call.query.deleted
        )
        return list(map(_flat, found)), more

    return paged(call, read)


def _create(call: Call) -> Answer:
    body = call.body
    if body.token is not None or body.verified:
        call.require(Scope.PLATFORM)  # whoever chooses the token may have read it in the DNS
    made = domains.create_domain(
        call.parent,
        call.target.organisation,
        body.model_dump(mode="json"),
        ports_of(call),
        actor=call.actor,
        bits=body.key_bits,
        own_key=None if body.key is None else _own(body.key),
        verified=body.verified,
    )
    return _answer(made)


def _own(given: OwnKey) -> domains.OwnKey:
    return domains.OwnKey(given.selector, given.private_key.encode(), given.from_postal)


def _delete(crud: Crud, call: Call) -> Answer:
    found = expected(call, one(crud, call))
    domains.delete_domain(DOMAIN, found, call.desk.registrar, actor=call.actor)
    return Answer()


def _restore(crud: Crud, call: Call) -> Answer:
    id_ = call.path[crud.parameter]
    return _answer(
        domains.restore_domain(DOMAIN, call.parent, id_, call.desk.registrar, actor=call.actor)
    )


def _stepped(crud: Crud, step: Step, call: Call) -> Answer:
    return _answer(step(call, expected(call, one(crud, call)), ports_of(call)))


def _read(crud: Crud, call: Call) -> Answer:
    return _answer(one(crud, call))


def _update(crud: Crud, call: Call) -> Answer:
    before = expected(call, one(crud, call))
    given = call.body.model_dump(mode="json", exclude_unset=True)
    fields = _merged(call, before, {**before.fields, **given})
    return _answer(call.desk.registrar.update(DOMAIN, before, fields, actor=call.actor))


def _verify(call: Call, domain: Resource, ports: DomainPorts) -> Resource:
    return domains.verify_domain(domain, ports, actor=call.actor)


def _add_key(call: Call, domain: Resource, ports: DomainPorts) -> Resource:
    wanted = call.body
    return domains.rotate_key(domain, ports, actor=call.actor, kind=wanted.kind, bits=wanted.bits)


def _import_key(call: Call, domain: Resource, ports: DomainPorts) -> Resource:
    return domains.import_key(domain, _own(call.body), ports, actor=call.actor)


def _activate(call: Call, domain: Resource, ports: DomainPorts) -> Resource:
    return domains.activate_key(domain, call.path["selector"], ports, actor=call.actor)


def _retire(call: Call, domain: Resource, ports: DomainPorts) -> Resource:
    return domains.retire_key(domain, call.path["selector"], ports, actor=call.actor)


def _remove(call: Call, domain: Resource, ports: DomainPorts) -> Resource:
    return domains.remove_key(domain, call.path["selector"], ports, actor=call.actor)


def _check(crud: Crud, call: Call) -> Any:
    ports = ports_of(call)
    found, _ = check_domain(one(crud, call), ports, actor=call.actor)
    return _dns_of(found, ports)


def _dns(crud: Crud, call: Call) -> Any:
    return _dns_of(one(crud, call), ports_of(call))


def _dns_of(domain: Resource, ports: DomainPorts) -> Any:
    watch = read_watch(domain.id, ports.registrar)
    records = wanted_records(domain, watch, ports.platform)
    return {
        "state": domain.fields.get("dns_state", "unknown"),
        "checked_at": watch.checked_at if watch else None,
        "next_check_at": watch.due_at if watch else None,
        "records": [each.as_row() for each in records],
    }


def _zone(crud: Crud, call: Call) -> Answer:
    domain, ports = one(crud, call), ports_of(call)
    watch = read_watch(domain.id, ports.registrar)
    wanted = wanted_records(domain, watch, ports.platform)
    return Answer(zone_snippet([each.record for each in wanted]))


def _route53(crud: Crud, call: Call) -> Any:
    return change_batch(one(crud, call), ports_of(call))


def _operations(path: str, tag: str) -> Sequence[Operation]:
    crud = Crud(
        kind=DOMAIN,
        tag=tag,
        path=path,
        parameter="domain",
        view=Domain,
        create=DomainCreate,
        update=DomainUpdate,
        read_scope=Scope.DOMAINS_READ,
        write_scope=Scope.DOMAINS_WRITE,
        noun="domain",
    )
    calls: dict[str, Callable[[Call], Any]] = {
        "list": _list,
        "create": _create,
        "read": partial(_read, crud),
        "update": partial(_update, crud),
        "delete": partial(_delete, crud),
        "restore": partial(_restore, crud),
    }
    usual = [replace(each, call=calls[each.id.split(".")[1]]) for each in crud.operations]
    return (*usual, *_dns_operations(crud), *_key_operations(crud))


def _dns_operations(crud: Crud) -> Sequence[Operation]:
    dns, tag = f"{crud.path}/{{domain}}/dns", crud.tag
    reads, writes = Scope.DOMAINS_READ, Scope.DOMAINS_WRITE
    return (
        Operation(f"{tag}.verify", "POST", f"{crud.path}/{{domain}}/verify", "Prove a domain",
                  partial(_stepped, crud, _verify), writes, answer=Domain,
                  description="Looks for the ownership record now."),
        Operation(f"{tag}.check", "POST", f"{crud.path}/{{domain}}/check",
                  "Check what a domain publishes", partial(_check, crud), writes, answer=DnsView,
                  description="Asks the domain's own name servers. Domains are checked again by"
                  " themselves; webhooks hear of changes."),
        Operation(f"{tag}.dns", "GET", dns, "Read what a domain should publish",
                  partial(_dns, crud), reads, answer=DnsView),
        Operation(f"{tag}.zone", "GET", f"{dns}/zone", "The same as lines of a BIND zone file",
                  partial(_zone, crud), reads, gives="text/plain; charset=utf-8"),
        Operation(f"{tag}.route53", "GET", f"{dns}/route53", "The same as a Route 53 change batch",
                  partial(_route53, crud), reads, answer=ChangeBatch,
                  description="Looks at what is published now, and keeps it."),
    )  # fmt: skip


def _key_operations(crud: Crud) -> Sequence[Operation]:
    keys = f"{crud.path}/{{domain}}/keys"
    one_key = f"{keys}/{{selector}}"

    def entry(
        name: str,
        path: str,
        summary: str,
        step: Step,
        body: type[BaseModel] | None = None,
        method: str = "POST",
    ) -> Operation:
        act = partial(_stepped, crud, step)
        return Operation(f"{crud.tag}.{name}", method, path, summary, act, Scope.DOMAINS_WRITE,
                         answer=Domain, body=body)  # fmt: skip

    return (
        entry("add_key", keys, "Make a key that takes over or joins", _add_key, KeyCreate),
        entry("import_key", f"{keys}/import", "Bring a key of one's own", _import_key, OwnKey),
        entry("activate_key", f"{one_key}/activate", "Let a key sign", _activate),
        entry("retire_key", f"{one_key}/retire", "Let an Ed25519 key sign no more", _retire),
        entry("remove_key", one_key, "Forget a pending or retired key", _remove, method="DELETE"),
    )


OPERATIONS: Sequence[Operation] = (
    *_operations("/servers/{server}/domains", "domains"),
    *_operations("/organisations/{organisation}/domains", "organisation_domains"),
)
