"""Jobs of a server, an organisation or the platform: how far they are, and stopping them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from mail_api.v2.crud import paged
from mail_api.v2.models.base import Listing, Page
from mail_api.v2.models.jobs import Job as JobView
from mail_api.v2.operation import ROOT, Answer, ApiError, Call, Operation
from mailroom.domain.job import Job, JobState
from mailroom.domain.job_file import result_key
from mailroom.domain.tenancy.access import Scope, Target, Verdict, decide
from mailroom.domain.tenancy.identity import new_id
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.record import Place
from mailroom.domain.tenancy.resource import PLATFORM
from mailroom.ports.files import Files
from mailroom.usecases import recipients, suppression_import
from mailroom.usecases.jobs import (
    JobNotFoundError,
    JobPorts,
    NewJob,
    cancel_job,
    pause_job,
    resume_job,
    start,
)
from mailroom.usecases.organisation_removal import start_removal
from mailroom.usecases.registrar import missing

LINK_SECONDS = 3_600
# Files hold what the scope beside them is for.
_FILE_SCOPES = {
    suppression_import.IMPORT: Scope.SUPPRESSIONS_READ,
    suppression_import.EXPORT: Scope.SUPPRESSIONS_READ,
    recipients.EXPORT: Scope.RECIPIENTS_READ,
}


def begin(call: Call, kind: str, parameters: dict[str, Any]) -> Answer:
    """Start a job for what a call is about and answer with it, and where it is asked for."""
    new = NewJob(kind, call.parent, created_by(call), parameters)
    return started(start(new, new_job_id(call), job_ports(call)))


def started(job: Job) -> Answer:
    """Return the answer of a call that started a job."""
    return Answer(_view(job), 202, {"location": f"{ROOT}/jobs/{job.id}"})


def new_job_id(call: Call) -> str:
    """Return an id for a new job."""
    registrar = call.desk.registrar
    return new_id(
        "job",
        now=registrar.clock.now(),
        chance=registrar.chance,
        environment=registrar.environment,
    )


def created_by(call: Call) -> str:
    """Return how a job names who asked for it."""
    return f"{call.principal.kind}:{call.principal.id}"


def job_ports(call: Call) -> JobPorts:
    """Return where jobs are kept."""
    ports: JobPorts = call.desk.area("jobs")
    return ports


def list_jobs(call: Call) -> Any:
    """List those of a server, an organisation or the platform, newest first."""

    def read(limit: int, after: str) -> tuple[Sequence[Any], str]:
        try:
            found = job_ports(call).store.page(call.parent, limit, after)
        except ValueError as error:
            raise ApiError(422, "bad_cursor", "The cursor is not one that a page gave") from error
        return [_view(job) for job in found.items], found.cursor

    return paged(call, read)


def read_job(call: Call) -> dict[str, Any]:
    """Read one, with links to its files for who may see what is in them."""
    job = _visible(call, Scope.JOBS_READ)
    return {**_view(job), "files": list(_files(call, job))}


def _changed(change: Callable[[str, JobPorts], Job]) -> Callable[[Call], dict[str, Any]]:
    def act(call: Call) -> dict[str, Any]:
        job = _visible(call, Scope.JOBS_WRITE)
        return _view(change(job.id, job_ports(call)))

    return act


def purge_organisation(call: Call) -> Answer:
    """Delete a deleted organisation for good, now rather than when 30 days are over."""
    id_ = call.path["deleted"]
    registrar = call.desk.registrar
    registrar.deleted(ORGANISATION, PLATFORM, id_)
    entry = {"kind": "organisation", "id": id_, "parent": PLATFORM}
    call.desk.registry.write([registrar.note("purge", entry, organisation="", actor=call.actor)])
    job = start_removal(id_, created_by(call), new_job_id(call), job_ports(call), forced=True)
    return started(job)


def _visible(call: Call, scope: Scope) -> Job:
    """Return the job a path names. Raises NotFoundError for another's as for none."""
    job = job_ports(call).store.read(call.path["job"])
    if job is None:
        raise missing(call.path["job"], call.desk.registrar.environment)
    call.desk.authorise(call.principal, scope, _target(call, job))
    return job


def _target(call: Call, job: Job) -> Target:
    kind, _, id_ = job.owner.partition("#")
    if kind == "organisation":
        return Target(id_)
    if kind != "server":
        return Target()
    server = call.desk.registry.read(Place(job.owner))
    if server is None:
        raise JobNotFoundError("there is nothing with that id")
    return Target(server.body["organisation"], id_)


def _view(job: Job) -> dict[str, Any]:
    waits = job.state is JobState.QUEUED and job.beat_at > job.created_at and not job.error
    return {
        "id": job.id,
        "kind": job.kind,
        "owner": job.owner,
        "state": job.state,
        "created_by": job.created_by,
        "created_at": job.created_at,
        "starts_at": job.beat_at if waits and not job.progress.done else None,
        "finished_at": job.finished_at,
        "progress": asdict(job.progress),
        "result": dict(job.result),
        "error": job.error,
    }


def _files(call: Call, job: Job) -> Iterator[dict[str, str]]:
    scope = _FILE_SCOPES.get(job.kind)
    if scope is None:
        return
    if decide(call.principal, scope, _target(call, job)) is not Verdict.ALLOWED:
        return
    files: Files = call.desk.area("files")
    for name in _names(job):
        key = result_key(job.owner, job.id, name)
        yield {"name": name, "url": files.download_link(key, name, LINK_SECONDS)}


def _names(job: Job) -> Sequence[str]:
    if job.kind == suppression_import.IMPORT:
        return [suppression_import.REPORT] if job.result.get("bad") else []
    part = recipients.part_name
    if job.kind == suppression_import.EXPORT:
        part = suppression_import.part_name
    return [part(number) for number in range(1, int(job.result.get("parts", 0)) + 1)]


_ONE = "/jobs/{job}"

# A job's owner is in its row: who may see it is asked when that is read.
OPERATIONS = (
    Operation("jobs.list_platform", "GET", "/jobs", "List the platform's jobs", list_jobs,
              Scope.PLATFORM, answer=Page[JobView], query=Listing),
    Operation("jobs.list_organisation", "GET", "/organisations/{organisation}/jobs",
              "List an organisation's jobs", list_jobs, Scope.JOBS_READ, answer=Page[JobView],
              query=Listing),
    Operation("jobs.list_server", "GET", "/servers/{server}/jobs", "List a server's jobs",
              list_jobs, Scope.JOBS_READ, answer=Page[JobView], query=Listing),
    Operation("jobs.read", "GET", _ONE, "Read a job", read_job, None, answer=JobView),
    Operation("jobs.cancel", "POST", f"{_ONE}/cancel", "Cancel a job", _changed(cancel_job), None,
              answer=JobView, description="What it has done stays done."),
    Operation("jobs.pause", "POST", f"{_ONE}/pause", "Let a job rest", _changed(pause_job), None,
              answer=JobView),
    Operation("jobs.resume", "POST", f"{_ONE}/resume", "Go on with a paused or failed job",
              _changed(resume_job), None, answer=JobView),
    Operation("organisations.purge", "POST", "/deleted-organisations/{deleted}/purge",
              "Delete a deleted organisation for good", purge_organisation, Scope.PLATFORM,
              answer=JobView, status=202),
)  # fmt: skip
