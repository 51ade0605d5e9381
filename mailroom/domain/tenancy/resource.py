"""A resource: anything a person or a program manages, from an organisation to a webhook.

Its `fields` are JSON values that a schema at the edge has checked. What the sending path needs of
it lies beside it in runtime rows, which are written in the same step and made from it alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mailroom.domain.tenancy.record import Place, Record

PLATFORM = "platform"
RECOVERY_SECONDS = 30 * 86_400.0  # how long what was deleted can be had back


@dataclass(frozen=True, slots=True)
class Resource:
    """One of them. Times are Unix seconds; `secret` is encrypted for `owner`.

    `parent` is `platform`, `organisation#<id>`, `server#<id>` or `user#<id>`. `organisation` is
    whose it is in the end, "" for the platform's own: its changes are in that audit log.
    """

    kind: str
    parent: str
    id: str
    fields: Mapping[str, Any]
    organisation: str = ""
    revision: int = 0
    created_at: float = 0.0
    updated_at: float = 0.0
    deleted_at: float | None = None
    secret: bytes = field(default=b"", repr=False)

    @property
    def owner(self) -> str:
        """How whatever hangs on this resource names it as its parent."""
        return f"{self.kind}#{self.id}"

    @property
    def place(self) -> Place:
        """Where its record lies."""
        return place_of(self.kind, self.parent, self.id)


@dataclass(frozen=True, slots=True)
class Unique:
    """A rule that no two resources of a kind have the same value.

    `value` makes it from parent and fields, None where the rule does not apply. It is compared
    as it is: make it lower-case where case does not matter.
    """

    name: str
    value: Callable[[str, Mapping[str, Any]], str | None]


def _nothing(_: Resource) -> Sequence[Record]:
    return ()


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """What resources of one kind have in common.

    `most` is how many one parent may have; None does not count them. A `recoverable` one can be
    had back for 30 days after its deletion. `runtime` makes the rows that the sending path
    reads; a deleted resource has none, but where `leaves_rows` says so it is asked for them too.
    `private` fields appear in no audit log.
    """

    name: str
    prefix: str
    most: int | None
    recoverable: bool = True
    unique: tuple[Unique, ...] = ()
    runtime: Callable[[Resource], Sequence[Record]] = _nothing
    private: frozenset[str] = frozenset()
    leaves_rows: bool = False


def place_of(kind: str, parent: str, id_: str) -> Place:
    """Return where the record of a resource lies."""
    return Place(parent, f"{prefix_of(kind)}{id_}")


def prefix_of(kind: str) -> str:
    """Return what the sort keys of a kind's records begin with."""
    return f"r#{kind}#"


def deleted_prefix_of(kind: str) -> str:
    """Return what the sort keys of a kind's deleted records begin with."""
    return f"x#{kind}#"


def guard_place(kind: str, unique: str, value: str) -> Place:
    """Return where the row lies that keeps a unique value for its holder."""
    return Place(f"unique#{kind}#{unique}#{value}")


def dump_resource(resource: Resource) -> dict[str, Any]:
    """Return a resource as the body of its record."""
    return {
        "fields": dict(resource.fields),
        "organisation": resource.organisation,
        "created_at": resource.created_at,
        "updated_at": resource.updated_at,
        **({} if resource.deleted_at is None else {"deleted_at": resource.deleted_at}),
    }


def load_resource(record: Record) -> Resource:
    """Read what `dump_resource` wrote."""
    _, kind, id_ = record.place.sort.split("#", 2)
    body = record.body
    return Resource(
        kind=kind,
        parent=record.place.partition,
        id=id_,
        fields=body["fields"],
        organisation=body.get("organisation", ""),
        revision=record.revision,
        created_at=body["created_at"],
        updated_at=body["updated_at"],
        deleted_at=body.get("deleted_at"),
        secret=record.secret,
    )
