"""Suppressions of a server, of one of its streams, or of an organisation."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mail_api.v2.crud import paged
from mail_api.v2.models.base import Page
from mail_api.v2.models.jobs import Job
from mail_api.v2.models.suppressions import (
    ExportCreate,
    ImportCreate,
    InStream,
    ServerExportCreate,
    ServerImportCreate,
    ServerSuppressionCreate,
    ServerSuppressionListing,
    Suppression,
    SuppressionCreate,
    SuppressionListing,
    Upload,
    UploadCreate,
)
from mail_api.v2.operation import Answer, ApiError, Call, Operation, invalid
from mail_api.v2.resources.jobs import LINK_SECONDS, begin, created_by
from mailroom.domain import suppression
from mailroom.domain.address import MalformedAddressError
from mailroom.domain.job_file import upload_key
from mailroom.domain.message import ServerId
from mailroom.domain.suppression import normal_address, stream_scope
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.identity import is_id, new_id
from mailroom.domain.tenancy.kinds.stream import BUILT_IN
from mailroom.domain.tenancy.resource import place_of
from mailroom.errors import NotFoundError
from mailroom.ports.files import Files
from mailroom.ports.suppressions import Suppressions
from mailroom.usecases.suppression_import import EXPORT, IMPORT


def list_suppressions(call: Call) -> Any:
    """List them in an order that says nothing about addresses."""
    scope, reason = _scope(call, getattr(call.query, "stream", "")), call.query.reason

    def read(limit: int, after: str) -> tuple[Sequence[Any], str]:
        try:
            page = _suppressions(call).page(scope, limit, after, reason)
        except ValueError as error:
            raise ApiError(422, "bad_cursor", "The cursor is not one that a page gave") from error
        return page.items, page.cursor

    return paged(call, read)


def create_suppression(call: Call) -> Answer:
    """Add one: 201 if it is new, 200 if it was there."""
    asked, now = call.body, call.desk.registrar.clock.now()
    scope = _scope(call, getattr(asked, "stream", ""))
    if asked.expires_at is not None and asked.expires_at <= now:
        raise invalid("expires_at", "It is over already")
    new = suppression.Suppression(
        scope=scope,
        reason=asked.reason,
        address=_normal(asked.address, "address"),
        created_at=now,
        detail=asked.detail,
        expires_at=asked.expires_at,
        source=created_by(call),
    )
    is_new = _suppressions(call).add(scope, new)
    stored = _suppressions(call).get(scope, new.address or "") or new
    _note(call, "suppress", scope, new.address or "")
    return Answer(_named(stored, new.address or ""), 201 if is_new else 200)


def read_suppression(call: Call) -> suppression.Suppression:
    """Read the one of an address."""
    address = _normal(call.path["recipient"], "recipient")
    scope = _scope(call, getattr(call.query, "stream", ""))
    found = _suppressions(call).get(scope, address)
    if found is None:
        raise NotFoundError("this address is not suppressed here")
    return found


def delete_suppression(call: Call) -> Answer:
    """Remove one: mail to the address goes out again."""
    address = _normal(call.path["recipient"], "recipient")
    scope = _scope(call, getattr(call.query, "stream", ""))
    if not _suppressions(call).remove(scope, address):
        raise NotFoundError("this address is not suppressed here")
    _note(call, "unsuppress", scope, address)
    return Answer()


def create_upload(call: Call) -> Upload:
    """Say where to put a file that is too long for a call."""
    registrar = call.desk.registrar
    now = registrar.clock.now()
    id_ = new_id("upl", now=now, chance=registrar.chance, environment=registrar.environment)
    url = _files(call).upload_link(upload_key(call.parent, id_), call.body.size, LINK_SECONDS)
    return Upload(upload=id_, url=url, expires_at=now + LINK_SECONDS)


def import_suppressions(call: Call) -> Answer:
    """Start to import a file."""
    asked = call.body
    scope = _scope(call, getattr(asked, "stream", ""))
    if asked.upload is not None and not is_id(asked.upload, "upl"):
        raise invalid("upload", "No upload is called that")
    return begin(
        call,
        IMPORT,
        {
            "file": _file(call),
            "scope": scope,
            "reason": str(asked.reason),
            "format": str(asked.format or ""),
        },
    )


def export_suppressions(call: Call) -> Answer:
    """Start to export them."""
    scope = _scope(call, getattr(call.body, "stream", ""))
    return begin(call, EXPORT, {"scope": scope, "reason": str(call.body.reason or "")})


def _file(call: Call) -> str:
    """Return where the file of an import lies; a text of the call's own is put there first."""
    if call.body.upload is not None:
        return upload_key(call.parent, call.body.upload)
    registrar = call.desk.registrar
    id_ = new_id(
        "upl",
        now=registrar.clock.now(),
        chance=registrar.chance,
        environment=registrar.environment,
    )
    key = upload_key(call.parent, id_)
    _files(call).put(key, call.body.text.encode("utf-8", "replace"), "text/plain")
    return key


