"""READ FIRST: one attempt, start to finish.

    claim -> copy (render, sign; or what stops it) -> send -> journal the dot -> verdict -> record

Which connection it goes over has been decided before (`dispatch.py`); `send` stands for it.

Three writes decide everything: the claim (only its holder may send), the journal's dot (after it
the receiver may have the message) and the verdict. A crash between any two of them is answered
by `recovery.py`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Protocol

from egress.aws.deliveries import ClaimAsk
from egress.core.journal_log import ClaimRecord
from egress.faults import Faults
from egress.journal import Journal, JournalError
from egress.sender.copies import Copier, Copy, NotCommittedError, UnfitCopyError
from egress.sender.exchange import Exchanged, NoWayError
from egress.sender.faults import Moment
from egress.sender.holds import Held, Parked, Simulated, Suppressed
from egress.sender.persist import until_done, wake
from egress.sender.troubles import Troubles
from mailroom.domain.claim import claim_name
from mailroom.domain.event import Event, dump_event
from mailroom.domain.hold import HOLD_SECONDS, put_on_hold
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, DeliveryKey, WakeUp
from mailroom.domain.outcome import classify_reply
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.retry import RetryPolicy
from mailroom.domain.settlement import Seen, Settlement, expire, settle, suppress
from mailroom.domain.simulate import HOST as SANDBOX

CLAIM_SECONDS = 30 * 60.0
# The longest a transaction may take by RFC 5321's time-outs, with room to record it.
LAST_START = CLAIM_SECONDS - 20 * 60.0
_SHORTEST_HOLD = 60.0
_PARK_SPREAD = 900.0  # what waits for the same room must not come all at once

_DELIVERY_NAMES = tuple(each.name for each in fields(Delivery))
_delivery_values = attrgetter(*_DELIVERY_NAMES)  # asdict() copies each value by many calls

log = logging.getLogger(__name__)


class Book(Protocol):
    """The durable record, as an attempt needs it (egress.aws.deliveries fulfils it)."""

    def claim(self, ask: ClaimAsk) -> Awaitable[Delivery | None]:
        """Take the delivery, or None if it is not to be had."""

    def settle(self, claim: str, after: Delivery, event: Event) -> Awaitable[bool]:
        """Write the verdict; False if the claim is not ours any more."""

    def correct(self, claim: str, after: Delivery, event: Event) -> Awaitable[Delivery | None]:
        """Write down late what came of a claim that was given up for lost.

        None if it was not, or somebody has claimed the delivery since.
        """

    def get(self, key: DeliveryKey) -> Awaitable[Delivery | None]:
        """Return the delivery as it is now."""

    def release(
        self,
        claim: str,
        key: DeliveryKey,
        back_to: State,
        generation: int,
        due_at: float | None = None,
    ) -> Awaitable[bool]:
        """Give a claim back unsent; with `due_at` the due index has it from then on."""


class Send(Protocol):
    """The way a copy goes out: a connection that was chosen for it, or what stands for one."""

    def __call__(
        self,
        copy: Copy,
        recipient: str,
        *,
        before_dot: Callable[[], Awaitable[None]],
        after_dot: Callable[[], None],
    ) -> Awaitable[Exchanged]:
        """Offer `copy` to `recipient`. Raises NoWayError if it was offered to nobody."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything an attempt uses, plugged in once per process.

    `now` is Unix seconds, `monotonic` seconds of a clock that never jumps, `jitter` from -1 to
    1. `wake` queues a wake-up after a delay in seconds. A hold ends after `hold_seconds`.
    """

    book: Book
    journal: Journal
    copier: Copier
    wake: Callable[[WakeUp, float], Awaitable[bool]]
    settled: Callable[[str, Settlement], Awaitable[None]]
    policy: RetryPolicy
    faults: Faults
    now: Callable[[], float]
    monotonic: Callable[[], float]
    jitter: Callable[[], float]
    new_id: Callable[[], str]
    hold_seconds: float = HOLD_SECONDS
    troubles: Troubles = field(default_factory=Troubles)


async def claim(wake_up: WakeUp, desk: Desk) -> Delivery | None:
    """Take a delivery for this process, or None if it is finished, stale or somebody else's."""
    desk.faults.reach(Moment.BEFORE_CLAIM)
    id_, key = desk.new_id(), wake_up.key
    # Written first: if we die before the table answers, the restart asks the table.
    record = ClaimRecord(id_, key.server, key.number, key.index, wake_up.generation, 0)
    desk.journal.claim(record)
    try:
        delivery = await desk.book.claim(ClaimAsk(wake_up, id_, desk.now() + CLAIM_SECONDS))
    except Exception:
        log.exception("claim in doubt", extra={"delivery": str(key)})
        current = await until_done(lambda: desk.book.get(key))
        delivery = current if current and current.claim == id_ else None
    if delivery is None:
        desk.journal.settled(id_)
        return None
    desk.faults.reach(Moment.AFTER_CLAIM)
    return delivery


