"""What the engine is given and what it asks for: values, no decisions."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.job import JobFacts
from mailroom.domain.sending.path import PathKey, Site


class DeskKey(NamedTuple):
    """Mail of one pool for one site waits together."""

    pool: str
    site: str


class LineKey(NamedTuple):
    """Within it, mail that one connection can carry: for the same set of hosts or relay."""

    pool: str
    site: str
    group: str


class Stage(StrEnum):
    """What a connection does."""

    OPENING = "opening"
    IDLE = "idle"
    BUSY = "busy"
    SLOW = "slow"  # its final dot has waited so long that it no longer counts as hot
    CLOSED = "closed"


@dataclass(slots=True, eq=False)
class Connection:
    """One connection, as the engine counts it. Times are Unix seconds."""

    number: int
    path: PathKey
    line: LineKey
    site: Site
    stage: Stage = Stage.OPENING
    carried: int = 0
    since: float = 0.0  # of its stage
    opened_at: float = 0.0
    job: JobFacts | None = None

    @property
    def desk(self) -> DeskKey:
        """The desk of its line."""
        return DeskKey(self.line.pool, self.line.site)


@dataclass(frozen=True, slots=True)
class Grant:
    """A job that goes over a connection now."""

    connection: Connection
    job: JobFacts


class MoveKind(StrEnum):
    """How a job leaves the host without a transaction."""

    PARK = "park"  # it waits where a host with an open path finds it; no attempt is used
    LATER = "later"  # it is due again at `until`; no attempt is used
    EXPIRE = "expire"
    REFUSE = "refuse"  # `reply` stands for the transaction that there was no connection for
    BOUNCE = "bounce"  # by an order
    DROP = "drop"  # by an order
    HOLD = "hold"  # by an order


@dataclass(frozen=True, slots=True)
class Move:
    """A job that leaves, why, and until when (Unix seconds) if that is known."""

    job: JobFacts
    kind: MoveKind
    site: Site
    pool: str
    reason: str
    until: float | None = None
    reply: SmtpReply | None = None
    host: str = ""  # that said it
    address: str = ""  # of ours, that it was said to
    group: str = ""
    is_trouble: bool = False  # the path is closed, rather than busy or somebody else's


@dataclass(slots=True)
class Work:
    """What is to be done now. The next look is due at `at`, or when something happens."""

    grants: list[Grant] = field(default_factory=list)
    opens: list[Connection] = field(default_factory=list)
    closes: list[Connection] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Parked:
    """Mail that is parked together: of one pool, for the same hosts of a site."""

    pool: str
    site: Site
    group: str


@dataclass(frozen=True, slots=True)
class Appetite:
    """How much of it may come back now."""

    parked: Parked
    most: int


@dataclass(frozen=True, slots=True)
class Offer:
    """A job with what was looked up for it: its site and the hosts that take its mail."""

    job: JobFacts
    site: Site
    group: str
