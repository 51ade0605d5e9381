"""Find what nobody works on any more, and put it back on the belt.

Queues, hosts and hand-overs may all fail; this is why none of it loses mail. Each function looks
after one thing and is safe to repeat.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mailroom.domain.claim import process_of
from mailroom.domain.event import EventType
from mailroom.domain.hold import end_hold
from mailroom.domain.lifecycle import CLAIMABLE, State
from mailroom.domain.message import Delivery, DeliveryKey, ServerId, WakeUp, drawn_at
from mailroom.domain.retry import RetryPolicy
from mailroom.domain.settlement import (
    Settlement,
    expire,
    give_notice,
    is_due_a_notice,
    lose_claim,
)
from mailroom.ports import DueWork, Lane, Ledger
from mailroom.usecases.accept import WATCH_SECONDS

LONGEST_WATCH = 3600.0
COMMIT_SECONDS = 3600.0  # how long a hand-in may take before its rows are garbage
LATE_SECONDS = 300.0  # a look this late proves nothing about a hand-in
GRACE_SECONDS = 600.0  # between two wake-ups of the same due delivery
HORIZON_SECONDS = 60.0  # how far ahead a tick looks: until the next one
CLAIM_LOOK_SECONDS = 60.0  # how often a claim in force is looked at
# A heartbeat this old is of a process that is gone. Clocks may differ by a minute, and a heartbeat
# be ten seconds old.
DEAD_SECONDS = 90.0
_MAX_DELAY = 900


@dataclass(frozen=True, slots=True)
class ReconcilePorts:
    """The world of the scheduler, plugged in once per process.

    `beat_of` returns when a process last gave a sign of life (Unix seconds), None for one that
    nothing is known of.
    """

    work: DueWork
    ledger: Ledger
    lane: Lane
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    beat_of: Callable[[str], float | None] = lambda _process: None

    def shortened(self, seconds: float, *, least: float) -> float:
        """Return `seconds` as this deployment counts them, at least `least`."""
        return max(least, seconds / self.retry.divisor)


def look_after(
    server: ServerId, number: int, was: float, *, now: float, ports: ReconcilePorts
) -> Counter[str]:
    """See that a watched submission is on its way; return what was done, counted.

    Its watch row goes only when every delivery is final or in the due index. Raises
    HandOverError, the row untouched, if the lane refuses.
    """
    submission = ports.ledger.submission(server, number)
    if submission is None:
        return _uncommitted(server, number, was, now, ports)
    done: Counter[str] = Counter()
    waiting = [
        delivery
        for delivery in ports.ledger.deliveries(server, number)
        if not _at_rest(delivery, now, ports, done)
    ]
    queued = [delivery for delivery in waiting if delivery.state is State.QUEUED]
    if queued:
        ports.lane.send(map(_wake_up, queued))
        done["woken"] += len(queued)
    if not waiting:
        ports.work.unwatch(server, number, was)
        return done + Counter(unwatched=1)
    again = _next_look(now, submission.accepted_at, ports)
    if any(delivery.state is State.ATTEMPTING for delivery in waiting):
        again = min(again, now + ports.shortened(CLAIM_LOOK_SECONDS, least=1.0))
    ports.work.rewatch(server, number, was, again)
    return done + Counter(rewatched=1)


def _at_rest(delivery: Delivery, now: float, ports: ReconcilePorts, done: Counter[str]) -> bool:
    """Say whether something else than the watch row will bring `delivery` forward."""
    match delivery.state:
        case State.QUEUED if delivery.expires_at <= now:
            return _settled(delivery, _expired(delivery, now, ports), ports, done, "expired")
        case State.ATTEMPTING if _claim_is_over(delivery, now, ports):
            lost = lose_claim(delivery, now=now, policy=ports.retry)
            return _settled(delivery, lost, ports, done, "lost_claims")
        case State.DEFERRED | State.SCHEDULED if delivery.due_at is None:
            return ports.work.postpone(delivery, now)
        case State.QUEUED:
            # Released, parked by a send limit, or its time has come: the due index has it.
            return delivery.due_at is not None
        case state:
            return state is not State.ATTEMPTING


def _uncommitted(
    server: ServerId, number: int, was: float, now: float, ports: ReconcilePorts
) -> Counter[str]:
    is_young = now - drawn_at(number) < ports.shortened(COMMIT_SECONDS, least=60.0)
    # A look that comes late says that everything here stood still, a laptop asleep for instance;
    # then a hand-in may be about to commit, however old it is.
    if is_young or now - was > ports.shortened(LATE_SECONDS, least=30.0):
        again = now + ports.shortened(60.0, least=2.0)
        ports.work.rewatch(server, number, was, again)
        return Counter(uncommitted=1)
    for delivery in ports.ledger.deliveries(server, number):
        ports.work.discard(delivery.key)
    ports.work.unwatch(server, number, was)
    return Counter(discarded=1)


def _next_look(now: float, accepted_at: float, ports: ReconcilePorts) -> float:
    """Look again after as long as the message is old: soon at first, then ever more rarely."""
    least = ports.shortened(WATCH_SECONDS, least=1.0)
    most = ports.shortened(LONGEST_WATCH, least=1.0)
    return now + min(most, max(least, now - accepted_at))


def bring_due(keys: Iterable[DeliveryKey], *, now: float, ports: ReconcilePorts) -> Counter[str]:
    """Wake egress for the deliveries whose time has come; return what was done, counted.

    Each due time moves on by a grace, so that the next tick does not wake them again unless
    nobody came. Raises HandOverError if the lane refuses; what is left stays due.
    """
    done: Counter[str] = Counter()
    ready: dict[int, list[Delivery]] = {}
    for key in keys:
        delivery = ports.ledger.delivery(key)
        if delivery is None or delivery.due_at is None:
            done["stale"] += 1  # the index lags behind the table
        elif delivery.expires_at <= now and delivery.state in CLAIMABLE:
            _settled(delivery, _expired(delivery, now, ports), ports, done, "expired")
        elif delivery.state is State.ATTEMPTING:
            _bring_claimed(delivery, now, ports, done)
        elif delivery.state is State.HELD:
            _bring_held(delivery, now, ports, done)
        elif delivery.state in CLAIMABLE:
            # Rounded up, or the wake-up would come before the time it is for.
            delay = math.ceil(max(0.0, delivery.due_at - now))
            waiting = _noticed(delivery, now, ports, done)
            ready.setdefault(min(_MAX_DELAY, delay), []).append(waiting)
        else:
            done["stale"] += 1
    for delay, deliveries in ready.items():
        _wake_due(deliveries, delay, now, ports)
        done["woken"] += len(deliveries)
    return done


def end_parked(key: DeliveryKey, reason: str, *, now: float, ports: ReconcilePorts) -> Counter[str]:
    """Look at a delivery that is parked, or was when its host claimed it; return what was done.

    One that is too old expires with `reason`, a claim whose owner is gone is given up, and one
    that has waited for hours is called late. It stays where it is parked.
    """
    done: Counter[str] = Counter()
    delivery = ports.ledger.delivery(key)
    if delivery is None:
        return done
    if delivery.state is State.ATTEMPTING:
        if _claim_is_over(delivery, now, ports):
            lost = lose_claim(delivery, now=now, policy=ports.retry)
            _settled(delivery, lost, ports, done, "lost_claims")
    elif delivery.state in CLAIMABLE and delivery.expires_at <= now:
        _settled(delivery, _expired(delivery, now, ports, reason), ports, done, "expired")
    elif delivery.state in CLAIMABLE and is_due_a_notice(delivery, now, ports.retry):
        _settled(delivery, give_notice(delivery, now=now, reason=reason), ports, done, "late")
    return done


def _wake_due(
    deliveries: Sequence[Delivery], delay: int, now: float, ports: ReconcilePorts
) -> None:
    ports.lane.send(map(_wake_up, deliveries), delay=delay)
    later = now + delay + ports.shortened(GRACE_SECONDS, least=5.0)
    for delivery in deliveries:
        ports.work.postpone(delivery, later)


def _bring_held(delivery: Delivery, now: float, ports: ReconcilePorts, done: Counter[str]) -> None:
    if delivery.due_at is not None and delivery.due_at <= now:
        _settled(delivery, end_hold(delivery, now=now), ports, done, "holds_ended")
    else:
        done["held"] += 1  # a tick looks ahead; a hold does not end before its time


def _bring_claimed(
    delivery: Delivery, now: float, ports: ReconcilePorts, done: Counter[str]
) -> None:
    if _claim_is_over(delivery, now, ports):
        lost = lose_claim(delivery, now=now, policy=ports.retry)
        _settled(delivery, lost, ports, done, "lost_claims")
    else:
        look = now + ports.shortened(CLAIM_LOOK_SECONDS, least=1.0)
        ports.work.postpone(delivery, min(look, (delivery.claim_until or now) + 1.0))
        done["claimed"] += 1


def _claim_is_over(delivery: Delivery, now: float, ports: ReconcilePorts) -> bool:
    """Say whether a claim's owner will not come back.

    That its process is gone says so early, but only for mail that is sent again on doubt: for
    other mail nothing is won by haste, and its host's journal may still know the truth.
    """
    if delivery.claim_until is None or delivery.claim_until <= now:
        return True
    resends = ports.retry.schedule(bulk=delivery.bulk).uncertain_resends
    if not delivery.claim or delivery.uncertain >= resends:
        return False
    process = process_of(delivery.claim)
    beat_at = ports.beat_of(process) if process else None
    return beat_at is not None and now - beat_at > DEAD_SECONDS


def _expired(delivery: Delivery, now: float, ports: ReconcilePorts, reason: str = "") -> Settlement:
    """Expire a delivery with what it waited for: `reason`, or what its history tells last."""
    told = [
        event.attempt.reply or event.attempt.details
        for event in ports.ledger.history(delivery.key)
        if event.type in _WAITS and event.attempt is not None
    ]
    last = told[-1] if told else ""
    why = f"{reason}; before that: {last}" if reason and last else reason or last
    return expire(delivery, now=now, reason=why)


_WAITS = frozenset({EventType.DEFERRED, EventType.DELAYED, EventType.UNCERTAIN})


def _noticed(delivery: Delivery, now: float, ports: ReconcilePorts, done: Counter[str]) -> Delivery:
    """Tell once of a delivery that has waited for hours unheard; attempts tell of themselves."""
    unheard = not delivery.attempts and not delivery.stalls
    if not (unheard and is_due_a_notice(delivery, now, ports.retry)):
        return delivery
    notice = give_notice(delivery, now=now)
    return notice.after if _settled(delivery, notice, ports, done, "late") else delivery


def _settled(
    before: Delivery,
    settlement: Settlement,
    ports: ReconcilePorts,
    done: Counter[str],
    what: str,
) -> bool:
    """Settle unless somebody was quicker; then look again another time."""
    settled = ports.work.settle(before, settlement.after, settlement.event)
    done[what if settled else "overtaken"] += 1
    return settled


def _wake_up(delivery: Delivery) -> WakeUp:
    return WakeUp.of(delivery)
