"""What a host shows of itself every few seconds: its work, its paths, and why they wait.

A view is made to be read by people through the API, so it is bounded: the paths that have trouble
or much mail come first, and only the first of them tell their history.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

MAX_PATHS = 200
MAX_STORIES = 50  # of the paths so many tell their errors and transitions
MAX_NAMED = 200  # sites and tenants
MAX_ERRORS = 10
MAX_TEXT = 300  # characters of a reply
NORMAL = "normal"

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ErrorView:
    """A reply that was no success, or why there was none. `at` is Unix seconds."""

    at: float
    code: int
    text: str
    phase: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class TransitionView:
    """A change of a path's state. `at` is Unix seconds."""

    at: float
    before: str
    after: str
    cause: str = ""


@dataclass(frozen=True, slots=True)
class PathView:
    """One path on one host.

    `state`, `cause` (a rule, an order, a trigger), `reply` (the sample that caused it) and `until`
    (Unix seconds, None: not known) say how it is; `binding` names the limiter that mail waits for
    now, "" for none. `window` is the number of connections it may have, `rate` its messages a
    second (None: without limit). `ready` counts waiting deliveries, `queue_age` is the age in
    seconds of the oldest. `sent`, `deferred` and `bounced` are of the last five minutes. Lists
    have the newest first.
    """

    address: str
    site: str
    provider: str = "other"
    pool: str = ""
    state: str = NORMAL
    cause: str = ""
    reply: str = ""
    until: float | None = None
    window: float = 0.0
    connections: int = 0
    rate: float | None = None
    ready: int = 0
    parked: bool = False
    binding: str = ""
    queue_age: float = 0.0
    sent: int = 0
    deferred: int = 0
    bounced: int = 0
    errors: tuple[ErrorView, ...] = ()
    transitions: tuple[TransitionView, ...] = ()
    orders: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How a path is named in commands and URLs: `address>site`, as PathKey spells it."""
        return f"{self.address}>{self.site}"


@dataclass(frozen=True, slots=True)
class HostView:
    """One host. `at` is when it was looked at (Unix seconds).

    `counters` only grow: what a host has done since `started_at`. `lanes`, `waiting` and `tenants`
    count waiting deliveries by class, by site and by server; `in_flight` those under way.
    `leases` are the source addresses it holds, `parked` counts mail put back to its queue by
    pool and site. `rules` and `shaping` are the versions in use.
    """

    process: str
    at: float
    version: str = ""
    started_at: float = 0.0
    draining: bool = False
    counters: Mapping[str, float] = field(default_factory=dict)
    lanes: Counts = field(default_factory=dict)
    waiting: Counts = field(default_factory=dict)
    tenants: Counts = field(default_factory=dict)
    parked: Counts = field(default_factory=dict)
    in_flight: int = 0
    leases: tuple[str, ...] = ()
    paths: tuple[PathView, ...] = ()
    rules: str = ""
    shaping: str = ""

    def bounded(self) -> Self:
        """Return the view with the most telling paths, sites and tenants only."""
        ranked = sorted(self.paths, key=_rank)[:MAX_PATHS]
        paths = [_short(path, has_story=place < MAX_STORIES) for place, path in enumerate(ranked)]
        return replace(
            self,
            paths=tuple(paths),
            waiting=_most(self.waiting),
            tenants=_most(self.tenants),
            parked=_most(self.parked),
        )


def dump_view(view: HostView) -> dict[str, Any]:
    """Return the JSON-ready form of a view, bounded."""
    return asdict(view.bounded())


def load_view(body: Mapping[str, Any]) -> HostView:
    """Return what `dump_view` wrote; fields of a later version are left out."""
    given = _known(HostView, body)
    given["paths"] = tuple(map(load_path, body.get("paths", ())))
    given["leases"] = tuple(body.get("leases", ()))
    return HostView(**given)


def load_path(body: Mapping[str, Any]) -> PathView:
    """Return one path of a dumped view."""
    given = _known(PathView, body)
    given["errors"] = tuple(ErrorView(**_known(ErrorView, each)) for each in body.get("errors", ()))
    given["transitions"] = tuple(
        TransitionView(**_known(TransitionView, each)) for each in body.get("transitions", ())
    )
    given["orders"] = tuple(body.get("orders", ()))
    return PathView(**given)


def _known(kind: type, body: Mapping[str, Any]) -> dict[str, Any]:
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in body.items() if name in names}


def _rank(path: PathView) -> tuple[bool, int, int, str]:
    return path.state == NORMAL, -path.ready, -path.sent, path.name


def _short(path: PathView, *, has_story: bool) -> PathView:
    errors = path.errors[:MAX_ERRORS] if has_story else ()
    return replace(
        path,
        reply=path.reply[:MAX_TEXT],
        cause=path.cause[:MAX_TEXT],
        errors=tuple(replace(each, text=each.text[:MAX_TEXT]) for each in errors),
        transitions=path.transitions[:MAX_ERRORS] if has_story else (),
        orders=path.orders[:MAX_ERRORS],
    )


def _most(counts: Counts) -> Counts:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return dict(ranked[:MAX_NAMED])