def _scope(call: Call, stream: str) -> str:
    """Return the scope a call is about. Raises ApiError for a stream there is not."""
    if not stream:
        return call.parent
    server = ServerId(call.target.server)
    known = stream in BUILT_IN or call.desk.registry.read(place_of("stream", call.parent, stream))
    if not known:
        raise invalid("stream", "The server has no stream of that name")
    return stream_scope(server, stream)


def _normal(text: str, path: str) -> str:
    try:
        return normal_address(text)
    except MalformedAddressError as error:
        raise invalid(path, str(error), "address") from error


def _named(found: suppression.Suppression, address: str) -> suppression.Suppression:
    # Whoever just named an erased person is told nothing new.
    return found if found.address is not None else replace(found, address=address)


def _note(call: Call, action: str, scope: str, address: str) -> None:
    """Write an audit entry; it names the address by its hash, so that an erasure need not come."""
    hashed = call.desk.area("recipients").hashed(address)
    entry = {"kind": "suppression", "id": hashed, "parent": scope}
    organisation = call.target.organisation
    note = call.desk.registrar.note(action, entry, organisation=organisation, actor=call.actor)
    call.desk.registry.write([note])


def _suppressions(call: Call) -> Suppressions:
    found: Suppressions = call.desk.area("suppressions")
    return found


def _files(call: Call) -> Files:
    found: Files = call.desk.area("files")
    return found


_FILE_NOTE = (
    "CSV or JSON lines. Exports of Postal, SendGrid and Mailgun are told by their header. The job"
    " reports lines that cannot be used, with their numbers; all others are imported."
)


def _operations(owner: str, tag: str, *, server: bool) -> Sequence[Operation]:
    base, reads, writes = f"{owner}/suppressions", Scope.SUPPRESSIONS_READ, Scope.SUPPRESSIONS_WRITE
    one = f"{base}/{{recipient}}"
    what = "server" if server else "organisation"
    in_stream = InStream if server else None
    return (
        Operation(f"{tag}.list", "GET", base, f"List the suppressions of a {what}",
                  list_suppressions, reads, answer=Page[Suppression],
                  query=ServerSuppressionListing if server else SuppressionListing),
        Operation(f"{tag}.create", "POST", base, f"Suppress an address in a {what}",
                  create_suppression, writes, answer=Suppression, status=201,
                  body=ServerSuppressionCreate if server else SuppressionCreate),
        Operation(f"{tag}.read", "GET", one, f"Read a suppression of a {what}",
                  read_suppression, reads, answer=Suppression, query=in_stream),
        Operation(f"{tag}.delete", "DELETE", one, f"Remove a suppression of a {what}",
                  delete_suppression, writes, status=204, query=in_stream),
        Operation(f"{tag}.upload", "POST", f"{owner}/suppression-uploads",
                  "Say where to put a long file for an import", create_upload, writes,
                  answer=Upload, body=UploadCreate, status=201),
        Operation(f"{tag}.import", "POST", f"{owner}/suppression-imports",
                  f"Import suppressions of a {what} from a file", import_suppressions, writes,
                  answer=Job, status=202, description=_FILE_NOTE,
                  body=ServerImportCreate if server else ImportCreate),
        Operation(f"{tag}.export", "POST", f"{owner}/suppression-exports",
                  f"Export the suppressions of a {what}", export_suppressions, reads,
                  answer=Job, status=202, body=ServerExportCreate if server else ExportCreate),
    )  # fmt: skip


OPERATIONS = (
    *_operations("/servers/{server}", "suppressions", server=True),
    *_operations("/organisations/{organisation}", "organisation_suppressions", server=False),
)
