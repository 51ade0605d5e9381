"""The six operations that most kinds of resources have, made from their schemas."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel

from mail_api.v2.models.base import DeletedListing, Page, View
from mail_api.v2.operation import Answer, ApiError, Call, Operation
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.resource import Resource, ResourceKind
from mailroom.errors import RevisionError

Fields = Mapping[str, Any]


def _plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def _as_sent(_: Call, fields: Fields) -> Fields:
    return fields


def _as_merged(_: Call, __: Resource, fields: Fields) -> Fields:
    return fields


def _of_target(call: Call) -> str:
    return call.parent


def _new_id(_: Call, __: Fields) -> str:
    return ""


def _nothing_first(_: Call, __: Resource) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Crud:
    """How one kind of resource is served.

    `path` is that of the collection, `parameter` the name of the id in the path behind it. `made`
    completes and checks the fields of a new one, `merged` those of a changed one; both may raise
    ApiError. `parent` says what the resources hang on, `chosen_id` which id a new one gets if it
    is not to be drawn, `before_delete` what has to be done first. Operations are named
    `<tag>.<verb>`.
    """

    kind: ResourceKind
    tag: str
    path: str
    parameter: str
    view: type[View]
    create: type[BaseModel]
    update: type[BaseModel]
    read_scope: Scope
    write_scope: Scope
    noun: str
    made: Callable[[Call, Fields], Fields] = _as_sent
    merged: Callable[[Call, Resource, Fields], Fields] = _as_merged
    parent: Callable[[Call], str] = _of_target
    chosen_id: Callable[[Call, Fields], str] = _new_id
    before_delete: Callable[[Call, Resource], None] = _nothing_first

    @property
    def operations(self) -> Sequence[Operation]:
        """List, create, read, update, delete and, for a recoverable kind, restore."""
        one = f"{self.path}/{{{self.parameter}}}"
        reads, writes = self.read_scope, self.write_scope
        page = Page[self.view]  # type: ignore[name-defined]  # a model made at run time
        found = [
            Operation(f"{self.tag}.list", "GET", self.path, f"List {_plural(self.noun)}",
                      partial(_list, self), reads, answer=page, query=DeletedListing),
            Operation(f"{self.tag}.create", "POST", self.path, f"Create a {self.noun}",
                      partial(_create, self), writes, answer=self.view, body=self.create,
                      status=201),
            Operation(f"{self.tag}.read", "GET", one, f"Read a {self.noun}",
                      partial(_read, self), reads, answer=self.view),
            Operation(f"{self.tag}.update", "PATCH", one, f"Change a {self.noun}",
                      partial(_update, self), writes, answer=self.view, body=self.update),
            Operation(f"{self.tag}.delete", "DELETE", one, f"Delete a {self.noun}",
                      partial(_delete, self), writes, status=204),
        ]  # fmt: skip
        if self.kind.recoverable:
            found.append(
                Operation(f"{self.tag}.restore", "POST", f"{one}/restore",
                          f"Bring a deleted {self.noun} back", partial(_restore, self), writes,
                          answer=self.view)
            )  # fmt: skip
        return found


def shown(view: type[View], resource: Resource) -> Answer:
    """Return a resource as its view, with its revision as the ETag."""
    return Answer(view.model_validate(flat(resource)), revision=resource.revision)


def flat(resource: Resource) -> dict[str, Any]:
    """Return what views are made of: the fields, and what every resource has."""
    return {
        **resource.fields,
        "id": resource.id,
        "created_at": resource.created_at,
        "updated_at": resource.updated_at,
        "deleted_at": resource.deleted_at,
    }


def expected(call: Call, resource: Resource) -> Resource:
    """See that a resource is the one If-Match names. Raises RevisionError."""
    given = call.headers.get("if-match", "").strip()
    if given and given != "*" and given.removeprefix("W/").strip('"') != str(resource.revision):
        raise RevisionError("it has changed since it was read")
    return resource


def paged(call: Call, read: Callable[[int, str], tuple[Sequence[Any], str]]) -> dict[str, Any]:
    """Return a page of what `read(limit, after)` gives, with an opaque cursor."""
    items, after = read(call.query.limit, read_cursor(call.query.cursor))
    return {"data": items, "next_cursor": write_cursor(after) if after else None}


def write_cursor(after: str) -> str:
    """Return the cursor that goes on behind `after`."""
    return base64.urlsafe_b64encode(after.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> str:
    """Return what `write_cursor` was given. Raises ApiError 422 for anything else."""
    try:
        octets = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        after = octets.decode()
    except (binascii.Error, ValueError):
        after = "\0"
    if not after.isprintable():
        raise ApiError(422, "bad_cursor", "The cursor is not one that a page gave")
    return after


def _list(crud: Crud, call: Call) -> Any:
    def read(limit: int, after: str) -> tuple[Sequence[Any], str]:
        found, more = call.desk.registrar.page(
            crud.kind, crud.parent(call), limit=limit, after=after, deleted=call.query.deleted
        )
        return list(map(flat, found)), more

    return paged(call, read)


def _create(crud: Crud, call: Call) -> Answer:
    fields = crud.made(call, call.body.model_dump(mode="json", by_alias=True))
    made = call.desk.registrar.create(
        crud.kind,
        crud.parent(call),
        fields,
        actor=call.actor,
        organisation=call.target.organisation,
        id_=crud.chosen_id(call, fields),
    )
    return shown(crud.view, made)


def one(crud: Crud, call: Call) -> Resource:
    """Return the resource a call's path names. Raises NotFoundError."""
    return call.desk.registrar.read(crud.kind, crud.parent(call), call.path[crud.parameter])


def _read(crud: Crud, call: Call) -> Answer:
    return shown(crud.view, one(crud, call))


def _update(crud: Crud, call: Call) -> Answer:
    before = expected(call, one(crud, call))
    given = call.body.model_dump(mode="json", by_alias=True, exclude_unset=True)
    fields = crud.merged(call, before, {**before.fields, **given})
    after = call.desk.registrar.update(crud.kind, before, fields, actor=call.actor)
    return shown(crud.view, after)


def _delete(crud: Crud, call: Call) -> Answer:
    gone = expected(call, one(crud, call))
    crud.before_delete(call, gone)
    call.desk.registrar.delete(crud.kind, gone, actor=call.actor)
    return Answer()


def _restore(crud: Crud, call: Call) -> Answer:
    id_ = call.path[crud.parameter]
    back = call.desk.registrar.restore(crud.kind, crud.parent(call), id_, actor=call.actor)
    return shown(crud.view, back)
