"""Which pools a message may go out through, from rules that are read at most once a minute."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from egress.sender.tenants import FRESH_SECONDS, Tenant
from mailroom.domain.message import ServerId, Submission
from mailroom.domain.sending.pool_choice import ChoiceFacts, PoolRuleSet, choose_pools
from mailroom.domain.sending.source import Fleet
from mailroom.ports.pool_rules import PoolRules

_MAX_KEPT = 10_000

log = logging.getLogger(__name__)


class KeptPools:
    """See briefing.Pools. While a set is being read again, the old one is used."""

    def __init__(
        self, rules: PoolRules, fleet: Callable[[], Fleet], *, clock: Callable[[], float]
    ) -> None:
        """Take a monotonic `clock` in seconds."""
        self._rules = rules
        self._fleet = fleet
        self._clock = clock
        self._kept: OrderedDict[ServerId, tuple[float, PoolRuleSet]] = OrderedDict()
        self._reading: dict[ServerId, asyncio.Task[PoolRuleSet]] = {}

    async def of(self, submission: Submission, tenant: Tenant, recipient: str) -> tuple[str, ...]:
        """See briefing.Pools.of."""
        fleet = self._fleet()
        mail = ChoiceFacts(
            organisation=tenant.server.organisation,
            from_address=submission.from_address,
            recipient=recipient,
            tags=tuple(filter(None, (submission.tag, *submission.tags))),
            credential=submission.credential,
            stream=submission.stream,
        )
        if not fleet.pools:  # nothing is configured that a rule could choose
            return choose_pools(mail, PoolRuleSet(), fleet)
        rules = await self._of(submission.server, tenant.server.organisation)
        return choose_pools(mail, rules, fleet)

    async def _of(self, server: ServerId, organisation: str) -> PoolRuleSet:
        kept = self._kept.get(server)
        if kept is not None and self._clock() - kept[0] < FRESH_SECONDS:
            return kept[1]
        reading = self._reading.get(server)
        if reading is None:
            reading = asyncio.create_task(self._read(server, organisation), name="pool-rules")
            self._reading[server] = reading
            reading.add_done_callback(partial(self._has_read, server))
        return kept[1] if kept is not None else await asyncio.shield(reading)

    def _has_read(self, server: ServerId, reading: asyncio.Task[PoolRuleSet]) -> None:
        self._reading.pop(server, None)
        if not reading.cancelled() and (trouble := reading.exception()) is not None:
            # Who waits is told as well; who goes on with the old rules would not be.
            log.error("pool rules are not read", exc_info=trouble, extra={"server": server})

    async def _read(self, server: ServerId, organisation: str) -> PoolRuleSet:
        found = await asyncio.to_thread(self._rules.of, server, organisation)
        self._kept[server] = (self._clock(), found)
        self._kept.move_to_end(server)
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        return found
