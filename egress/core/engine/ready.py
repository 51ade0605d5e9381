"""Mail that may go now, in the order in which it goes: urgent first, then tenants in turn.

Within a class every tenant has its turn (deficit round robin, each message costs one), within a
tenant every campaign has, so that a small job overtakes a big one. Bulk is not starved by urgent
mail for ever: while both wait, one message in eight is bulk.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from mailroom.domain.sending.job import JobFacts, LaneClass

BULK_TURN = 8
MOST_LOOKED_AT = 64  # heads of campaigns looked at for one pick


class Fit(Enum):
    """What may become of a job at the head of its campaign."""

    NOW = "now"
    LATER = "later"  # its campaign is passed over this time
    TENANT_LATER = "tenant later"  # and so is all of its tenant
    OUT = "out"  # it leaves the queue: whoever judged it has noted what becomes of it


Judge = Callable[[JobFacts], Fit]


@dataclass(slots=True)
class _Tenant:
    weight: float = 1.0
    deficit: float = 0.0
    campaigns: OrderedDict[str, deque[JobFacts]] = field(default_factory=OrderedDict)


class _Class:
    """The jobs of one lane and priority."""

    __slots__ = ("_tenants", "size")

    def __init__(self) -> None:
        self._tenants: OrderedDict[str, _Tenant] = OrderedDict()
        self.size = 0

    def push(self, job: JobFacts, weight: float, *, first: bool) -> None:
        tenant = self._tenants.get(job.tenant)
        if tenant is None:
            tenant = self._tenants[job.tenant] = _Tenant(weight)
        waiting = tenant.campaigns.setdefault(job.campaign, deque())
        if first:
            waiting.appendleft(job)
        else:
            waiting.append(job)
        self.size += 1

    def pick(self, judge: Judge) -> JobFacts | None:
        looked = 0
        for name in list(self._tenants):
            tenant = self._tenants[name]
            found, looks = self._from(tenant, judge)
            looked += looks
            if not tenant.campaigns:
                del self._tenants[name]
            elif found is None or tenant.deficit < 1.0:
                self._tenants.move_to_end(name)
            if found is not None or looked >= MOST_LOOKED_AT:
                return found
        return None

    def _from(self, tenant: _Tenant, judge: Judge) -> tuple[JobFacts | None, int]:
        looked = 0
        for campaign in list(tenant.campaigns):
            waiting = tenant.campaigns[campaign]
            fit = Fit.OUT
            while waiting and fit is Fit.OUT and looked < MOST_LOOKED_AT:
                fit = judge(waiting[0])
                looked += 1
                if fit is Fit.OUT:
                    waiting.popleft()
                    self.size -= 1
            found = self._taken(tenant, campaign) if fit is Fit.NOW else None
            if not waiting:
                tenant.campaigns.pop(campaign, None)
            if found is not None or fit is Fit.TENANT_LATER or looked >= MOST_LOOKED_AT:
                return found, looked
        return None, looked

    def _taken(self, tenant: _Tenant, campaign: str) -> JobFacts:
        job = tenant.campaigns[campaign].popleft()
        tenant.campaigns.move_to_end(campaign)
        self.size -= 1
        if tenant.deficit < 1.0:
            tenant.deficit += tenant.weight
        tenant.deficit -= 1.0
        return job

    def jobs(self) -> Iterator[JobFacts]:
        for tenant in self._tenants.values():
            for waiting in tenant.campaigns.values():
                yield from waiting

    def tenants(self) -> int:
        return len(self._tenants)


class ReadyQueue:
    """The waiting jobs of one line, by class."""

    __slots__ = ("_classes", "_counts", "_since_bulk", "_weight")

    def __init__(self, weight: Callable[[str], float] = lambda _tenant: 1.0) -> None:
        """Take the weight of a tenant, 1 for an ordinary one; at least a hundredth counts."""
        self._classes: dict[tuple[int, int], _Class] = {}  # by lane and priority, highest first
        self._counts = [0] * len(LaneClass)  # by lane
        self._weight = weight
        self._since_bulk = 0

    def __len__(self) -> int:
        return sum(self._counts)

    def push(self, job: JobFacts, *, first: bool = False) -> None:
        """Add a job, `first` of its campaign if it was taken before and not sent."""
        key = (int(job.lane), -job.priority)
        found = self._classes.get(key)
        if found is None:
            found = self._classes[key] = _Class()
            self._classes = dict(sorted(self._classes.items()))
        found.push(job, max(0.01, self._weight(job.tenant)), first=first)
        self._counts[job.lane] += 1

    def waiting(self, lane: LaneClass) -> int:
        """Return how many jobs of a lane wait."""
        return self._counts[lane]

    @property
    def tenants(self) -> int:
        """How many tenants have jobs here, counted once a class."""
        return sum(each.tenants() for each in self._classes.values())

    def pick(self, judge: Judge, *, bulk: bool = True) -> JobFacts | None:
        """Take the job that goes next among those that `judge` lets go now; None for none.

        Without `bulk` only transactional mail is looked at. Jobs that `judge` calls OUT are
        removed on the way.
        """
        order = [(key, each) for key, each in self._classes.items() if each.size]
        if not bulk:
            order = [(key, each) for key, each in order if key[0] != LaneClass.BULK]
        if self._since_bulk >= BULK_TURN - 1:
            order.sort(key=lambda entry: entry[0][0] != LaneClass.BULK)
        for (lane, _), each in order:
            before = each.size
            found = each.pick(judge)
            self._counts[lane] -= before - each.size
            if found is not None:
                self._since_bulk = 0 if lane == LaneClass.BULK else self._since_bulk + 1
                return found
        return None

    def remove(self, wanted: Callable[[JobFacts], bool]) -> list[JobFacts]:
        """Take out all jobs that `wanted` names, in no particular order."""
        every = list(self.jobs())
        taken = [job for job in every if wanted(job)]
        if taken:
            self._classes.clear()
            self._counts = [0] * len(LaneClass)
            for job in every:
                if not wanted(job):
                    self.push(job)
        return taken

    def jobs(self) -> Iterator[JobFacts]:
        """Go through all waiting jobs, the most urgent class first."""
        for each in self._classes.values():
            yield from each.jobs()
