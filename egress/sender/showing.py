"""What a host shows of itself: counters, waiting mail and paths, for operators and metrics."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from egress.core.engine.engine import Engine
from egress.core.engine.path_record import PathState, Transition
from egress.core.engine.paths import Path
from egress.core.engine.work import Grant, Stage
from egress.sender.exchange import Exchanged
from mailroom.domain.outcome import Verdict, classify_reply, judged
from mailroom.domain.sending.job import LaneClass
from mailroom.domain.sending.order_book import OrderBook, PathEffects
from mailroom.domain.sending.path import PathKey
from mailroom.domain.sending.view import ErrorView, HostView, PathView, TransitionView

WINDOW = 300.0  # seconds that a path's counts are of
_ERRORS, _TRANSITIONS = 10, 10
_MOST_TEXT = 300
_WORDS = {
    Verdict.SENT: "sent",
    Verdict.DEFERRED: "deferred",
    Verdict.BOUNCED: "bounced",
    Verdict.UNCERTAIN: "uncertain",
}


@dataclass(slots=True)
class _Story:
    """The last minutes of one path."""

    counts: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=5_000))
    errors: deque[ErrorView] = field(default_factory=lambda: deque(maxlen=_ERRORS))
    transitions: deque[Transition] = field(default_factory=lambda: deque(maxlen=_TRANSITIONS))


@dataclass(frozen=True, slots=True)
class Who:
    """The process that is shown, and what it uses now."""

    process: str
    started_at: float
    version: str
    leases: Callable[[], tuple[str, ...]]
    draining: Callable[[], bool]
    shaping: Callable[[], str]
    rules: Callable[[], str]
    book: Callable[[], OrderBook] = OrderBook


class Showcase:
    """Counts what happens, and makes the view of a moment."""

    def __init__(self, who: Who, *, now: Callable[[], float]) -> None:
        """Take the clock in Unix seconds."""
        self._who = who
        self._now = now
        self._stories: dict[PathKey, _Story] = defaultdict(_Story)
        self.counters: Counter[str] = Counter()
        self.parked: Counter[str] = Counter()

    def concluded(self, grant: Grant, exchanged: Exchanged) -> None:
        """Count the reply to a job."""
        self.answered(grant.connection.path, exchanged)

    def answered(self, path: PathKey, exchanged: Exchanged) -> None:
        """Count the reply to a job, or the one that there was no connection with."""
        word = _WORDS[judged(classify_reply(exchanged.reply), exchanged.judgement).verdict]
        story, now = self._stories[path], self._now()
        self.counters[word] += 1
        story.counts.append((now, word))
        if word != "sent":
            reply = exchanged.reply
            text, rule = reply.text[:_MOST_TEXT], exchanged.judgement.rule
            story.errors.appendleft(ErrorView(now, reply.code, text, str(reply.phase), rule))

    def view(self, engine: Engine) -> HostView:
        """Return what the host shows now."""
        now, who = self._now(), self._who
        waiting: Counter[str] = Counter()
        tenants: Counter[str] = Counter()
        lanes: Counter[str] = Counter({lane.name.lower(): 0 for lane in LaneClass})
        oldest: dict[tuple[str, str], float] = {}
        ready: Counter[tuple[str, str]] = Counter()
        for desk in engine.desks:
            place = (desk.key.pool, desk.key.site)
            for line in desk.lines.values():
                for job in line.queue.jobs():
                    waiting[desk.key.site] += 1
                    tenants[job.tenant] += 1
                    lanes[job.lane.name.lower()] += 1
                    ready[place] += 1
                    oldest[place] = min(oldest.get(place, now), job.accepted_at)
        paths = tuple(self._path(path, now, ready, oldest) for path in engine.paths.all())
        for key in self._stories.keys() - {path.key for path in engine.paths.all()}:
            del self._stories[key]
        busy = sum(each.stage in (Stage.BUSY, Stage.SLOW) for each in engine.connections)
        return HostView(
            process=who.process,
            at=now,
            version=who.version,
            started_at=who.started_at,
            draining=who.draining(),
            counters=dict(self.counters),
            lanes=dict(lanes),
            waiting=dict(waiting),
            tenants=dict(tenants),
            parked=dict(self.parked),
            in_flight=busy,
            leases=who.leases(),
            paths=paths,
            rules=who.rules(),
            shaping=who.shaping(),
        ).bounded()

    def _path(
        self,
        path: Path,
        now: float,
        ready: Counter[tuple[str, str]],
        oldest: dict[tuple[str, str], float],
    ) -> PathView:
        place = (path.source.pool, path.key.site)
        story = self._stories[path.key]
        story.transitions.extendleft(path.control.take_changes())
        while story.counts and story.counts[0][0] < now - WINDOW:
            story.counts.popleft()
        counts = Counter(word for _, word in story.counts)
        permit, record = path.control.permit(now), path.control.record
        rate = path.control.rate
        orders = self._who.book().path_orders(
            address=path.key.address,
            pool=path.source.pool,
            site=path.key.site,
            provider=path.site.provider,
            now=now,
        )
        stopped = _stopped(orders)
        return PathView(
            address=path.key.address,
            site=path.key.site,
            provider=path.site.provider,
            pool=path.source.pool,
            state=stopped or permit.state.value,
            cause=", ".join(orders.orders) if stopped else record.cause.rule,
            reply=record.cause.reply,
            until=orders.stopped_until if stopped else permit.until,
            window=float(permit.connections),
            connections=len(path.flight.open),
            rate=None if rate is None else rate / 60.0,
            ready=ready[place],
            parked=self.parked[path.key.site] > 0,
            binding="stopped by an order" if stopped else path.control.binding(now),
            orders=orders.orders,
            queue_age=max(0.0, now - oldest[place]) if place in oldest else 0.0,
            sent=counts["sent"],
            deferred=counts["deferred"] + counts["uncertain"],
            bounced=counts["bounced"],
            errors=tuple(story.errors),
            transitions=tuple(_shown(each) for each in story.transitions),
        )


def _stopped(orders: PathEffects) -> str:
    """Return what orders have made of a path that they stop, "" for one they let go on."""
    if orders.disabled_until is not None:
        return PathState.DISABLED.value
    if orders.suspended_until is not None:
        return PathState.SUSPENDED.value
    return "paused" if orders.paused_until is not None else ""


def _shown(transition: Transition) -> TransitionView:
    return TransitionView(
        transition.at,
        transition.before.value,
        transition.after.value,
        cause=str(transition.cause)[:_MOST_TEXT],
    )
