"""Deleting an organisation for good: its servers one after the other, then what it had itself.

Each step deletes a bounded part of one thing and may be repeated. What leads to other things goes
after them: a message's body before its row, a server's rows before the entry that names the server.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from mailroom.domain.dns.state_row import load_watch, watch_place
from mailroom.domain.job import Job, StepResult
from mailroom.domain.message import ServerId
from mailroom.domain.search_keys import DAY_SECONDS
from mailroom.domain.suppression import organisation_scope
from mailroom.domain.tenancy.audit import KEPT_SECONDS, audit_partition
from mailroom.domain.tenancy.record import Change, Place, Record
from mailroom.domain.tenancy.resource import (
    PLATFORM,
    RECOVERY_SECONDS,
    Resource,
    ResourceKind,
    deleted_prefix_of,
    guard_place,
    load_resource,
    place_of,
)
from mailroom.ports.erasure import Removal
from mailroom.ports.files import Files
from mailroom.ports.registry import Registry
from mailroom.ports.suppressions import Suppressions
from mailroom.usecases.holdings import records_of, scopes_of_server, servers_of
from mailroom.usecases.jobs import JobPorts, NewJob, start

DELETE = "delete_organisation"
STEP_ROWS = 200
STEP_MESSAGES = 50
STEP_DAYS = 31  # empty days that one step passes
MAX_AGE = 800 * DAY_SECONDS  # mail is kept for 400 days after it expired, at most
_OWNERS = ("pool#",)  # resources that have some of their own
_MONTH = 28 * DAY_SECONDS  # not longer than any


@dataclass(frozen=True, slots=True)
class RemovalPorts:
    """Where an organisation's things lie. `kinds` are the kinds of resources by name."""

    registry: Registry
    removal: Removal
    suppressions: Suppressions
    files: Files
    kinds: Mapping[str, ResourceKind]


@dataclass(frozen=True, slots=True)
class _Part:
    """What one look at a part did: rows and bodies that went, whether it may have more, where."""

    rows: int = 0
    bodies: int = 0
    more: bool = False
    day: float | None = None


def start_removal(
    organisation: str, created_by: str, id_: str, ports: JobPorts, *, forced: bool = False
) -> Job:
    """Start the job that deletes an organisation for good: at once, or when it can be had back
    no longer. Until then it sleeps, and ends without a deed if the organisation comes back.
    """
    wait = 0.0 if forced else ports.clock.now() + RECOVERY_SECONDS
    parameters = {"organisation": organisation, "forced": forced}
    return start(NewJob(DELETE, PLATFORM, created_by, parameters, not_before=wait), id_, ports)


def delete_step(job: Job, now: float, ports: RemovalPorts) -> StepResult:
    """Delete the next part. Parameters: `organisation`, `forced`.

    Result: `servers`, `rows`, `bodies` that went, or `restored` if nothing had to.
    """
    organisation = str(job.parameters["organisation"])
    if ports.registry.read(place_of("organisation", PLATFORM, organisation)) is not None:
        return StepResult(finished=True, result={"restored": True})
    deleted = ports.registry.read(
        Place(PLATFORM, f"{deleted_prefix_of('organisation')}{organisation}")
    )
    until = deleted.expires_at if deleted else None
    if until is not None and until > now and not job.parameters.get("forced"):
        return StepResult(checkpoint=job.checkpoint, not_before=until)
    if deleted is not None:  # from here on there is no way back
        ports.registry.write([Change(deleted.place, None)])
    server = next(iter(sorted(servers_of(ports.registry, organisation))), None)
    if server is not None:
        return _server_step(job, organisation, server, now, ports)
    part = _organisation_part(organisation, now, ports)
    if part.rows or part.more:
        return _result(job, part, {})
    return _result(job, part, {}, finished=True)


def _server_step(
    job: Job, organisation: str, server: ServerId, now: float, ports: RemovalPorts
) -> StepResult:
    """Delete the next part of one server; `stage` and `day` of the checkpoint say which."""
    same = job.checkpoint.get("server") == server
    stage = int(job.checkpoint.get("stage", 0)) if same else 0
    day = job.checkpoint.get("day") if same else None
    if stage == len(_STAGES):
        _drop_entry(organisation, server, ports)
        gone = int(job.result.get("servers", 0)) + 1
        return _result(job, _Part(rows=1), {}, servers=gone)
    part = _STAGES[stage](organisation, server, day, now, ports)
    done = not part.rows and not part.more
    checkpoint = {"server": server, "stage": stage + done}
    return _result(job, part, checkpoint | ({} if part.day is None else {"day": part.day}))


def _result(
    job: Job,
    part: _Part,
    checkpoint: Mapping[str, object],
    *,
    finished: bool = False,
    servers: int | None = None,
) -> StepResult:
    result = {
        "rows": int(job.result.get("rows", 0)) + part.rows,
        "bodies": int(job.result.get("bodies", 0)) + part.bodies,
        "servers": int(job.result.get("servers", 0)) if servers is None else servers,
    }
    return StepResult(
        checkpoint=checkpoint,
        done=part.rows,
        finished=finished,
        total=result["rows"] if finished else None,
        result=result,
    )