async def attempt(delivery: Delivery, desk: Desk, send: Send) -> None:
    """Carry out a claimed delivery by way of `send` and record what came of it.

    Never leaves a claim open, except by dying: trouble of our own before the dot gives it back,
    trouble after it is a lost reply. Raises JournalError when the claim is given back and no
    other may be begun.
    """
    started = desk.monotonic()
    dotted = asyncio.Event()
    try:
        exchanged = await _deliver(delivery, desk, send, started, dotted)
    except NotCommittedError:
        await give_back(delivery, desk, wake_after=None)
        return
    except NoWayError:
        await give_back(delivery, desk, wake_after=0.0)
        return
    except Exception as trouble:
        log.exception("attempt given up", extra={"delivery": str(delivery.key)})
        if not dotted.is_set() and not _is_chronic(trouble, delivery.key, desk):
            await give_back(delivery, desk, wake_after=30.0 / desk.policy.divisor)
            return
        phase = Phase.DOT if dotted.is_set() else Phase.MAIL
        exchanged = Exchanged(SmtpReply(0, f"trouble of our own: {trouble!r}", phase))
    desk.faults.reach(Moment.AFTER_REPLY)
    match exchanged:
        case Held():
            await hold(delivery, exchanged, desk)
        case Suppressed(reason):
            await _write(delivery, suppress(delivery, reason, now=desk.now()), desk)
        case Parked(until):
            await park(delivery, until, desk)
        case _:
            await record(delivery, exchanged, desk.monotonic() - started, desk)


def _is_chronic(trouble: Exception, key: DeliveryKey, desk: Desk) -> bool:
    """Say that a copy could not be made often enough: nothing will change within minutes."""
    return isinstance(trouble, UnfitCopyError) and desk.troubles.exhausted_by(key)


async def _deliver(
    delivery: Delivery, desk: Desk, send: Send, started: float, dotted: asyncio.Event
) -> Exchanged | Held | Suppressed | Parked:
    copy = await desk.copier.copy(delivery)
    match copy:
        case Held() | Suppressed() | Parked():
            return copy
        case Simulated(reply):
            return Exchanged(reply, SANDBOX)
        case SmtpReply():
            return Exchanged(copy)
    id_ = delivery.claim or ""

    def require_time() -> None:
        if desk.monotonic() - started > LAST_START:
            raise TimeoutError("the claim is too old to start a transaction with it")

    async def before_dot() -> None:
        desk.faults.reach(Moment.BEFORE_DOT)
        require_time()
        await desk.journal.dot(id_)
        dotted.set()

    require_time()
    return await send(
        copy,
        delivery.recipient,
        before_dot=before_dot,
        after_dot=lambda: desk.faults.reach(Moment.AFTER_DOT),
    )


