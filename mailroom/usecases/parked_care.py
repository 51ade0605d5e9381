"""Parked mail grows old like any other, though no open path may ever fetch it.

Hosts fetch parked mail, oldest first, when a path is open for it. Until then nobody looks at it
but this: what expires, what is late, and claims of hosts that died holding some.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mailroom.domain.message import DeliveryKey
from mailroom.domain.tenancy.record import Record
from mailroom.ports.control import Control
from mailroom.usecases.reconcile import ReconcilePorts, end_parked

PARKED = "parked"  # the partition of the control table that names those of parked mail
WINDOW_SECONDS = 7_200.0  # how far behind a time that counts it is looked
MOST_PARTITIONS = 2_000
TICK_SECONDS = 60.0

# Deliveries of a shard of the due index between two times (Unix seconds), earliest first.
Between = Callable[[str, float, float, int], Sequence[DeliveryKey]]


@dataclass(frozen=True, slots=True)
class ParkedPorts:
    """The world of `look_after_parked`."""

    reconcile: ReconcilePorts
    control: Control
    between: Between


def look_after_parked(
    now: float, ports: ParkedPorts, *, partitions: int = 50, each: int = 100
) -> Counter[str]:
    """Look after some partitions, others at each tick; return what was done, counted.

    Of each it looks at up to `each` deliveries that are oldest, that have just become late, and
    that have just lived for a lifetime. A partition's rows are in the order of their acceptance.
    """
    found = ports.control.page(PARKED, limit=MOST_PARTITIONS).records
    done: Counter[str] = Counter()
    for record in _turn(found, int(now // TICK_SECONDS), partitions):
        for key in _keys(record.place.sort, now, ports, each):
            done += end_parked(key, _reason(record), now=now, ports=ports.reconcile)
    return done


def _turn(found: Sequence[Record], tick: int, most: int) -> Sequence[Record]:
    if len(found) <= most:
        return found
    start = tick * most % len(found)
    return [*found[start:], *found[:start]][:most]


def _keys(shard: str, now: float, ports: ParkedPorts, each: int) -> Iterator[DeliveryKey]:
    policy = ports.reconcile.retry
    ages = (
        policy.notice_after / policy.divisor,
        policy.lifetime(),
        policy.lifetime(bulk=True),
    )
    windows = [(0.0, now), *((now - age - WINDOW_SECONDS, now - age) for age in ages)]
    seen: set[DeliveryKey] = set()
    for since, until in windows:
        for key in ports.between(shard, max(0.0, since), until, each):
            if key not in seen:
                seen.add(key)
                yield key


def _reason(record: Record) -> str:
    """Say what the mail of a partition waits for; a host may have written why."""
    why = str(record.body.get("why", ""))
    site, pool = record.body.get("site", "its site"), record.body.get("pool", "its pool")
    return why or f"no path from the pool {pool} to {site} was open"
