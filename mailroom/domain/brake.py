"""Brakes: what becomes of a server whose mail bounces or is complained about too much.

A rate over its limit warns; one that stays there, or is far over it, holds the server's new mail.
A warning ends by itself when the rate has come down well below the limit; a hold ends only when
the platform lifts it, because a server that sends nothing has no rate.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from mailroom.domain.message import ServerId
from mailroom.domain.server_fact import ServerFact
from mailroom.domain.statistic import DAY, Counts

WINDOW_HOURS = 24  # before the hour under way, which counts too
MAX_LIFT_DAYS = 90
MAX_LIFT_FACTOR = 20.0
MAX_APPEAL = 2_000  # characters


class BrakeState(StrEnum):
    """How a brake stands. Values are stored; never rename them."""

    OK = "ok"
    WARNED = "warned"
    HELD = "held"


class Cause(StrEnum):
    """Which rate is over its limit. Values are stored; never rename them."""

    COMPLAINTS = "complaints"
    BOUNCES = "bounces"


@dataclass(frozen=True, slots=True)
class BrakePolicy:
    """The platform's limits: shares of mail, from 0 to 1, and what has to be there to judge.

    `least_volume` messages and `least_events` complaints or bounces in the window: one of three
    is no rate. A warning turns into a hold after `grace_seconds` over the limit, or at once over
    `hold_factor` times the limit; it ends below `calm` times the limit.
    """

    complaint_rate: float = 0.001
    bounce_rate: float = 0.05
    least_volume: int = 100
    least_events: int = 3
    grace_seconds: float = 3_600.0
    hold_factor: float = 2.0
    calm: float = 0.8


@dataclass(frozen=True, slots=True)
class Rates:
    """What a server's mail met with in the window.

    `volume` is how much was delivered or bounced: every message that got an answer for good.
    """

    delivered: int = 0
    volume: int = 0
    complained: int = 0
    bounced_hard: int = 0

    @property
    def complaint_rate(self) -> float:
        """Complaints for each delivered message."""
        return self.complained / self.delivered if self.delivered else 0.0

    @property
    def bounce_rate(self) -> float:
        """Bad addresses for each message that got an answer for good."""
        return self.bounced_hard / self.volume if self.volume else 0.0


@dataclass(frozen=True, slots=True)
class Excess:
    """One rate measured against its limit; `times` is how often the limit goes into it."""

    cause: Cause
    rate: float
    limit: float
    count: int
    volume: int

    @property
    def times(self) -> float:
        """How many times the limit the rate is."""
        return self.rate / self.limit if self.limit else 0.0


@dataclass(frozen=True, slots=True)
class Brake:
    """The brake of one server. Times are Unix seconds, `since` that of the last change of state.

    Until `lifted_until` the limits are `factor` times as high. `told` says that everybody knows
    of the state: the sending path, webhooks, the platform.
    """

    state: BrakeState = BrakeState.OK
    since: float = 0.0
    reason: str = ""
    cause: Cause | None = None
    rate: float = 0.0
    limit: float = 0.0
    volume: int = 0
    factor: float = 1.0
    lifted_until: float = 0.0
    appeal: str = ""
    appealed_at: float = 0.0
    told: bool = True

    @property
    def is_untouched(self) -> bool:
        """Whether there is nothing to remember: no state, no lift, nobody left to tell."""
        return self.state is BrakeState.OK and self.told and not self.lifted_until


def rates_of(counts: Counts) -> Rates:
    """Return the rates that a window's counters add up to."""
    delivered = counts.get("sent", 0)
    return Rates(
        delivered=delivered,
        volume=delivered + counts.get("bounced", 0),
        complained=counts.get("complained", 0),
        bounced_hard=counts.get("bounced_hard", 0),
    )


def decide(before: Brake, rates: Rates, policy: BrakePolicy, now: float) -> Brake:
    """Return the brake as it is from now on: the same one if nothing changes."""
    if before.state is BrakeState.HELD:
        return before
    factor = before.factor if now < before.lifted_until else 1.0
    worst = max(_excesses(rates, policy, factor), key=lambda excess: excess.times, default=None)
    times = worst.times if worst is not None else 0.0
    if before.state is BrakeState.OK:
        if worst is not None and times > 1:
            return _moved(before, BrakeState.WARNED, worst, now)
        return _expired(before, now)
    lasts = now - before.since >= policy.grace_seconds
    if worst is not None and (times > policy.hold_factor or (times > 1 and lasts)):
        return _moved(before, BrakeState.HELD, worst, now)
    if times < policy.calm:
        return _eased(before, now, "the rates are well below their limits again")
    return before


