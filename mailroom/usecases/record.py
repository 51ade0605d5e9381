"""Keep events as history, and count those that are new."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from mailroom.domain.event import Event
from mailroom.domain.message import ServerId
from mailroom.ports import Counters, Ledger

_HOUR = 3600


def record(event: Event, ledger: Ledger) -> bool:
    """Add `event` to its delivery's history; False if it was there already.

    The history's conditional put decides, so a queue that delivers twice never counts twice.
    """
    return ledger.record(event)


def count(events: Iterable[Event], counters: Counters) -> None:
    """Count `events`, all of them new: one update for each server and hour among them."""
    sums: dict[tuple[ServerId, int], Counter[str]] = defaultdict(Counter)
    for event in events:
        sums[event.key.server, int(event.at // _HOUR)][str(event.type)] += 1
    for (server, hour), counts in sums.items():
        counters.add(server, hour, dict(counts))
