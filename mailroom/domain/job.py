"""Jobs: long work done in small steps, each from a checkpoint, by whoever comes next.

Every move is a pure function of the job and the time (Unix seconds). A job is `queued` whenever
nobody holds it, also between two steps; `running` only while a worker is in a step.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

STALE_SECONDS = 120.0  # a step is far shorter: a job this quiet has lost its worker or its wake-up
MAX_TRIES = 5  # of one step, before the job fails
MAX_ERROR = 500  # characters
MAX_CHECKPOINT = 65_536  # octets of JSON
_FIRST_BACK_OFF = 15.0


class JobState(StrEnum):
    """Where a job stands. Values are stored and shown; never rename them."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = frozenset({JobState.QUEUED, JobState.RUNNING})
ENDED = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, in whatever it counts; `total` None while nobody knows."""

    done: int = 0
    failed: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of long work of an `owner` ("platform", "organisation#<id>", "server#<id>").

    `parameters` do not change; `checkpoint` is where the next step begins; `result` is for the
    reader. `beat_at` is when it was last touched, or until when it rests after an error;
    `tries` counts errors in a row. `version` grows with every save.
    """

    id: str
    kind: str
    owner: str
    created_by: str
    created_at: float
    state: JobState = JobState.QUEUED
    parameters: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    tries: int = 0
    version: int = 1
    beat_at: float = 0.0
    finished_at: float | None = None

    @property
    def has_ended(self) -> bool:
        """Say whether nothing more will happen to it."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step did. `done` and `failed` are of this step alone; `total` None keeps the old.

    `result` is merged into the job's result. `forget` names parameters that are to be kept no
    longer: an address, once it is erased. The job rests until `not_before` (Unix seconds).
    """

    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    done: int = 0
    failed: int = 0
    total: int | None = None
    finished: bool = False
    result: Mapping[str, Any] = field(default_factory=dict)
    forget: frozenset[str] = frozenset()
    not_before: float = 0.0


def claim(job: Job, now: float) -> Job | None:
    """Return the job as its next worker holds it, None if there is nothing to do with it now.

    A running job can be taken over when its worker has been quiet for STALE_SECONDS.
    """
    if job.state is JobState.QUEUED and job.beat_at <= now:
        return replace(job, state=JobState.RUNNING, beat_at=now)
    if job.state is JobState.RUNNING and is_stale(job, now):
        return replace(job, beat_at=now)
    return None


def is_stale(job: Job, now: float) -> bool:
    """Say whether an active job has been quiet for too long."""
    return job.state in ACTIVE and job.beat_at <= now - STALE_SECONDS


def after_step(job: Job, step: StepResult, now: float) -> Job:
    """Return the job after a step that went well.

    One that was paused or cancelled meanwhile keeps that state and what the step did. Raises
    ValueError for a checkpoint that is too large to keep.
    """
    if len(json.dumps(step.checkpoint)) > MAX_CHECKPOINT:
        raise ValueError("the checkpoint is too large")
    was = job.progress
    moved = replace(
        job,
        checkpoint=step.checkpoint,
        progress=Progress(
            was.done + step.done,
            was.failed + step.failed,
            was.total if step.total is None else step.total,
        ),
        result={**job.result, **step.result},
        parameters={k: v for k, v in job.parameters.items() if k not in step.forget},
        tries=0,
        error="",
        beat_at=max(now, step.not_before),
    )
    if step.finished and not job.has_ended:
        return replace(moved, state=JobState.DONE, finished_at=now)
    return replace(moved, state=JobState.QUEUED) if job.state is JobState.RUNNING else moved


def after_error(job: Job, error: str, now: float, *, final: bool = False) -> Job:
    """Return the job after a step that raised: resting, or failed after MAX_TRIES in a row."""
    tried = replace(job, error=error[:MAX_ERROR], tries=job.tries + 1, beat_at=now)
    if job.state is not JobState.RUNNING:
        return tried
    if final or tried.tries >= MAX_TRIES:
        return replace(tried, state=JobState.FAILED, finished_at=now)
    return replace(tried, state=JobState.QUEUED, beat_at=now + back_off(tried.tries))


def back_off(tries: int) -> float:
    """Return how many seconds a job rests after so many errors in a row: 15 s, doubled."""
    return _FIRST_BACK_OFF * 2.0 ** min(max(tries, 1) - 1, 10)


def revive(job: Job, now: float) -> Job | None:
    """Return a stale job as it goes back into the queue, None if it is not stale."""
    return replace(job, state=JobState.QUEUED, beat_at=now) if is_stale(job, now) else None


def cancel(job: Job, now: float) -> Job:
    """Return the job cancelled; again is no mistake. Raises ValueError if it ended."""
    if job.state is JobState.CANCELLED:
        return job
    if job.has_ended:
        raise ValueError(f"the job is {job.state} already")
    return replace(job, state=JobState.CANCELLED, beat_at=now, finished_at=now)


def pause(job: Job, now: float) -> Job:
    """Return the job paused; again is no mistake. Raises ValueError if it ended."""
    if job.has_ended:
        raise ValueError(f"the job is {job.state} already")
    return replace(job, state=JobState.PAUSED, beat_at=now)


def resume(job: Job, now: float) -> Job:
    """Return a paused or failed job as it goes back into the queue.

    An active one stays as it is. Raises ValueError if it is done or cancelled.
    """
    if job.state in ACTIVE:
        return job
    if job.state not in {JobState.PAUSED, JobState.FAILED}:
        raise ValueError(f"the job is {job.state} already")
    return replace(job, state=JobState.QUEUED, tries=0, error="", beat_at=now, finished_at=None)
