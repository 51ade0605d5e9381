"""Parked mail: which partitions have some, and how it comes back by credit.

A row of the control table names each partition. It is written anew while mail goes in, and deleted
when the partition has been empty for longer than that takes; whoever has an open path for it
fetches what the engine has an appetite for.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from egress.aws.parked import park_shard
from egress.core.engine.engine import Engine
from egress.core.engine.work import Appetite, Parked
from egress.sender.intake import Ticket
from mailroom.domain.message import Delivery, WakeUp
from mailroom.domain.sending.path import Site
from mailroom.domain.tenancy.record import Place, Record
from mailroom.ports.control import Control

PARTITION = "parked"
ANNOUNCE_SECONDS = 30.0
EMPTY_SECONDS = 180.0  # longer than anybody may believe in an announcement of before
_MOST = 2_000  # partitions looked at
_MOST_KNOWN = 10_000

log = logging.getLogger(__name__)


class Store(Protocol):
    """Where parked mail is read (egress.aws.parked fulfils it)."""

    def waiting(self, shard: str, most: int) -> Awaitable[Sequence[Delivery]]:
        """Return claimable deliveries of a partition."""


class ParkingLot:
    """One process's view of the parked mail of all."""

    def __init__(
        self,
        control: Control,
        store: Store,
        engine: Engine,
        *,
        now: Callable[[], float],
        bring: Callable[[Ticket], bool],
    ) -> None:
        """Take the clock (Unix seconds) and what brings a delivery before the engine."""
        self._control = control
        self._store = store
        self._engine = engine
        self._now = now
        self._bring = bring
        self._announced: OrderedDict[str, float] = OrderedDict()

    async def announce(self, parked: Parked, shard: str) -> None:
        """See that the partition is known before mail goes in. Raises what the table raises."""
        now = self._now()
        if now - self._announced.get(shard, -ANNOUNCE_SECONDS) < ANNOUNCE_SECONDS:
            return
        body: dict[str, Any] = {
            "pool": parked.pool,
            "site": parked.site.key,
            "provider": parked.site.provider,
            "group": parked.group,
            "at": now,
        }
        await asyncio.to_thread(self._control.put, Record(Place(PARTITION, shard), body))
        self._announced[shard] = now
        self._announced.move_to_end(shard)
        while len(self._announced) > _MOST_KNOWN:
            self._announced.popitem(last=False)

    async def run(self, every: float) -> None:
        """Look after parked mail until cancelled."""
        while True:
            await asyncio.sleep(every)
            try:
                await self.look()
            except Exception:
                log.exception("parked mail is not looked after")

    async def look(self) -> int:
        """Fetch what may come back now; return how many deliveries came."""
        page = await asyncio.to_thread(lambda: self._control.page(PARTITION, limit=_MOST))
        records = {}
        for record in page.records:
            if (parked := _parked(record)) is not None:
                records[parked] = record
        brought = 0
        for appetite in self._engine.appetites(records, self._now()):
            brought += await self._fetch(appetite, records[appetite.parked])
        return brought

    async def _fetch(self, appetite: Appetite, record: Record) -> int:
        parked = appetite.parked
        shard = park_shard(parked.pool, parked.site.key, parked.group)
        # Those in hand stand first, because their rows lose the shard only with the verdict.
        found = await self._store.waiting(shard, appetite.most + self._engine.busy(parked))
        if not found:
            await self._forget_if_old(record)
            return 0
        brought = 0
        for delivery in found:
            wake_up = WakeUp.of(delivery)
            brought += self._bring(Ticket(wake_up))
            if brought >= appetite.most:
                break
        return brought

    async def _forget_if_old(self, record: Record) -> None:
        if self._now() - float(record.body.get("at", 0.0)) > EMPTY_SECONDS:
            await asyncio.to_thread(self._control.delete, record.place, record.revision)


def _parked(record: Record) -> Parked | None:
    body = record.body
    try:
        site = Site(str(body["site"]), str(body.get("provider", "other")))
        return Parked(str(body["pool"]), site, str(body.get("group", "")))
    except KeyError:
        log.exception("unreadable partition", extra={"shard": record.place.sort})
        return None
