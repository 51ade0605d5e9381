"""Whether a waiting job may go on a path now, and what becomes of it if it never may from here."""

from collections.abc import Callable
from math import ceil

from egress.core.engine.bars import Bars
from egress.core.engine.desk import whose
from egress.core.engine.paths import Path
from egress.core.engine.ready import Fit, ReadyQueue
from egress.core.engine.work import Move, MoveKind
from egress.core.engine.world import World
from mailroom.domain.sending.job import JobFacts
from mailroom.domain.sending.path import Site

SHORT_WAIT = 2.0  # seconds that a job waits in place for a limit of its own


class Fitting:
    """Judges the jobs of one desk; `leaving` and `soonest` gather what it found on the way."""

    __slots__ = ("_bars", "_may_come", "_pool", "_site", "_world", "leaving", "soonest")

    def __init__(
        self,
        world: World,
        bars: Bars,
        site: Site,
        pool: str,
        may_come: Callable[[str, Site, float], bool] = lambda _address, _site, _now: False,
    ) -> None:
        """Take who says whether the address that greylisted mail must come from may send soon."""
        self._world = world
        self._bars = bars
        self._site = site
        self._pool = pool
        self._may_come = may_come
        self.leaving: list[Move] = []
        self.soonest = float("inf")

    def leaves(self, job: JobFacts, now: float) -> Move | None:
        """Return how a job leaves this host, whatever the path; None if it may stay."""
        if job.expires_at <= now:
            return self._move(job, MoveKind.EXPIRE, "it expired while it waited")
        ordered = self._world.ordered(job, self._site, now)
        if ordered is not None:
            kind, reason, until = ordered
            return self._move(job, kind, reason, until)
        bar = self._bars.of_job(job.sign_domain, job.tenant, job.campaign, whose(self._site), now)
        if bar is not None and bar.until > now + SHORT_WAIT:
            return self._move(job, MoveKind.LATER, bar.reason, bar.until)
        return None

    def judge(self, job: JobFacts, path: Path, queue: ReadyQueue, now: float) -> Fit:
        """Say what may become of a job at the head of its campaign."""
        move = self.leaves(job, now)
        if move is None:
            when = self._world.shared_earliest(job, self._site, now)
            if when > now + SHORT_WAIT:
                back = self._world.shared_later(job, self._site, now)
                move = self._move(job, MoveKind.LATER, "a limit of its own is reached", back)
            elif when > now:
                self.soonest = min(self.soonest, when)
                return Fit.LATER
        if move is not None:
            self.leaving.append(move)
            return Fit.OUT
        is_another = bool(job.sticky) and job.sticky != path.source.id
        if is_another and self._may_come(job.sticky, self._site, now):
            return Fit.LATER
        if queue.tenants > 1:
            most = ceil(path.settings.tenant_share * path.control.permit(now).connections)
            if path.flight.tenants[job.tenant] >= max(1, most):
                return Fit.TENANT_LATER
        return Fit.NOW

    def _move(self, job: JobFacts, kind: MoveKind, reason: str, until: float | None = None) -> Move:
        return Move(job, kind, self._site, self._pool, reason, until)
