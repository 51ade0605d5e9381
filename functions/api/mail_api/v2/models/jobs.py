"""Schemas of jobs."""

from typing import Any

from mail_api.v2.models.base import View


class Progress(View):
    """How far a job is; `total` is null while nobody knows."""

    done: int
    failed: int
    total: int | None


class JobFile(View):
    """A file that a job made; `url` can be fetched for an hour, without a key."""

    name: str
    url: str


class Job(View):
    """Long work, done in steps. `failed` counts what could not be done; `result` is the kind's own.

    States: queued, running, paused, done, failed, cancelled. A job that ended is kept for 90 days,
    its files for seven.
    """

    id: str
    kind: str
    owner: str
    state: str
    created_by: str
    created_at: float
    starts_at: float | None = None
    finished_at: float | None
    progress: Progress
    result: dict[str, Any]
    error: str
    files: list[JobFile] = []
