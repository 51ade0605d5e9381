"""What keys, tokens and credentials have in common: when they were used, and their new secrets."""

from collections.abc import Sequence
from typing import Any

from mail_api.v2.crud import flat, read_cursor, write_cursor
from mail_api.v2.models.base import View
from mail_api.v2.operation import Answer, Call, invalid
from mailroom.domain.tenancy.resource import Resource, ResourceKind
from mailroom.domain.tenancy.usage import usage_of
from mailroom.usecases.keys import Holder, Shown


def holder(call: Call) -> Holder:
    """Return who hands something on in this call."""
    return Holder(call.principal, call.actor)


def require_future(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """Return what was given. Raises ApiError 422 for an end that is over."""
    expires_at = given.get("expires_at")
    if expires_at is not None and expires_at <= call.desk.registrar.clock.now():
        raise invalid("expires_at", "must be in the future")
    return given


def listed(call: Call, kind: ResourceKind, parent: str, *, deleted: bool = False) -> Any:
    """Return a page of resources, with when they were used."""
    found, after = call.desk.registrar.page(
        kind,
        parent,
        limit=call.query.limit,
        after=read_cursor(call.query.cursor),
        deleted=deleted,
    )
    return {"data": _used(call, found), "next_cursor": write_cursor(after) if after else None}


def told(call: Call, view: type[View], resource: Resource) -> Answer:
    """Return the answer with a resource, without its secret."""
    return Answer(view.model_validate(_used(call, [resource])[0]), revision=resource.revision)


def shown_once(call: Call, view: type[View], shown: Shown) -> Answer:
    """Return the answer with a new secret."""
    values = {**_used(call, [shown.resource])[0], "secret": shown.secret or None}
    return Answer(view.model_validate(values), revision=shown.resource.revision)


def _used(call: Call, found: Sequence[Resource]) -> list[dict[str, Any]]:
    last = call.desk.last_use.last([each.id for each in found])
    now = call.desk.registrar.clock.now()
    return [
        {
            **flat(each),
            "last_used_at": last.get(each.id),
            "usage": usage_of(last.get(each.id), now),
        }
        for each in found
    ]
