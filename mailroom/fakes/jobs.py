"""The job ports in memory, held to the contract tests of the adapters."""

from collections.abc import Sequence
from dataclasses import replace

from mailroom.domain.job import ACTIVE, Job
from mailroom.errors import HandOverError
from mailroom.ports.jobs import JobPage


class MemoryJobs:
    """The JobStore port."""

    def __init__(self) -> None:
        self.stored: dict[str, Job] = {}

    def create(self, job: Job) -> bool:
        """See JobStore.create."""
        if job.id in self.stored:
            return False
        self.stored[job.id] = job
        return True

    def read(self, id_: str) -> Job | None:
        """See JobStore.read."""
        return self.stored.get(id_)

    def page(self, owner: str, limit: int, cursor: str = "") -> JobPage:
        """See JobStore.page."""
        if cursor and cursor not in self.stored:
            raise ValueError("there is no such cursor")
        ids = sorted((job.id for job in self.stored.values() if job.owner == owner), reverse=True)
        found = [id_ for id_ in ids if not cursor or id_ < cursor][:limit]
        items = [self.stored[id_] for id_ in found]
        return JobPage(items, found[-1] if len(found) == limit else "")

    def save(self, job: Job) -> Job | None:
        """See JobStore.save."""
        known = self.stored.get(job.id)
        if known is None or known.version != job.version:
            return None
        self.stored[job.id] = replace(job, version=job.version + 1)
        return self.stored[job.id]

    def quiet(self, before: float, limit: int) -> Sequence[str]:
        """See JobStore.quiet."""
        active = [job for job in self.stored.values() if job.state in ACTIVE]
        quiet = sorted((job.beat_at, job.id) for job in active if job.beat_at <= before)
        return [id_ for _, id_ in quiet[:limit]]


class MemoryJobQueue:
    """The JobQueue port; `woken` shows the wake-ups and how long they wait."""

    def __init__(self) -> None:
        self.woken: list[tuple[str, float]] = []
        self.broken = False  # as if the queue could not be reached

    def wake(self, id_: str, *, delay: float = 0.0) -> None:
        """See JobQueue.wake. Raises HandOverError while `broken`."""
        if self.broken:
            raise HandOverError("the queue is broken")
        self.woken.append((id_, delay))
