"""Writes down how a job leaves the host without a transaction."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from egress.aws.parked import park_shard
from egress.core.engine.work import Move, MoveKind, Parked
from egress.sender.attempt import Desk, claim, expire_claimed, hold, record
from egress.sender.exchange import Exchanged
from egress.sender.holds import Held
from egress.sender.intake import Ticket
from mailroom.domain.event import Event
from mailroom.domain.hold import Hold
from mailroom.domain.message import DeliveryKey, WakeUp
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.job import JobFacts
from mailroom.domain.sending.judgement import Category, Judgement, Scope
from mailroom.domain.sending.path import PathKey
from mailroom.domain.sending.waiting import waits

log = logging.getLogger(__name__)

_ENDED = {
    MoveKind.BOUNCE: (550, "5.7.0", "bounced by an operator"),
    MoveKind.DROP: (550, "5.7.0", "dropped by an operator"),
}


class Places(Protocol):
    """Where mail waits unclaimed (egress.aws.parked fulfils it)."""

    def park(
        self,
        key: DeliveryKey,
        generation: int,
        shard: str,
        at: float,
        event: Event | None = None,
    ) -> Awaitable[bool]:
        """Put a delivery into a partition."""

    def put_off(self, key: DeliveryKey, generation: int, until: float) -> Awaitable[bool]:
        """Have it brought at `until`."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """Ends the wait of jobs on this host.

    `announce` says that a partition has mail, `answered` hears of refusals that stand for a
    transaction.
    """

    desk: Desk
    places: Places
    announce: Callable[[Parked, str], Awaitable[None]]
    judge: Callable[[SmtpReply, str], Judgement]
    answered: Callable[[PathKey, Exchanged], None] = lambda _path, _exchanged: None
    spread: float = field(default=30.0)  # seconds: what waits for the same must not come at once

    async def __call__(self, move: Move, ticket: Ticket) -> None:
        """Do what `move` says. If it fails the queue's entry is kept, and comes again."""
        match move.kind:
            case MoveKind.PARK:
                await self._park(move, is_new=ticket.intake is not None)
            case MoveKind.LATER:
                await self._put_off(move)
            case _:
                await self._settle(move)
        await ticket.acknowledge()

    async def _park(self, move: Move, *, is_new: bool) -> None:
        job, parked = move.job, Parked(move.pool, move.site, move.group)
        shard = park_shard(parked.pool, parked.site.key, parked.group)
        await self.announce(parked, shard)
        # Mail that came from a queue hears why it waits; what comes back to the lot has heard.
        event = None
        if move.is_trouble and is_new:
            event = waits(job, move.reason, move.site.key, self.desk.now())
        at = job.accepted_at
        if await self.places.park(job.key, job.generation, shard, at, event):
            log.info("parked", extra={**_about(job), "site": move.site.key, "why": move.reason})

    async def _put_off(self, move: Move) -> None:
        job = move.job
        jitter = (self.desk.jitter() + 1) / 2 * self.spread / self.desk.policy.divisor
        # A bar may hold for ever; the delivery does not live so long.
        until = min(max(move.until or 0.0, self.desk.now()) + jitter, job.expires_at)
        if await self.places.put_off(job.key, job.generation, until):
            log.info("put off", extra={**_about(job), "until": until, "why": move.reason})

    async def _settle(self, move: Move) -> None:
        job = move.job
        wake_up = WakeUp(job.key, job.generation, job.recipient)
        delivery = await claim(wake_up, self.desk)
        if delivery is None:
            return
        match move.kind:
            case MoveKind.EXPIRE:
                await expire_claimed(delivery, move.reason, self.desk)
            case MoveKind.HOLD:
                await hold(delivery, Held(Hold.ORDER), self.desk)
            case MoveKind.REFUSE if move.reply is not None:
                judgement = self.judge(move.reply, move.site.provider)
                exchanged = Exchanged(
                    move.reply,
                    move.host,
                    judgement=judgement,
                    address=move.address,
                    site=move.site.key,
                )
                self.answered(PathKey(move.address, move.site.key), exchanged)
                await record(delivery, exchanged, 0.0, self.desk)
            case kind:
                code, status, text = _ENDED[kind]
                reply = SmtpReply(code, f"{status} {text}: {move.reason}", Phase.MAIL)
                judgement = Judgement(Scope.MESSAGE, Category.POLICY_RELATED, permanent=True)
                await record(delivery, Exchanged(reply, judgement=judgement), 0.0, self.desk)


def _about(job: JobFacts) -> dict[str, Any]:
    return {"delivery": str(job.key)}
