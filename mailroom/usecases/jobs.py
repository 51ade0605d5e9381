"""Jobs: start one, do its steps, look after those that nobody works on, stop and resume.

A step is a function of the job's checkpoint and parameters that may be repeated: a worker can
die after its work and before it is written down.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mailroom.domain import job as moves
from mailroom.domain.job import ACTIVE, STALE_SECONDS, Job, JobState, StepResult
from mailroom.errors import (
    ConflictingJobError,
    HandOverError,
    MailroomError,
    NotFoundError,
    TooManyError,
)
from mailroom.ports import Clock
from mailroom.ports.jobs import JobQueue, JobStore

Step = Callable[[Job, float], StepResult]

MAX_ACTIVE = 20  # jobs of one owner that are not yet at an end
WORK_SECONDS = 20.0  # how long one invocation works on a job before it makes room
_SAVES = 5
_LONGEST_DELAY = 900.0
_MAX_PROBLEM = 1_000


class JobNotFoundError(NotFoundError):
    """There is no such job."""


class TooManyJobsError(TooManyError):
    """The owner has as many unfinished jobs as there may be."""

    code = "too_many_jobs"


class BrokenJobError(Exception):
    """A step knows that trying again is of no use: the job fails at once, with this reason."""


@dataclass(frozen=True, slots=True)
class JobPorts:
    """Where jobs are kept and how they are woken."""

    store: JobStore
    queue: JobQueue
    clock: Clock


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is to be done, for whom, and who asked for it."""

    kind: str
    owner: str
    created_by: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    not_before: float = 0.0  # Unix seconds; until then it sleeps


class Outcome(StrEnum):
    """What one try at a job came to."""

    AGAIN = "again"  # a step went well and there is more to do
    ENDED = "ended"
    RESTS = "rests"  # after an error, or until its time comes
    IDLE = "idle"  # somebody else has it, it is paused, or there is no such job


@dataclass(frozen=True, slots=True)
class Tried:
    """An outcome, the job as it was stored last, and for the log what an error said."""

    outcome: Outcome
    job: Job | None = None
    problem: str = ""


def start(new: NewJob, id_: str, ports: JobPorts) -> Job:
    """Write the job down and wake a worker; if that fails, the scheduler does.

    Raises TooManyJobsError if the owner has MAX_ACTIVE unfinished ones among its newest 100; those
    that sleep until a later time do not count.
    """
    now = ports.clock.now()
    newest = ports.store.page(new.owner, 100).items
    if sum(not job.has_ended and job.beat_at <= now for job in newest) >= MAX_ACTIVE:
        raise TooManyJobsError(f"{MAX_ACTIVE} jobs are not finished yet; wait or cancel some")
    job = Job(
        id=id_,
        kind=new.kind,
        owner=new.owner,
        created_by=new.created_by,
        created_at=now,
        parameters=new.parameters,
        beat_at=max(now, new.not_before),
    )
    ports.store.create(job)
    if job.beat_at <= now:
        _wake(id_, ports)
    return job


def run_step(id_: str, kinds: Mapping[str, Step], ports: JobPorts, now: float) -> Tried:
    """Claim the job, do one step of it and write down what came of it."""
    job = ports.store.read(id_)
    claimed = moves.claim(job, now) if job else None
    held = ports.store.save(claimed) if claimed else None
    if held is None:
        return Tried(Outcome.IDLE, job)
    try:
        result = kinds.get(held.kind, _unknown)(held, now)
        after = _written(held, lambda job: moves.after_step(job, result, ports.clock.now()), ports)
    except Exception as error:  # noqa: BLE001  # whatever it is, the job says so and tries again
        return _after_error(held, error, ports)
    if after is None:
        return Tried(Outcome.IDLE, held)
    if after.state is JobState.QUEUED:
        rests = after.beat_at > ports.clock.now()
        return Tried(Outcome.RESTS if rests else Outcome.AGAIN, after)
    return Tried(Outcome.ENDED if after.has_ended else Outcome.IDLE, after)