def appeal(before: Brake, text: str, now: float) -> Brake:
    """Return the brake with the tenant's word on it, the newest only.

    Raises ValueError if nothing is warned of or held.
    """
    if before.state is BrakeState.OK:
        raise ValueError("the server has no brake to appeal against")
    return replace(before, appeal=text[:MAX_APPEAL], appealed_at=round(now, 3))


def lift(before: Brake, *, days: float, factor: float, reason: str, now: float) -> Brake:
    """Return the brake lifted for `days`, in which the limits are `factor` times as high.

    One that holds nothing may be lifted in advance. Raises ValueError for more days or a higher
    factor than there may be.
    """
    if not 0 < days <= MAX_LIFT_DAYS or not 1 <= factor <= MAX_LIFT_FACTOR:
        raise ValueError(
            f"a brake is lifted for up to {MAX_LIFT_DAYS} days, "
            f"with limits 1 to {MAX_LIFT_FACTOR:g} times as high"
        )
    after = _eased(before, now, reason)
    return replace(after, lifted_until=round(now + days * DAY, 3), factor=factor)


def brake_fact(server: ServerId, brake: Brake) -> ServerFact:
    """Return the fact that webhooks hear of a state."""
    shown = {
        "state": str(brake.state),
        "reason": brake.reason,
        "cause": str(brake.cause) if brake.cause else None,
        "rate": brake.rate,
        "limit": brake.limit,
        "volume": brake.volume,
        "window_hours": WINDOW_HOURS,
        "lifted_until": brake.lifted_until or None,
    }
    return ServerFact(
        id=f"{server}/brake/{brake.state}",
        name=_NAMES[brake.state],
        server=server,
        at=brake.since,
        payload=shown,
    )


_NAMES = {
    BrakeState.OK: "ServerBrakeLifted",
    BrakeState.WARNED: "ServerBrakeWarned",
    BrakeState.HELD: "ServerBrakeHeld",
}
_WORDS = {
    Cause.COMPLAINTS: "complaints are {rate} of {volume:,} delivered messages",
    Cause.BOUNCES: "bad addresses are {rate} of {volume:,} messages",
}


def _excesses(rates: Rates, policy: BrakePolicy, factor: float) -> Iterator[Excess]:
    found = (
        Excess(
            Cause.COMPLAINTS,
            rates.complaint_rate,
            policy.complaint_rate * factor,
            rates.complained,
            rates.delivered,
        ),
        Excess(
            Cause.BOUNCES,
            rates.bounce_rate,
            policy.bounce_rate * factor,
            rates.bounced_hard,
            rates.volume,
        ),
    )
    for excess in found:
        if excess.volume >= policy.least_volume and excess.count >= policy.least_events:
            yield excess


def _moved(before: Brake, state: BrakeState, worst: Excess, now: float) -> Brake:
    said = _WORDS[worst.cause].format(rate=_percent(worst.rate), volume=worst.volume)
    return replace(
        before,
        state=state,
        since=round(now, 3),
        reason=f"{said} in {WINDOW_HOURS} hours; the limit is {_percent(worst.limit)}",
        cause=worst.cause,
        rate=round(worst.rate, 6),
        limit=round(worst.limit, 6),
        volume=worst.volume,
        told=False,
    )


def _eased(before: Brake, now: float, reason: str) -> Brake:
    """Return the brake without a state; a lift that still lasts goes on."""
    known = _expired(before, now)
    return Brake(
        since=round(now, 3),
        reason=reason,
        factor=known.factor,
        lifted_until=known.lifted_until,
        told=False,
    )


def _expired(before: Brake, now: float) -> Brake:
    if before.lifted_until and now >= before.lifted_until:
        return replace(before, lifted_until=0.0, factor=1.0)
    return before


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
