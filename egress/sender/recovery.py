"""What the last life of this process left undone, answered before the first new claim.

claimed, no dot      nothing was sent: give the claim back, wake it at once
dot, no verdict      the receiver may have it: uncertain, by policy
verdict, not settled write it now

The scheduler gives the claims of a process up that has been dead for a while. It cannot read the
journal, so what the journal knows corrects it, as long as nobody has claimed the delivery since.
Neither harms the other: each write names the claim, or the generation that the loss left.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields
from functools import partial
from typing import Protocol, TypeAlias

from egress.core.journal_log import ClaimRecord, Replay, Unrecorded
from egress.sender.attempt import Desk, give_back
from egress.sender.persist import wake
from mailroom.domain.event import load_event
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, DeliveryKey, ServerId, WakeUp
from mailroom.domain.settlement import Settlement, lose_claim, revive

log = logging.getLogger(__name__)

_AT_ONCE = 100  # deliveries; the table's calls carry many
_Step: TypeAlias = Callable[[], Awaitable[None]]


class Reader(Protocol):
    """Where deliveries are read (egress.aws.deliveries fulfils it)."""

    async def get(self, key: DeliveryKey) -> Delivery | None:
        """Return the delivery as it is now."""


async def recover(replay: Replay, desk: Desk, reader: Reader) -> None:
    """Settle every claim in `replay`. Raises what AWS raises: then nothing new is begun."""
    steps: dict[DeliveryKey, list[_Step]] = defaultdict(list)
    for record in replay.released:
        steps[_key(record)].append(partial(_released, record, desk, reader))
    for record in replay.uncertain:
        steps[_key(record)].append(partial(_uncertain, record, desk, reader))
    for unrecorded in replay.unrecorded:
        steps[_key(unrecorded.claim)].append(partial(_unrecorded, unrecorded, desk, reader))
    turn = asyncio.Semaphore(_AT_ONCE)
    await asyncio.gather(*(_in_order(each, turn) for each in steps.values()))
    log.info(
        "recovered",
        extra={
            "released": len(replay.released),
            "uncertain": len(replay.uncertain),
            "unrecorded": len(replay.unrecorded),
            "unreadable": replay.unreadable,
        },
    )


async def _in_order(steps: Sequence[_Step], turn: asyncio.Semaphore) -> None:
    """Answer the claims of one delivery: no call to the table may name it twice."""
    async with turn:
        for step in steps:
            await step()


async def _released(record: ClaimRecord, desk: Desk, reader: Reader) -> None:
    delivery = await reader.get(_key(record))
    if delivery is not None and delivery.claim == record.claim:
        await give_back(delivery, desk, wake_after=0.0)
        return
    if delivery is not None and delivery.generation == record.generation + 1:
        await _revive(record.claim, delivery, desk)
    desk.journal.settled(record.claim)


async def _revive(claim: str, delivery: Delivery, desk: Desk) -> None:
    settlement = revive(delivery, now=desk.now())
    revived = await desk.book.correct(claim, settlement.after, settlement.event)
    if revived is not None:
        await wake(WakeUp.of(revived), 0.0, desk.wake)


async def _uncertain(record: ClaimRecord, desk: Desk, reader: Reader) -> None:
    delivery = await _still_ours(record, reader)
    if delivery is None:
        desk.journal.settled(record.claim)
        return
    await desk.settled(record.claim, lose_claim(delivery, now=desk.now(), policy=desk.policy))


async def _unrecorded(unrecorded: Unrecorded, desk: Desk, reader: Reader) -> None:
    record = unrecorded.claim
    try:
        settlement = load_settlement(dict(unrecorded.verdict))
    except (KeyError, TypeError, ValueError):
        # Written by another version, say. Not knowing is no reason never to start again.
        log.exception("verdict unreadable", extra={"claim": record.claim})
        await _uncertain(record, desk, reader)
        return
    await desk.settled(record.claim, settlement)


async def _still_ours(record: ClaimRecord, reader: Reader) -> Delivery | None:
    delivery = await reader.get(_key(record))
    if delivery is None or delivery.claim != record.claim:
        return None
    return delivery


def _key(record: ClaimRecord) -> DeliveryKey:
    return DeliveryKey(ServerId(record.server), record.number, record.index)


def load_settlement(stored: dict[str, object]) -> Settlement:
    """Read what `attempt.dump_settlement` wrote; KeyError, TypeError or ValueError otherwise."""
    after = dict(stored["after"])  # type: ignore[call-overload]  # JSON: a mapping by construction
    after["key"] = DeliveryKey.parse(after["key"])
    after["state"] = State(after["state"])
    known = {each.name: after[each.name] for each in fields(Delivery) if each.name in after}
    return Settlement(Delivery(**known), load_event(stored["event"]))  # type: ignore[arg-type]  # the same
