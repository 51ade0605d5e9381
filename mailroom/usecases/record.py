"""Keep events as history, and count those that are new."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mailroom.domain.event import Event
from mailroom.domain.message import METADATA_DAYS
from mailroom.domain.statistic import (
    HOURS_A_DAY,
    OPEN_ENDED,
    REST,
    Dimension,
    FirstView,
    Mailing,
    Recorded,
    Tally,
    counter_names,
    merged,
    tallies,
)
from mailroom.ports import Clock, FirstViews, Ledger
from mailroom.ports.statistics import Mailings, Statistics, Watchlist

_WATCHED = frozenset({"bounced_hard", "complained"})  # counters that brakes rest on


@dataclass(frozen=True, slots=True)
class RecordPorts:
    """The world that recording needs."""

    ledger: Ledger
    views: FirstViews
    mailings: Mailings
    statistics: Statistics
    watchlist: Watchlist
    clock: Clock


def record(event: Event, ports: RecordPorts, mailing: Mailing | None = None) -> Recorded | None:
    """Add `event` to its delivery's history; None if it was there already.

    The history's conditional put decides, so a queue that delivers twice never counts twice. The
    first views are asked before it: their answer is the same after a failure in between, while
    an event that is history already would never be asked about again.
    """
    first = ports.views.first_view(event) if event.view is not None else FirstView()
    days = mailing.days if mailing is not None else METADATA_DAYS
    if not ports.ledger.record(event, days=days):
        return None
    return Recorded(event, first, mailing)


def count(recorded: Iterable[Recorded], ports: RecordPorts) -> int:
    """Count new events in as few rows as they belong to, and return how many were written.

    A crash between `record` and this loses the counts of a batch; nothing counts twice: the
    addition is named after its events, and the store knows a repeated one.
    """
    new = list(recorded)
    if not new:
        return 0
    sums = merged(_admitted(tally, ports.statistics) for tally in tallies(new))
    written = ports.statistics.add(sums, _token(new))
    for server in {each.event.key.server for each in new if _is_watched(each)}:
        ports.watchlist.note(server, ports.clock.now())
    return written


def _is_watched(recorded: Recorded) -> bool:
    """Say whether brakes should look at the server because of an event. A simulated one is none."""
    if recorded.mailing is not None and recorded.mailing.test:
        return False
    return bool(_WATCHED.intersection(counter_names(recorded.event, recorded.first)))


def _admitted(tally: Tally, statistics: Statistics) -> Tally:
    """Count a value among the rest once its server has had as many as may have counts that day."""
    slot = tally.slot
    if slot.dimension not in OPEN_ENDED:
        return tally
    day = tally.hour // HOURS_A_DAY
    if statistics.admit(slot.server, Dimension(slot.dimension), day, slot.value):
        return tally
    return replace(tally, slot=replace(slot, value=REST))


def _token(new: Sequence[Recorded]) -> str:
    ids = "\n".join(sorted(each.event.id for each in new))
    return hashlib.sha256(ids.encode()).hexdigest()[:16]
