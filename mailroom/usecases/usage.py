"""What a server uses: its limits, what waits, and how its mail is received."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mailroom.domain.brake import Rates
from mailroom.domain.message import Server
from mailroom.domain.send_limit import LimitAction, Period, times, used_now, zone_of
from mailroom.domain.statistic import DAY, HOUR, Counts, Slot, summed
from mailroom.ports import SendLimits
from mailroom.ports.statistics import Grain, Statistics
from mailroom.usecases.brakes import window_rates

_WAITING_DAYS = 9  # a hold of seven days and a lifetime of two
_ENDED = ("sent", "bounced", "expired", "uncertain_final", "suppressed", "cancelled")


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of one limit is used: in the last 60 minutes, this day or this month.

    Day and month are those of the server's time zone; `resets_at` (Unix seconds) is their end,
    None for the rolling hour. `used` may be over what was sent by a slice of each sender.
    """

    period: Period
    limit: int
    used: int
    resets_at: float | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """About how many messages of a server wait to be sent, and how many for a person.

    Made from the counts of nine days, so what has waited longer is not in it.
    """

    queued: int
    held: int


@dataclass(frozen=True, slots=True)
class Usage:
    """All of it. `accepted` counts recipients in this hour, day and month of UTC."""

    limits: Sequence[LimitUse]
    action: LimitAction
    accepted: Mapping[Period, int]
    waiting: Waiting
    rates: Rates


@dataclass(frozen=True, slots=True)
class UsagePorts:
    """The world `usage` needs."""

    statistics: Statistics
    limits: SendLimits


def usage(server: Server, now: float, ports: UsagePorts) -> Usage:
    """Return what a server uses at `now` (Unix seconds): three queries and one read."""
    rates = window_rates(server.id, now, ports.statistics)
    hour, today = int(now // HOUR), int(now // DAY)
    first = today - datetime.fromtimestamp(now, UTC).day + 1
    days = ports.statistics.read(
        Slot(server.id), Grain.DAY, min(first, today - _WAITING_DAYS), today
    ).counts
    hours = ports.statistics.read(Slot(server.id), Grain.HOUR, hour, hour).counts
    return Usage(
        limits=_limits(server, now, ports.limits),
        action=server.send_limits.action,
        accepted={
            Period.HOUR: hours.get(hour, {}).get("accepted", 0),
            Period.DAY: days.get(today, {}).get("accepted", 0),
            Period.MONTH: sum(
                counts.get("accepted", 0) for day, counts in days.items() if day >= first
            ),
        },
        waiting=waiting_of(
            summed(counts for day, counts in days.items() if day > today - _WAITING_DAYS)
        ),
        rates=rates,
    )


def _limits(server: Server, now: float, limits: SendLimits) -> Sequence[LimitUse]:
    given = server.send_limits.by_period
    if not given:
        return []
    at = times(now, zone_of(server.time_zone))
    used = used_now(limits.usage(server.id), at)
    ends = {Period.DAY: at.day_ends, Period.MONTH: at.month_ends}
    return [LimitUse(each, limit, used[each], ends.get(each)) for each, limit in given.items()]


def waiting_of(counts: Counts) -> Waiting:
    """Return what the counts of some days leave waiting; never less than nothing."""

    def of(name: str) -> int:
        return counts.get(name, 0)

    held = max(0, of("held") - of("released") - of("cancelled"))
    queued = of("accepted") + of("retried") - sum(map(of, _ENDED)) - held
    return Waiting(queued=max(0, queued), held=held)