def work_on(
    id_: str, kinds: Mapping[str, Step], ports: JobPorts, *, seconds: float = WORK_SECONDS
) -> Tried:
    """Do steps of a job for about `seconds`, then put it back into the queue if there is more.

    Raises HandOverError if the queue does not take it; the scheduler finds it then.
    """
    until = ports.clock.now() + seconds
    while True:
        tried = run_step(id_, kinds, ports, ports.clock.now())
        if tried.outcome is not Outcome.AGAIN or ports.clock.now() >= until:
            break
    if tried.job is not None and tried.outcome in {Outcome.AGAIN, Outcome.RESTS}:
        rest = max(0.0, tried.job.beat_at - ports.clock.now())
        if rest <= _LONGEST_DELAY:  # the scheduler finds one that sleeps longer
            ports.queue.wake(id_, delay=rest)
    return tried


def revive_quiet(ports: JobPorts, now: float, limit: int = 100) -> int:
    """Put active jobs that nobody has touched for STALE_SECONDS back into the queue.

    Return how many. Their worker died, or their wake-up was lost.
    """
    revived = 0
    for id_ in ports.store.quiet(now - STALE_SECONDS, limit):
        job = ports.store.read(id_)
        again = moves.revive(job, now) if job else None
        if again is not None and ports.store.save(again):
            ports.queue.wake(id_)
            revived += 1
    return revived


def cancel_job(id_: str, ports: JobPorts) -> Job:
    """Cancel a job; what it has done stays done. See `_change` for what it raises."""
    return _change(id_, moves.cancel, ports)


def pause_job(id_: str, ports: JobPorts) -> Job:
    """Let a job rest after the step it is in. See `_change` for what it raises."""
    return _change(id_, moves.pause, ports)


def resume_job(id_: str, ports: JobPorts) -> Job:
    """Go on with a paused or failed job where it was. See `_change` for what it raises."""
    job = _change(id_, moves.resume, ports)
    if job.state in ACTIVE:
        _wake(id_, ports)
    return job


def _change(id_: str, move: Callable[[Job, float], Job], ports: JobPorts) -> Job:
    """Make a move of a person's. Raises JobNotFoundError and ConflictingJobError."""
    for _ in range(_SAVES):
        job = ports.store.read(id_)
        if job is None:
            raise JobNotFoundError("there is no such job")
        try:
            saved = ports.store.save(move(job, ports.clock.now()))
        except ValueError as error:
            raise ConflictingJobError(str(error)) from error
        if saved is not None:
            return saved
    raise ConflictingJobError("the job is changing too fast; ask again")


def _written(held: Job, move: Callable[[Job], Job], ports: JobPorts) -> Job | None:
    """Write down what a worker did; what a person changed meanwhile (pause, cancel) stays.

    None if another worker has taken the job over, or it is gone.
    """
    job = held
    for _ in range(_SAVES):
        saved = ports.store.save(move(job))
        if saved is not None:
            return saved
        now = ports.store.read(held.id)
        if now is None or now.state is JobState.RUNNING or now.checkpoint != held.checkpoint:
            return None
        job = now
    return None


def _after_error(held: Job, error: Exception, ports: JobPorts) -> Tried:
    final = isinstance(error, BrokenJobError | MailroomError)
    # What the cloud says of itself is for our log, not for a tenant.
    said = str(error) if final else f"an internal error ({type(error).__name__})"
    now = ports.clock.now()
    after = _written(held, lambda job: moves.after_error(job, said, now, final=final), ports)
    problem = f"{type(error).__name__}: {error}"[:_MAX_PROBLEM]
    if after is not None and after.state is JobState.QUEUED:
        return Tried(Outcome.RESTS, after, problem)
    return Tried(Outcome.ENDED if after and after.has_ended else Outcome.IDLE, after, problem)


def _unknown(job: Job, _now: float) -> StepResult:
    """Refuse a job of a newer release; it rests until a worker comes that knows it."""
    raise LookupError(f"nobody here knows jobs of kind {job.kind}")


def _wake(id_: str, ports: JobPorts) -> None:
    """Wake a worker, or leave it to the scheduler when the queue cannot be reached."""
    try:
        ports.queue.wake(id_)
    except HandOverError:
        return
