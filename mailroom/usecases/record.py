"""Keep events as history, and count those that are new."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from mailroom.domain.event import Event
from mailroom.domain.message import ServerId
from mailroom.domain.visit import is_person
from mailroom.ports import Counters, FirstView, FirstViews, Ledger

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Recorded:
    """A new event, and what it is the first of if it is an open or click."""

    event: Event
    first: FirstView


def record(event: Event, ledger: Ledger, views: FirstViews) -> Recorded | None:
    """Add `event` to its delivery's history; None if it was there already.

    The history's conditional put decides, so a queue that delivers twice never counts twice. The
    first views are asked before it: their answer is the same after a failure in between, while
    an event that is history already would never be asked about again.
    """
    first = views.first_view(event) if event.view is not None else FirstView()
    return Recorded(event, first) if ledger.record(event) else None


def count(recorded: Iterable[Recorded], counters: Counters) -> None:
    """Count new events: one update for each server and hour among them.

    A crash between `record` and this loses the counts of a batch; nothing counts twice.
    """
    sums: dict[tuple[ServerId, int], Counter[str]] = defaultdict(Counter)
    for each in recorded:
        hour = int(each.event.at // _HOUR)
        sums[each.event.key.server, hour].update(_names(each))
    for (server, hour), counts in sums.items():
        counters.add(server, hour, dict(counts))


def _names(recorded: Recorded) -> Iterable[str]:
    """Yield the counters a new event adds one to; an open or click up to four."""
    event, first = recorded.event, recorded.first
    yield str(event.type)
    if event.view is None:
        return
    if first.hit:
        yield f"{event.type}_unique"
    if is_person(event.view):
        yield f"{event.type}_human"
    if first.human:
        yield f"{event.type}_human_unique"
