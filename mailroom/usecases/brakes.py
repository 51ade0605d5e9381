"""Look after the brakes of servers: judge their rates, tell of changes, hear appeals, lift.

A change of state is written first and told after: to the sending path, then to webhooks, then to
the platform. A crash in between leaves it untold, and the next look goes on from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mailroom.domain.brake import (
    WINDOW_HOURS,
    Brake,
    BrakePolicy,
    BrakeState,
    Rates,
    appeal,
    brake_fact,
    decide,
    lift,
    rates_of,
)
from mailroom.domain.message import Mode, Server, ServerId
from mailroom.domain.statistic import HOUR, Slot, summed
from mailroom.errors import BrakeError, RevisionError
from mailroom.ports import Directory
from mailroom.ports.brakes import BrakeFlags, Brakes
from mailroom.ports.server_facts import ServerFacts
from mailroom.ports.statistics import Grain, Statistics, Watchlist

LOOK_BACK_SECONDS = 600.0  # over how much of the watchlist each look goes
_MINUTE = 60


@dataclass(frozen=True, slots=True)
class BrakePorts:
    """The world that brakes need."""

    statistics: Statistics
    watchlist: Watchlist
    brakes: Brakes
    flags: BrakeFlags
    facts: ServerFacts
    directory: Directory
    policy: BrakePolicy = field(default_factory=BrakePolicy)


@dataclass(frozen=True, slots=True)
class Alarm:
    """What the people who run the platform should hear, by a way that is not our own mail."""

    server: ServerId
    what: str  # "brake_warned", "brake_held", "brake_ok", "brake_appeal"
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a server stands: its brake, the rates of the window now, and what they may be."""

    brake: Brake
    rates: Rates
    policy: BrakePolicy


def servers_to_look_at(now: float, ports: BrakePorts, *, limit: int) -> Sequence[ServerId]:
    """Return up to `limit` servers: those in which a rate may have risen, and touched brakes.

    Over the limit every server has its turn: each minute begins with other ones.
    """
    found = set(ports.watchlist.noted(now - LOOK_BACK_SECONDS, now))
    found.update(ports.brakes.touched(limit=limit))
    order = sorted(found)
    if len(order) <= limit:
        return order
    first = int(now // _MINUTE) * limit % len(order)
    return (order[first:] + order[:first])[:limit]


def look_at(server: ServerId, now: float, ports: BrakePorts) -> Alarm | None:
    """Judge one server, and tell what has changed or was left untold.

    None when there is nothing new, or when somebody else changed the brake meanwhile.
    """
    before, version = ports.brakes.read(server)
    known = ports.directory.server(server)
    if known is None:  # deleted, and its brake with it
        ports.brakes.swap(server, Brake(), version)
        return None
    # What a sandbox meets with is made up.
    rates = Rates() if known.mode is Mode.SANDBOX else window_rates(server, now, ports.statistics)
    after = decide(before, rates, policy_of(known, ports.policy), now)
    if after != before:
        if not ports.brakes.swap(server, after, version):
            return None
        version += 1
    return None if after.told else _tell(server, after, version, ports)


def standing(server: ServerId, now: float, ports: BrakePorts) -> Standing:
    """Return how a server stands, without changing anything."""
    known = ports.directory.server(server)
    return Standing(
        ports.brakes.read(server)[0],
        window_rates(server, now, ports.statistics),
        ports.policy if known is None else policy_of(known, ports.policy),
    )


def appeal_brake(server: ServerId, text: str, now: float, ports: BrakePorts) -> Alarm:
    """Note what a tenant says against a brake, and return the alarm for the platform.

    Raises BrakeError if there is no brake, RevisionError if it changed meanwhile.
    """
    before, version = ports.brakes.read(server)
    try:
        after = appeal(before, text, now)
    except ValueError as error:
        raise BrakeError(str(error)) from error
    if not ports.brakes.swap(server, after, version):
        raise RevisionError("the brake has changed meanwhile")
    return Alarm(server, "brake_appeal", before.reason)


def lift_brake(
    server: ServerId, *, days: float, factor: float, reason: str, now: float, ports: BrakePorts
) -> Alarm | None:
    """Let a server send again, with limits `factor` times as high for `days`.

    What is held already waits for its release, as with a lifted suspension. Raises BrakeError for
    more than there may be, RevisionError if the brake changed meanwhile.
    """
    before, version = ports.brakes.read(server)
    try:
        after = lift(before, days=days, factor=factor, reason=reason, now=now)
    except ValueError as error:
        raise BrakeError(str(error)) from error
    if not ports.brakes.swap(server, after, version):
        raise RevisionError("the brake has changed meanwhile")
    return _tell(server, after, version + 1, ports)


def policy_of(server: Server, policy: BrakePolicy) -> BrakePolicy:
    """Return the platform's policy with the limits a server has of its own."""
    complaints, bounces = server.complaint_limit, server.bounce_limit
    return replace(
        policy,
        complaint_rate=policy.complaint_rate if complaints is None else complaints,
        bounce_rate=policy.bounce_rate if bounces is None else bounces,
    )


def window_rates(server: ServerId, now: float, statistics: Statistics) -> Rates:
    """Return the rates of the last 24 hours and the one under way."""
    hour = int(now // HOUR)
    rows = statistics.read(Slot(server), Grain.HOUR, hour - WINDOW_HOURS, hour)
    return rates_of(summed(rows.counts.values()))


def _tell(server: ServerId, brake: Brake, version: int, ports: BrakePorts) -> Alarm | None:
    """Tell everybody of a state. Each step may be repeated.

    When the brake has changed meanwhile, whoever changed it tells of the newer state; the flag
    that was just set may be older than theirs, so theirs is set again.
    """
    ports.flags.apply(server, _held(brake))
    ports.facts.tell(brake_fact(server, brake))
    if ports.brakes.swap(server, replace(brake, told=True), version):
        return Alarm(server, f"brake_{brake.state}", brake.reason)
    ports.flags.apply(server, _held(ports.brakes.read(server)[0]))
    return None


def _held(brake: Brake) -> str | None:
    return brake.reason if brake.state is BrakeState.HELD else None
