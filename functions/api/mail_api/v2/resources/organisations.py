"""Organisations: made by platform administrators, read and changed by their own people."""

from collections.abc import Sequence
from typing import Any

from mail_api.v2.crud import expected, flat, paged, shown
from mail_api.v2.models.base import DeletedListing, Page
from mail_api.v2.models.organisations import (
    Organisation,
    OrganisationCreate,
    OrganisationUpdate,
    Suspend,
)
from mail_api.v2.operation import Answer, Call, Operation
from mail_api.v2.resources.jobs import created_by, job_ports, new_job_id
from mail_api.v2.resources.pools import require_pool
from mailroom.domain.tenancy.access import Kind, Scope
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION, RESERVED_PERMALINKS
from mailroom.domain.tenancy.permalink import permalink_of
from mailroom.domain.tenancy.resource import PLATFORM, Resource
from mailroom.errors import NotFoundError
from mailroom.usecases.organisation_removal import start_removal


def _one(call: Call) -> Resource:
    return call.desk.registrar.read(ORGANISATION, PLATFORM, call.path["organisation"])


def list_organisations(call: Call) -> Any:
    """All for the platform's administrators; for others those they belong to."""
    who, registrar = call.principal, call.desk.registrar
    if who.kind is Kind.PLATFORM or who.is_administrator:

        def read(limit: int, after: str) -> tuple[Sequence[Any], str]:
            found, more = registrar.page(
                ORGANISATION, PLATFORM, limit=limit, after=after, deleted=call.query.deleted
            )
            return list(map(flat, found)), more

        return paged(call, read)
    ids = sorted({each.organisation for each in who.memberships} | {who.organisation} - {""})

    def own(limit: int, after: str) -> tuple[Sequence[Any], str]:
        left = [id_ for id_ in ids if id_ > after]
        found = [_if_there(call, id_) for id_ in left[:limit]]
        more = left[limit - 1] if len(left) > limit else ""
        return [flat(each) for each in found if each is not None], more

    return paged(call, own)


def _if_there(call: Call, id_: str) -> Resource | None:
    try:
        return call.desk.registrar.read(ORGANISATION, PLATFORM, id_)
    except NotFoundError:
        return None


def create_organisation(call: Call) -> Answer:
    """Make an organisation."""
    fields = call.body.model_dump(mode="json")
    fields["permalink"] = permalink_of(
        fields["permalink"] or fields["name"], reserved=RESERVED_PERMALINKS
    )
    registrar = call.desk.registrar
    id_ = registrar.id_for(ORGANISATION)
    made = registrar.create(
        ORGANISATION,
        PLATFORM,
        {**fields, "suspended": None, "default_pool": None},
        actor=call.actor,
        organisation=id_,
        id_=id_,
    )
    return shown(Organisation, made)


def read_organisation(call: Call) -> Answer:
    """Read one."""
    return shown(Organisation, _one(call))


def update_organisation(call: Call) -> Answer:
    """Change its name, time zone, pool or external id."""
    given = call.body.model_dump(mode="json", exclude_unset=True)
    require_pool(call, given.get("default_pool"))
    return _changed(call, given, "update")


def delete_organisation(call: Call) -> Answer:
    """Delete it; its servers stop sending at once, and for 30 days it can be had back.

    The job that deletes it for good comes first: it does nothing to one that is there.
    """
    gone = expected(call, _one(call))
    start_removal(gone.id, created_by(call), new_job_id(call), job_ports(call))
    call.desk.registrar.delete(ORGANISATION, gone, actor=call.actor)
    return Answer()


def restore_organisation(call: Call) -> Answer:
    """Bring a deleted one back."""
    id_ = call.path["deleted"]
    back = call.desk.registrar.restore(ORGANISATION, PLATFORM, id_, actor=call.actor)
    return shown(Organisation, back)


def suspend_organisation(call: Call) -> Answer:
    """Suspend it and with it all its servers: nothing is accepted, what waits is held."""
    return _changed(call, {"suspended": call.body.reason}, "suspend")


def unsuspend_organisation(call: Call) -> Answer:
    """End its suspension. What was held meanwhile stays held."""
    return _changed(call, {"suspended": None}, "unsuspend")


def _changed(call: Call, given: dict[str, Any], action: str) -> Answer:
    before = expected(call, _one(call))
    after = call.desk.registrar.update(
        ORGANISATION, before, {**before.fields, **given}, actor=call.actor, action=action
    )
    return shown(Organisation, after)


_ONE = "/organisations/{organisation}"

OPERATIONS = (
    Operation("organisations.list", "GET", "/organisations", "List organisations",
              list_organisations, None, answer=Page[Organisation], query=DeletedListing),
    Operation("organisations.create", "POST", "/organisations", "Create an organisation",
              create_organisation, Scope.PLATFORM, answer=Organisation, body=OrganisationCreate,
              status=201),
    Operation("organisations.read", "GET", _ONE, "Read an organisation",
              read_organisation, Scope.ORGANISATIONS_READ, answer=Organisation),
    Operation("organisations.update", "PATCH", _ONE, "Change an organisation",
              update_organisation, Scope.ORGANISATIONS_WRITE, answer=Organisation,
              body=OrganisationUpdate),
    Operation("organisations.delete", "DELETE", _ONE, "Delete an organisation",
              delete_organisation, Scope.PLATFORM, status=204),
    # Nobody but the platform sees what was deleted, and the target is not there to be looked up.
    Operation("organisations.restore", "POST", "/deleted-organisations/{deleted}/restore",
              "Bring a deleted organisation back", restore_organisation, Scope.PLATFORM,
              answer=Organisation),
    Operation("organisations.suspend", "POST", f"{_ONE}/suspend", "Suspend an organisation",
              suspend_organisation, Scope.PLATFORM, answer=Organisation, body=Suspend),
    Operation("organisations.unsuspend", "POST", f"{_ONE}/unsuspend",
              "End the suspension of an organisation", unsuspend_organisation, Scope.PLATFORM,
              answer=Organisation),
)  # fmt: skip