def _mail(
    organisation: str, server: ServerId, day: float | None, now: float, ports: RemovalPorts
) -> _Part:
    """Delete messages of a day, newest day first; bodies before the rows that know their keys."""
    at = now + DAY_SECONDS if day is None else day
    oldest = max(_made_at(organisation, server, ports) - DAY_SECONDS, now - MAX_AGE)
    for _ in range(STEP_DAYS):
        if at < oldest:
            return _Part()
        found = ports.removal.mail(server, at, STEP_MESSAGES)
        if found:
            bodies = [each.body for each in found if each.body]
            for key in bodies:
                ports.files.delete(key)
            rows = ports.removal.drop_mail(server, [each.number for each in found])
            return _Part(rows, len(bodies), more=True, day=at)
        at -= DAY_SECONDS
    return _Part(more=True, day=at)


def _facts(_: str, server: ServerId, __: object, ___: float, ports: RemovalPorts) -> _Part:
    return _Part(ports.removal.drop_facts(server, STEP_ROWS))


def _counts(_: str, server: ServerId, __: object, ___: float, ports: RemovalPorts) -> _Part:
    return _Part(ports.removal.drop_counts(server, STEP_ROWS))


def _calls(
    organisation: str, server: ServerId, __: object, ___: float, ports: RemovalPorts
) -> _Part:
    """Delete the history of webhooks: the server's own, and what its organisation's had of it."""
    owners = f"server#{server}", f"organisation#{organisation}"
    hooks = [
        record.place.sort.rpartition("#")[2]
        for owner in owners
        for prefix in ("r#webhook#", "x#webhook#", "webhook#")
        for record in records_of(ports.registry, owner, prefix)
    ]
    for hook in dict.fromkeys(hooks):
        rows = ports.removal.drop_calls(server, hook, STEP_ROWS)
        if rows:
            return _Part(rows)
    return _Part()


def _suppressed(_: str, server: ServerId, __: object, ___: float, ports: RemovalPorts) -> _Part:
    for scope in scopes_of_server(ports.registry, server):
        rows = ports.suppressions.remove_all(scope, STEP_ROWS)
        if rows:
            return _Part(rows)
    return _Part()


def _owned(_: str, server: ServerId, __: object, ___: float, ports: RemovalPorts) -> _Part:
    return _drop_partition(f"server#{server}", ports)


Stage = Callable[[str, ServerId, float | None, float, RemovalPorts], _Part]
# What a server owns goes last: its webhooks and streams name what went before.
_STAGES: Sequence[Stage] = (_mail, _facts, _counts, _calls, _suppressed, _owned)


def _organisation_part(organisation: str, now: float, ports: RemovalPorts) -> _Part:
    rows = ports.suppressions.remove_all(organisation_scope(organisation), STEP_ROWS)
    if rows:
        return _Part(rows)
    part = _drop_partition(f"organisation#{organisation}", ports)
    if part.rows:
        return part
    at = now
    while at > now - KEPT_SECONDS - _MONTH:
        rows = ports.removal.drop_directory(audit_partition(organisation, at), STEP_ROWS)
        if rows:
            return _Part(rows)
        at -= _MONTH
    return _Part()


def _drop_partition(parent: str, ports: RemovalPorts) -> _Part:
    """Delete resources with the rows that keep their values unique and those the sending path
    reads, then whatever else lies in the partition.
    """
    found = list(islice(records_of(ports.registry, parent, "r#"), STEP_ROWS))
    for record in found:
        owner = load_resource(record).owner
        if owner.startswith(_OWNERS):
            while _drop_partition(owner, ports).rows:  # never many: addresses of a pool
                continue
        ports.registry.write([Change(place, None) for place in _places(record, ports)])
    if found:
        return _Part(len(found))
    return _Part(ports.removal.drop_directory(parent, STEP_ROWS))


def _places(record: Record, ports: RemovalPorts) -> Sequence[Place]:
    resource = load_resource(record)
    kind = ports.kinds.get(resource.kind)
    made = () if kind is None else _made_of(kind, resource)
    return list(dict.fromkeys([record.place, *made, *_watched(resource.id, ports)]))


def _watched(id_: str, ports: RemovalPorts) -> Sequence[Place]:
    """Return the rows by which a domain is checked, if it is one."""
    record = ports.registry.read(watch_place(id_))
    if record is None:
        return ()
    watch = load_watch(record)
    return watch.place, watch.due_place


def _made_of(kind: ResourceKind, resource: Resource) -> Sequence[Place]:
    values = ((rule.name, rule.value(resource.parent, resource.fields)) for rule in kind.unique)
    guards = [guard_place(kind.name, name, value) for name, value in values if value is not None]
    return [*guards, *(row.place for row in kind.runtime(resource))]


def _made_at(organisation: str, server: ServerId, ports: RemovalPorts) -> float:
    record = _entry(organisation, server, ports)
    return load_resource(record).created_at if record else 0.0


def _entry(organisation: str, server: ServerId, ports: RemovalPorts) -> Record | None:
    parent = f"organisation#{organisation}"
    live = ports.registry.read(place_of("server", parent, server))
    return live or ports.registry.read(Place(parent, f"{deleted_prefix_of('server')}{server}"))


def _drop_entry(organisation: str, server: ServerId, ports: RemovalPorts) -> None:
    record = _entry(organisation, server, ports)
    if record is None:
        return
    is_live = record.place.sort.startswith("r#")
    places = _places(record, ports) if is_live else [record.place]
    ports.registry.write([Change(place, None) for place in places])
