"""Create, read, change and delete resources.

Each change is one step in the directory table: the resource, the rows that keep its values
unique, the rows the sending path reads, and the entry in the audit log. Either all are there
or none is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.audit import audit_record, changed
from mailroom.domain.tenancy.identity import is_foreign, new_id
from mailroom.domain.tenancy.record import ABSENT, Change, Place, Record
from mailroom.domain.tenancy.resource import (
    RECOVERY_SECONDS,
    Resource,
    ResourceKind,
    deleted_prefix_of,
    dump_resource,
    guard_place,
    load_resource,
    place_of,
    prefix_of,
)
from mailroom.errors import (
    AlreadyExistsError,
    ForeignEnvironmentError,
    NotFoundError,
    RevisionError,
    TooManyError,
)
from mailroom.ports import Chance, Clock
from mailroom.ports.registry import ConflictError, Registry


@dataclass(frozen=True, slots=True)
class Registrar:
    """The one who keeps the register. `environment` is this deployment's name, as ids bear it."""

    registry: Registry
    clock: Clock
    chance: Chance
    environment: str

    def id_for(self, kind: ResourceKind) -> str:
        """Return a new id for a resource of a kind."""
        return new_id(
            kind.prefix, now=self.clock.now(), chance=self.chance, environment=self.environment
        )

    def create(
        self,
        kind: ResourceKind,
        parent: str,
        fields: Mapping[str, Any],
        *,
        actor: Actor,
        organisation: str,
        id_: str = "",
        secret: bytes = b"",
        beside: Sequence[Change] = (),
    ) -> Resource:
        """Make a resource, and make the changes `beside` in the same step.

        Raises TooManyError when the parent has as many as it may, AlreadyExistsError when a
        value that must be unique is taken, ConflictError when a change beside it fails.
        """
        self._require_room(kind, parent)
        now = self.clock.now()
        made = Resource(
            kind=kind.name,
            parent=parent,
            id=id_ or self.id_for(kind),
            fields=dict(fields),
            organisation=organisation,
            created_at=now,
            updated_at=now,
            secret=secret,
        )
        self._write([*self.creation(kind, made, actor), *beside])
        return replace(made, revision=1)

    def creation(self, kind: ResourceKind, made: Resource, actor: Actor) -> Sequence[Change]:
        """Return the changes that make a resource, for one made together with another."""
        return [
            Change.put(_record(made), ABSENT),
            *_guards(kind, None, made),
            *_runtime(kind, None, made),
            self._audit("create", kind, None, made, actor, made.created_at),
        ]

    def read(self, kind: ResourceKind, parent: str, id_: str) -> Resource:
        """Return a resource. Raises NotFoundError or, for another deployment's id,
        ForeignEnvironmentError."""
        record = self.registry.read(place_of(kind.name, parent, id_))
        if record is None:
            raise missing(id_, self.environment)
        return load_resource(record)

    def find(self, kind: ResourceKind, unique: str, value: str) -> Resource | None:
        """Return the resource that holds a unique value, or None."""
        guard = self.registry.read(guard_place(kind.name, unique, value))
        if guard is None:
            return None
        record = self.registry.read(Place(guard.body["parent"], guard.body["sort"]))
        return load_resource(record) if record else None

    def page(
        self,
        kind: ResourceKind,
        parent: str,
        *,
        limit: int,
        after: str = "",
        deleted: bool = False,
    ) -> tuple[Sequence[Resource], str]:
        """Return up to `limit` resources in the order of their ids, and where to go on.

        `after` is the id the page before ended with. With `deleted`, those that can be had back.
        """
        prefix = deleted_prefix_of(kind.name) if deleted else prefix_of(kind.name)
        start = f"{prefix}{after}" if after else ""
        found = self.registry.page(parent, prefix, limit=limit, after=start)
        return list(map(load_resource, found.records)), found.after.removeprefix(prefix)

    def update(
        self,
        kind: ResourceKind,
        before: Resource,
        fields: Mapping[str, Any],
        *,
        actor: Actor,
        secret: bytes | None = None,
        beside: Sequence[Change] = (),
        action: str = "update",
    ) -> Resource:
        """Replace the fields of a resource that is still as it was read.

        Raises RevisionError if it has changed since, AlreadyExistsError for a taken value.
        """
        now = self.clock.now()
        after = replace(
            before,
            fields=dict(fields),
            updated_at=now,
            secret=before.secret if secret is None else secret,
        )
        changes = [
            Change.put(_record(after), before.revision),
            *_guards(kind, before, after),
            *_runtime(kind, before, after),
            self._audit(action, kind, before, after, actor, now),
            *beside,
        ]
        self._write(changes)
        return replace(after, revision=before.revision + 1)

    def delete(
        self,
        kind: ResourceKind,
        before: Resource,
        *,
        actor: Actor,
        beside: Sequence[Change] = (),
    ) -> None:
        """Take a resource away from the sending path; a recoverable one is kept for 30 days.

        Raises RevisionError if it has changed since it was read.
        """
        self._write([*self.removal(kind, before, actor), *beside])

    def removal(self, kind: ResourceKind, before: Resource, actor: Actor) -> Sequence[Change]:
        """Return the changes that delete a resource, for one that goes together with another."""
        now = self.clock.now()
        gone = replace(before, deleted_at=now)
        kept = []
        if kind.recoverable:
            kept = [Change.put(replace(_deleted(gone), expires_at=now + RECOVERY_SECONDS), None)]
        return [
            Change(before.place, None, before.revision),
            *_guards(kind, before, None),
            *_runtime(kind, before, gone if kind.leaves_rows else None),
            *kept,
            self._audit("delete", kind, before, None, actor, now),
        ]

    def deleted(self, kind: ResourceKind, parent: str, id_: str) -> Resource:
        """Return a resource that was deleted and can be had back. Raises NotFoundError."""
        record = self.registry.read(Place(parent, f"{deleted_prefix_of(kind.name)}{id_}"))
        now = self.clock.now()
        if record is None or (record.expires_at is not None and record.expires_at <= now):
            raise missing(id_, self.environment)
        return load_resource(record)

    def restore(self, kind: ResourceKind, parent: str, id_: str, *, actor: Actor) -> Resource:
        """Bring a deleted resource back as it was.

        Raises NotFoundError when its time is over, AlreadyExistsError when one of its unique
        values has gone to another, TooManyError.
        """
        gone = self.deleted(kind, parent, id_)
        self._require_room(kind, parent)
        now = self.clock.now()
        back = replace(gone, deleted_at=None, updated_at=now)
        changes = [
            Change(_deleted(gone).place, None, gone.revision),
            Change.put(_record(back), ABSENT),
            *_guards(kind, None, back),
            *_runtime(kind, None, back),
            self._audit("restore", kind, None, back, actor, now),
        ]
        self._write(changes)
        return replace(back, revision=1)

    def _require_room(self, kind: ResourceKind, parent: str) -> None:
        if kind.most is None:
            return
        if self.registry.count(parent, prefix_of(kind.name), most=kind.most) >= kind.most:
            raise TooManyError(f"there are {kind.most} of these already")

    def note(
        self, action: str, entry: Mapping[str, Any], *, organisation: str, actor: Actor
    ) -> Change:
        """Return the audit entry of something that is no change of a resource."""
        record = audit_record(
            {"action": action, **entry},
            organisation=organisation,
            at=self.clock.now(),
            chance=self.chance.bits(32),
            actor=actor,
        )
        return Change.put(record)

    def _audit(
        self,
        action: str,
        kind: ResourceKind,
        before: Resource | None,
        after: Resource | None,
        actor: Actor,
        now: float,
    ) -> Change:
        named = after or before
        if named is None:
            raise ValueError("an audit entry is about something")
        was, is_ = changed(
            before.fields if before else {}, after.fields if after else {}, kind.private
        )
        entry = {"action": action, "kind": kind.name, "id": named.id, "parent": named.parent}
        record = audit_record(
            {**entry, "before": was, "after": is_},
            organisation=named.organisation,
            at=now,
            chance=self.chance.bits(32),
            actor=actor,
        )
        return Change.put(record)

    def _write(self, changes: Sequence[Change]) -> None:
        try:
            self.registry.write(changes)
        except ConflictError as conflict:
            is_new = any(c.place == conflict.place and c.expected == ABSENT for c in changes)
            raise _refusal(conflict, is_new=is_new) from conflict


