"""The audit log: of an organisation, or of the platform."""

from typing import Any

from pydantic import Field

from mail_api.v2.crud import read_cursor, write_cursor
from mail_api.v2.models.base import Listing, Page, View
from mail_api.v2.operation import ApiError, Call, Operation
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.resource import PLATFORM
from mailroom.errors import NotFoundError
from mailroom.usecases.read_audit import Wanted, read_audit


class AuditListing(Listing):
    """Which entries are wanted."""

    actor: str = Field("", max_length=64, description="Id of the key or user that did it")
    kind: str = Field("", max_length=32, description="Kind of what was changed")
    id: str = Field("", max_length=64, description="Id of what was changed")


class Who(View):
    """Who did it."""

    kind: str
    id: str
    name: str
    address: str = ""


class Entry(View):
    """One change with what there was before and what there is now."""

    at: float
    action: str
    kind: str | None = None
    id: str | None = None
    parent: str | None = None
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    actor: Who
    request_id: str = ""


def list_entries(call: Call) -> Any:
    """Entries of the last 400 days, newest first.

    A filter looks through at most 1,000 entries a page, so a page may be short and have a cursor.
    """
    query = call.query
    wanted = Wanted(actor=query.actor, kind=query.kind, id=query.id)
    try:
        page = read_audit(
            call.target.organisation,
            wanted,
            limit=query.limit,
            cursor=read_cursor(query.cursor),
            now=call.desk.registrar.clock.now(),
            registry=call.desk.registry,
            begun=_begun(call),
        )
    except ValueError as error:
        raise ApiError(422, "bad_cursor", "The cursor is not one that a page gave") from error
    cursor = write_cursor(page.cursor) if page.cursor else None
    return {"data": list(page.entries), "next_cursor": cursor}


def _begun(call: Call) -> float:
    """Return when the organisation was made: months before that need no look."""
    try:
        return call.desk.registrar.read(ORGANISATION, PLATFORM, call.target.organisation).created_at
    except (
        NotFoundError
    ):  # the platform's own log, and organisations of before there were resources
        return 0.0


OPERATIONS = (
    Operation("audit.list", "GET", "/organisations/{organisation}/audit",
              "Read the audit log of an organisation", list_entries, Scope.AUDIT_READ,
              answer=Page[Entry], query=AuditListing),
    Operation("audit.platform", "GET", "/audit", "Read the platform's own audit log",
              list_entries, Scope.PLATFORM, answer=Page[Entry], query=AuditListing),
)  # fmt: skip
