"""Where jobs are kept, and how their workers are woken."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mailroom.domain.job import Job


@dataclass(frozen=True, slots=True)
class JobPage:
    """Part of an owner's jobs; `cursor` is where the next part begins, "" after the last."""

    items: Sequence[Job]
    cursor: str = ""


class JobStore(Protocol):
    """The durable record of jobs. An ended one is kept for 90 days."""

    def create(self, job: Job) -> bool:
        """Write a new job; False, changing nothing, if its id is taken."""

    def read(self, id_: str) -> Job | None:
        """Return the job as it is now (a consistent read), or None."""

    def page(self, owner: str, limit: int, cursor: str = "") -> JobPage:
        """Return up to `limit` jobs of an owner, newest first.

        Raises ValueError for a cursor that no page gave.
        """

    def save(self, job: Job) -> Job | None:
        """Store `job` if the stored version is still `job.version`; return it with the next one.

        None, changing nothing, if somebody else was faster or the job is gone.
        """

    def quiet(self, before: float, limit: int) -> Sequence[str]:
        """Return ids of the active jobs whose `beat_at` is at or before `before`, oldest first.

        At most `limit`, from an index that may lag by a moment.
        """


class JobQueue(Protocol):
    """Wakes workers. Losing a wake-up loses no job: the scheduler finds it."""

    def wake(self, id_: str, *, delay: float = 0.0) -> None:
        """Ask that somebody works on the job after `delay` seconds (at most 900).

        Raises HandOverError if the queue did not take it.
        """
