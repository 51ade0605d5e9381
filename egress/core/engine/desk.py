"""One desk: the mail of one pool for one site, in lines by the hosts that take it."""

from collections import Counter, OrderedDict
from operator import attrgetter

from egress.core.engine.ready import ReadyQueue
from egress.core.engine.work import Connection, DeskKey, LineKey, Stage
from mailroom.domain.provider import OTHER
from mailroom.domain.sending.job import JobFacts, LaneClass
from mailroom.domain.sending.path import Site

_DEAD_MEMORY = 600.0  # seconds
_URGENT_SECONDS = 600.0  # connections are reserved so long after urgent mail was seen
_ON_HAND = (Stage.IDLE, Stage.OPENING)
_since = attrgetter("since")


def whose(site: Site) -> str:
    """Return who is barred at a site: its provider, or the site alone if it has none."""
    return site.key if site.provider == OTHER else site.provider


class Line:
    """Mail for the same set of hosts: what one connection can carry."""

    __slots__ = ("connections", "dead_until", "key", "queue", "strikes")

    def __init__(self, key: LineKey, queue: ReadyQueue) -> None:
        self.key = key
        self.queue = queue
        self.connections: dict[int, Connection] = {}
        self.strikes = 0
        self.dead_until = 0.0

    def dead(self, now: float, seconds: float, most: float) -> None:
        """Note that none of its hosts could be connected to: they are left alone, ever longer."""
        self.strikes += 1
        self.dead_until = now + min(most, seconds * self.strikes**2)

    def alive(self) -> None:
        """Note that its hosts speak to us."""
        self.strikes, self.dead_until = 0, 0.0

    def idle(self) -> list[Connection]:
        """Return the idle connections, the one used last first."""
        idle = [each for each in self.connections.values() if each.stage is Stage.IDLE]
        if len(idle) > 1:
            idle.sort(key=_since, reverse=True)
        return idle

    def on_hand(self) -> int:
        """Return how many connections wait for mail or are being opened."""
        return len([1 for each in self.connections.values() if each.stage in _ON_HAND])

    def need(self, *, bulk: bool) -> int:
        """How many connections its mail is worth: one each if urgent, one for three if not."""
        urgent = self.queue.waiting(LaneClass.TRANSACTIONAL)
        return urgent - (-self.queue.waiting(LaneClass.BULK) // 3) if bulk else urgent


class Desk:
    """The lines of one pool towards one site."""

    __slots__ = ("due", "key", "lines", "site", "stuck", "urgent_at")

    def __init__(self, key: DeskKey, site: Site) -> None:
        self.key = key
        self.site = site
        self.lines: OrderedDict[str, Line] = OrderedDict()
        self.urgent_at = -_URGENT_SECONDS
        self.due = float("inf")  # when it is looked at again, whatever happens
        self.stuck: str = ""  # why nothing moves, "" while it does

    @property
    def waiting(self) -> int:
        """How many jobs wait in all lines."""
        return sum(len(line.queue) for line in self.lines.values())

    @property
    def connections(self) -> int:
        """How many connections its lines have, whatever they do."""
        return sum(len(line.connections) for line in self.lines.values())

    def saw(self, job: JobFacts, now: float) -> None:
        """Note that mail came, so that places are kept for more of its kind."""
        if job.lane is LaneClass.TRANSACTIONAL:
            self.urgent_at = now

    def keeps_places(self, now: float) -> bool:
        """Say whether a quarter of the connections is kept for urgent mail."""
        return now - self.urgent_at < _URGENT_SECONDS

    def turns(self) -> list[Line]:
        """Return the lines with mail; each call begins with another one."""
        if len(self.lines) > 1:
            self.lines.move_to_end(next(iter(self.lines)))
        return [line for line in self.lines.values() if len(line.queue)]

    def tidy(self, now: float) -> float:
        """Forget lines without mail and connections; return when to tidy again.

        Of hosts that could not be connected to we know for a while how often.
        """
        again = float("inf")
        for name, line in list(self.lines.items()):
            if line.connections or line.queue:
                continue
            known_until = line.dead_until + _DEAD_MEMORY if line.strikes else now
            if known_until <= now:
                del self.lines[name]
            else:
                again = min(again, known_until)
        return again


class InFlight:
    """What is under way on one path, by tenant and lane."""

    __slots__ = ("begun", "bulk", "open", "tenants")

    def __init__(self) -> None:
        self.begun = 0
        self.open: dict[int, Connection] = {}
        self.tenants: Counter[str] = Counter()
        self.bulk = 0

    def began(self, job: JobFacts) -> None:
        """Count a job in."""
        self.begun += 1
        self.tenants[job.tenant] += 1
        self.bulk += job.lane is LaneClass.BULK

    def ended(self, job: JobFacts) -> None:
        """Count a job out."""
        self.tenants[job.tenant] -= 1
        if self.tenants[job.tenant] <= 0:
            del self.tenants[job.tenant]
        self.bulk -= job.lane is LaneClass.BULK
