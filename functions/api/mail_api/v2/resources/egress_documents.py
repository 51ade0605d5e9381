"""Publish shaping and reply rules to hosts: look at them, check, compare, go back."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

from mail_api.v2.crud import paged
from mail_api.v2.models.base import Listing, Page
from mail_api.v2.models.egress_documents import (
    DocumentCheck,
    DocumentDiff,
    DocumentPublish,
    DocumentRollback,
    LinesView,
    ProblemsView,
    PublishedView,
    VersionView,
)
from mail_api.v2.operation import ApiError, Call, Operation, invalid
from mail_api.v2.resources.egress_calls import control_of, now_of, views_of
from mailroom.adapters.shipped import LOCAL, STARTER, shipped
from mailroom.domain.document_diff import diff_documents
from mailroom.domain.tenancy.access import Scope
from mailroom.errors import DocumentError, NotFoundError
from mailroom.usecases.published import (
    CHECKS,
    MAX_AUTHOR,
    Kind,
    PublishPorts,
    Version,
    current,
    publish,
    rollback,
    version,
    versions,
)

Json = Mapping[str, Any]
MAX_BODY = 3 * 1024 * 1024
_DIGITS = 9


def ports_of(call: Call) -> PublishPorts:
    """Return where documents lie."""
    return PublishPorts(control_of(call))


def in_use(kind: Kind, call: Call) -> tuple[Version | None, Json]:
    """Return what hosts use now: what was published last, else what the release brings along."""
    found = current(kind, ports_of(call))
    if found is not None:
        return found.version, found.document
    return None, _shipped(kind, call)


def _shipped(kind: Kind, call: Call) -> Json:
    if kind is Kind.RULES:
        return _named("reply_rules")
    # Which set hosts begin with is their own setting; they show its name.
    shown = {view.shaping.rpartition(" ")[2] for view in views_of(call)}
    return _named(f"shaping_{LOCAL if LOCAL in shown else STARTER}")


@cache
def _named(name: str) -> Json:
    return shipped(name)


def _get(kind: Kind, call: Call) -> Any:
    of, document = in_use(kind, call)
    return {"version": _view(of) if of else None, "document": dict(document)}


def _lint(kind: Kind, call: Call) -> Any:
    return {"problems": list(CHECKS[kind](call.body.document))[:100]}


def _diff(kind: Kind, call: Call) -> Any:
    asked = call.body
    if asked.document is not None and asked.new is not None:
        raise invalid("new", "give a document or a version, not both")
    old = _document(kind, asked.old, call)
    new = asked.document if asked.document is not None else _document(kind, asked.new, call)
    return {"lines": list(diff_documents(old, new))}


def _publish(kind: Kind, call: Call) -> Any:
    asked = call.body
    with _refusals():
        made = publish(
            kind,
            asked.document,
            _author(call),
            asked.reason,
            now_of(call),
            ports_of(call),
            asked.expected,
        )
    _note("publish", made, call)
    return _view(made)


def _rollback(kind: Kind, call: Call) -> Any:
    asked = call.body
    with _refusals():
        made = rollback(
            kind,
            asked.to,
            _author(call),
            asked.reason,
            now_of(call),
            ports_of(call),
            asked.expected,
        )
    _note("rollback", made, call)
    return _view(made)


def _versions(kind: Kind, call: Call) -> Any:
    def read(limit: int, after: str) -> tuple[Sequence[Any], str]:
        before = _number(after) if after else None
        found = versions(kind, ports_of(call), limit=limit, before=before)
        more = str(found[-1].number) if len(found) == limit and found[-1].number > 1 else ""
        return [_view(each) for each in found], more

    return paged(call, read)


def _version(kind: Kind, call: Call) -> Any:
    text = call.path["version"]
    fits = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    if not fits:
        raise NotFoundError("there is no version of that number")
    found = version(kind, int(text), ports_of(call))
    return {"version": _view(found.version), "document": dict(found.document)}


def _document(kind: Kind, number: int | None, call: Call) -> Json:
    if number is None:
        return in_use(kind, call)[1]
    return version(kind, number, ports_of(call)).document


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except DocumentError as error:
        fields = tuple(
            {"path": "document", "message": text[:300], "code": "invalid"}
            for text in error.problems
        )
        raise ApiError(422, error.code, str(error)[:500], fields=fields) from error


def _note(action: str, made: Version, call: Call) -> None:
    registrar = call.desk.registrar
    entry = {
        "kind": str(made.kind),
        "id": str(made.number),
        "parent": "platform",
        "before": {},
        "after": {"reason": made.reason, "digest": made.digest, "back_to": made.back_to},
    }
    note = registrar.note(action, entry, organisation="", actor=call.actor)
    call.desk.registry.write([note])


def _author(call: Call) -> str:
    return (call.actor.name.strip() or call.actor.id)[:MAX_AUTHOR]


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise ApiError(422, "bad_cursor", "The cursor is not one that a page gave")
    return int(text)


def _view(of: Version) -> dict[str, Any]:
    return {
        "number": of.number,
        "author": of.author,
        "reason": of.reason,
        "at": of.at,
        "size": of.size,
        "digest": of.digest,
        "back_to": of.back_to,
    }


def _operations(kind: Kind, noun: str) -> Sequence[Operation]:
    root, does = f"/egress/{kind}", Scope.PLATFORM
    one = f"{root}/versions/{{version}}"
    return (
        Operation(f"egress.{kind}.get", "GET", root, f"Read the {noun} in use",
                  partial(_get, kind), does, answer=PublishedView,
                  description="What was published last, else what the release brings along."),
        Operation(f"egress.{kind}.publish", "POST", root, f"Publish {noun}",
                  partial(_publish, kind), does, answer=VersionView, body=DocumentPublish,
                  status=201, max_body=MAX_BODY,
                  description="Hosts take it over within seconds. What has a problem is refused."),
        Operation(f"egress.{kind}.lint", "POST", f"{root}/lint", f"Check {noun}",
                  partial(_lint, kind), does, answer=ProblemsView, body=DocumentCheck,
                  max_body=MAX_BODY, description="Says what is wrong; publishes nothing."),
        Operation(f"egress.{kind}.diff", "POST", f"{root}/diff", f"Compare {noun}",
                  partial(_diff, kind), does, answer=LinesView, body=DocumentDiff,
                  max_body=MAX_BODY,
                  description="A document or a version with another, or with what is in use."),
        Operation(f"egress.{kind}.rollback", "POST", f"{root}/rollback",
                  f"Go back to earlier {noun}", partial(_rollback, kind), does,
                  answer=VersionView, body=DocumentRollback, status=201,
                  description="The content of an earlier version becomes a new one."),
        Operation(f"egress.{kind}.versions", "GET", f"{root}/versions",
                  f"List versions of {noun}", partial(_versions, kind), does,
                  answer=Page[VersionView], query=Listing,
                  description="Who published what, when and why, newest first."),
        Operation(f"egress.{kind}.version", "GET", one, f"Read a version of {noun}",
                  partial(_version, kind), does, answer=PublishedView),
    )  # fmt: skip


OPERATIONS = (*_operations(Kind.SHAPING, "shaping"), *_operations(Kind.RULES, "reply rules"))