def missing(id_: str, environment: str) -> NotFoundError:
    """Return why there is no resource with an id: unknown, or another deployment's."""
    if is_foreign(id_, environment):
        return ForeignEnvironmentError("this id was made by another deployment")
    return NotFoundError("there is nothing with that id")


def _refusal(conflict: ConflictError, *, is_new: bool) -> Exception:
    partition, sort = conflict.place
    if partition.startswith("unique#"):
        _, kind, unique, _ = partition.split("#", 3)
        return AlreadyExistsError(f"this {unique} is taken by another {kind}", field=unique)
    if sort.startswith("r#") and is_new:
        return AlreadyExistsError("there is one of that name already", field="name")
    if sort.startswith(("r#", "x#")):
        return RevisionError("it has changed since it was read")
    if partition.startswith(("network#", "credential#", "login#")):
        return AlreadyExistsError("it belongs to another", field=partition.partition("#")[0])
    return conflict


def _record(resource: Resource) -> Record:
    return Record(resource.place, dump_resource(resource), secret=resource.secret)


def _deleted(resource: Resource) -> Record:
    place = Place(resource.parent, f"{deleted_prefix_of(resource.kind)}{resource.id}")
    return Record(place, dump_resource(resource), secret=resource.secret)


def _guards(
    kind: ResourceKind, before: Resource | None, after: Resource | None
) -> Iterable[Change]:
    was, is_ = _unique_places(kind, before), _unique_places(kind, after)
    for place in was - is_:
        yield Change(place, None)
    for place in is_ - was:
        if after is not None:
            holder = {"parent": after.parent, "sort": after.place.sort}
            yield Change.put(Record(place, holder), ABSENT)


def _unique_places(kind: ResourceKind, resource: Resource | None) -> set[Place]:
    if resource is None:
        return set()
    found = ((rule.name, rule.value(resource.parent, resource.fields)) for rule in kind.unique)
    return {guard_place(kind.name, name, value) for name, value in found if value is not None}


def _runtime(
    kind: ResourceKind, before: Resource | None, after: Resource | None
) -> Iterable[Change]:
    was = {record.place: record for record in kind.runtime(before)} if before else {}
    is_ = {record.place: record for record in kind.runtime(after)} if after else {}
    for place in was.keys() - is_.keys():
        yield Change(place, None)
    for place, record in is_.items():
        is_new = place not in was
        if is_new or record != was[place]:
            yield Change.put(record, ABSENT if is_new and record.exclusive else None)
