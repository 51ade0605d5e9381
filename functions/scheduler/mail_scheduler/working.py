"""The worker: one wake-up of a job, some seconds of its steps, one log line."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mailroom.adapters.job_text import load_job_wake_up
from mailroom.adapters.log_line import log_line
from mailroom.usecases.jobs import WORK_SECONDS, JobPorts, Step, revive_quiet, work_on


def work(
    event: Mapping[str, Any],
    kinds: Mapping[str, Step],
    ports: JobPorts,
    *,
    seconds: float = WORK_SECONDS,
) -> dict[str, Any]:
    """Work on the jobs of a batch. What fails in a step is the job's own matter, not the queue's.

    Raises ValueError or KeyError for a message that is no wake-up, which then ends in the
    dead-letter queue, and HandOverError if a job could not be put back.
    """
    records = event["Records"]
    for record in records:
        id_ = load_job_wake_up(record["body"])
        with log_line("work", job=id_) as line:
            tried = work_on(id_, kinds, ports, seconds=seconds / len(records))
            line["outcome"] = str(tried.outcome)
            if tried.job is not None:
                done = tried.job.progress
                line |= {"kind": tried.job.kind, "done": done.done, "bad": done.failed}
            if tried.problem:
                line["problem"] = tried.problem
    return {"batchItemFailures": []}


def revive(ports: JobPorts, now: float) -> Counter[str]:
    """Put jobs that lost their worker back into the queue: a task of every tick."""
    return Counter(revived=revive_quiet(ports, now))