async def record(delivery: Delivery, exchanged: Exchanged, seconds: float, desk: Desk) -> None:
    """Decide what the reply means and write it down: journal first, then the table."""
    settlement = settle(
        delivery,
        classify_reply(exchanged.reply),
        Seen(
            exchanged.mx,
            exchanged.tls,
            seconds,
            claim_name(delivery.claim or ""),
            exchanged.address,
            exchanged.site,
            exchanged.version,
            exchanged.cipher,
        ),
        now=desk.now(),
        policy=desk.policy,
        jitter=desk.jitter(),
        judgement=exchanged.judgement,
    )
    await _write(delivery, settlement, desk)


async def expire_claimed(delivery: Delivery, reason: str, desk: Desk) -> None:
    """Write down that a claimed delivery is too old; `reason` is why it was not sent before."""
    await _write(delivery, expire(delivery, now=desk.now(), reason=reason), desk)


async def hold(delivery: Delivery, held: Held, desk: Desk) -> None:
    """Write down that a claimed delivery waits for a person; no attempt is used.

    Nobody could let go what has lost its content, so the wait ends while there is still time to
    send it.
    """
    now, seconds = desk.now(), desk.hold_seconds
    if held.content_until is not None:
        lifetime = desk.policy.give_up_after / desk.policy.divisor
        seconds = max(_SHORTEST_HOLD, min(seconds, held.content_until - lifetime - now))
    await _write(delivery, put_on_hold(delivery, held.reason, now=now, seconds=seconds), desk)


async def park(delivery: Delivery, until: float, desk: Desk) -> None:
    """Give a claim back until there is room in a send limit; no attempt is used."""
    now = desk.now()
    due_at = round(max(until, now) + (desk.jitter() + 1) / 2 * _PARK_SPREAD, 3)
    await give_back(delivery, desk, wake_after=None, due_at=due_at)
    log.info("parked", extra={"delivery": str(delivery.key), "due_at": due_at})


async def _write(delivery: Delivery, settlement: Settlement, desk: Desk) -> None:
    id_ = delivery.claim or ""
    try:
        desk.journal.verdict(id_, dump_settlement(settlement))
    except JournalError:
        log.exception("verdict not in the journal", extra={"delivery": str(delivery.key)})
    await desk.settled(id_, settlement)
    desk.faults.reach(Moment.AFTER_VERDICT)
    log.info("attempt", extra=facts(settlement))


async def give_back(
    delivery: Delivery, desk: Desk, *, wake_after: float | None, due_at: float | None = None
) -> None:
    """Release a claim that nothing was sent under; no attempt is used.

    It is woken after `wake_after` seconds, or brought by the due index at `due_at`.
    """
    back_to = State.DEFERRED if delivery.attempts or delivery.stalls else State.QUEUED
    generation = delivery.generation + 1
    id_ = delivery.claim or ""
    released = await until_done(
        lambda: desk.book.release(id_, delivery.key, back_to, generation, due_at)
    )
    try:
        desk.journal.settled(id_)
    finally:  # a journal that is broken must not keep the delivery from other hosts
        if released and wake_after is not None:
            await wake(WakeUp.of(replace(delivery, generation=generation)), wake_after, desk.wake)


def dump_settlement(settlement: Settlement) -> dict[str, object]:
    """Return a settlement as JSON-ready values for the journal."""
    after = dict(zip(_DELIVERY_NAMES, _delivery_values(settlement.after), strict=True))
    after["key"] = str(settlement.after.key)
    return {"after": after, "event": dump_event(settlement.event)}


def facts(settlement: Settlement) -> dict[str, object]:
    """Return what the attempt's log line says: ids and reply, no address."""
    event = settlement.event
    seen = event.attempt
    return {
        "delivery": str(event.key),
        "outcome": str(event.type),
        **({"mx": seen.mx, "reply": seen.reply[:200], "phase": seen.phase} if seen else {}),
        **({"attempt": seen.attempt, "seconds": seen.seconds, "tls": seen.tls} if seen else {}),
    }
