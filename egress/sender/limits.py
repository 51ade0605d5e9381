"""Send limits as one process sees them: a slice in memory, a new one when it is used up."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from mailroom.domain.message import Server, ServerId
from mailroom.domain.send_limit import (
    LimitAction,
    Limits,
    Reservation,
    Slice,
    Times,
    Told,
    times,
    zone_of,
)
from mailroom.errors import LimitUnavailableError
from mailroom.ports import SendLimits

log = logging.getLogger(__name__)

MINUTE = 60.0
_MOST_SERVERS = 10_000
_TRIES = 3  # a reservation that outlasts its minute is worth nothing


@dataclass(frozen=True, slots=True)
class Full:
    """A limit is reached; there is room at `until` (Unix seconds)."""

    until: float


class Allowance(Protocol):
    """Whether a server may send one more message."""

    async def take(self, server: Server) -> Full | None:
        """Count one message; None if it may go out.

        Raises LimitUnavailableError if nobody knows.
        """


def is_counted(server: Server) -> bool:
    """Say whether what a server sends is counted when it goes out.

    A server that rejects what is over its limit is asked at acceptance, and not twice.
    """
    limits = server.send_limits
    return bool(limits.by_period) and limits.action is not LimitAction.REJECT


class NoLimits:
    """For processes without a limits table: they send for servers without a limit only."""

    async def take(self, server: Server) -> Full | None:
        """See Allowance.take."""
        if is_counted(server):
            raise LimitUnavailableError("this process has no table of send limits")
        return None


@dataclass(slots=True)
class _Share:
    """What this process may still send for one server. `minute` is when it was reserved."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    minute: int = -1
    slice: Slice | None = None  # None: refused
    left: int = 0
    full_until: float = 0.0


class ServerLimits:
    """Limits over the table all senders share. Servers without a limit cost nothing."""

    def __init__(
        self,
        table: SendLimits,
        *,
        now: Callable[[], float],
        notify: Callable[[ServerId, Told], object] = lambda _server, _told: None,
    ) -> None:
        """Take the clock in Unix seconds. `notify` is called in a thread when a notice is due."""
        self._table = table
        self._now = now
        self._notify = notify
        self._shares: OrderedDict[ServerId, _Share] = OrderedDict()

    async def take(self, server: Server) -> Full | None:
        """See Allowance.take."""
        if not is_counted(server):
            return None
        share = self._share(server.id)
        async with share.turn:
            for _ in range(_TRIES):
                if share.minute != self._minute():
                    await self._reserve(share, server)
                elif share.left:
                    share.left -= 1
                    return None
                elif share.slice is None:
                    # Only the next minute can free something.
                    return Full(share.full_until)
                else:
                    await self._reserve(share, server)
        raise LimitUnavailableError(f"the send limit of {server.id} cannot be asked in time")

    def _minute(self) -> int:
        return int(self._now() // MINUTE)

    def _share(self, server: ServerId) -> _Share:
        share = self._shares.setdefault(server, _Share())
        self._shares.move_to_end(server)
        if len(self._shares) > _MOST_SERVERS:
            # Its slice is lost for an hour. One that is being waited for must stay the only one.
            oldest = next((id_ for id_, each in self._shares.items() if not each.turn.locked()), "")
            self._shares.pop(ServerId(oldest), None)
        return share

    async def _reserve(self, share: _Share, server: Server) -> None:
        """Get the next slice. Whatever happens, the one before it is never used again."""
        at = times(self._now(), zone_of(server.time_zone))
        leftover = replace(share.slice, size=share.left) if share.slice and share.left else None
        share.minute, share.slice, share.left = -1, None, 0
        try:
            reservation = await self._asked(server, at, leftover)
        except Exception as error:
            raise LimitUnavailableError(f"the send limit of {server.id} is unknown") from error
        share.minute = at.minute
        share.left = reservation.slice.size
        share.slice = reservation.slice if share.left else None
        share.full_until = reservation.retry_at or 0.0

    async def _asked(self, server: Server, at: Times, leftover: Slice | None) -> Reservation:
        limits = server.send_limits
        try:
            return await asyncio.to_thread(self._ask, server.id, limits, at, leftover)
        except Exception:
            log.exception("send limit not answered", extra={"server": server.id})
        # Once more, for a connection that had died idle. What was left may be given back already.
        return await asyncio.to_thread(self._ask, server.id, limits, at, None)

    def _ask(
        self, server: ServerId, limits: Limits, at: Times, leftover: Slice | None
    ) -> Reservation:
        reservation = self._table.reserve(server, limits, at, leftover)
        for told in reservation.told:
            self._tell(server, told)
        return reservation

    def _tell(self, server: ServerId, told: Told) -> None:
        seen = {"server": server, "limit": told.limit, "volume": told.used, "period": told.period}
        log.warning("send limit %s", told.notice, extra=seen)
        try:
            self._notify(server, told)
        except Exception:
            log.exception("send limit notice not told", extra={"server": server})
