"""Send limits as one process sees them: a slice in memory, a new one when it is used up."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from mailroom.domain.message import Server, ServerId
from mailroom.domain.send_limit import Notice, Reservation, Slice
from mailroom.errors import LimitUnavailableError
from mailroom.ports import SendLimits

log = logging.getLogger(__name__)

MINUTE = 60.0
_MOST_SERVERS = 10_000
_TRIES = 3  # a reservation that outlasts its minute is worth nothing


class Limits(Protocol):
    """Whether a server may send one more message."""

    async def take(self, server: Server) -> bool:
        """Count one message; False if the server's limit is reached.

        Raises LimitUnavailableError if nobody knows.
        """


class NoLimits:
    """For processes without a limits table: they send for servers without a limit only."""

    async def take(self, server: Server) -> bool:
        """See Limits.take."""
        if server.send_limit is not None:
            raise LimitUnavailableError("this process has no table of send limits")
        return True


@dataclass(slots=True)
class _Share:
    """What this process may still send for one server. `minute` is when it was reserved."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    minute: int = -1
    slot: int = -1
    left: int = 0


class SharedLimits:
    """Limits over the table all senders share. Servers without a limit cost nothing."""

    def __init__(
        self,
        table: SendLimits,
        *,
        now: Callable[[], float],
        notify: Callable[[ServerId, str], None] = lambda _server, _name: None,
    ) -> None:
        """Take the clock in Unix seconds. `notify` is called in a thread with a counter's name."""
        self._table = table
        self._now = now
        self._notify = notify
        self._shares: OrderedDict[ServerId, _Share] = OrderedDict()

    async def take(self, server: Server) -> bool:
        """See Limits.take."""
        if server.send_limit is None:
            return True
        share = self._share(server.id)
        async with share.turn:
            for _ in range(_TRIES):
                if share.minute != self._minute():
                    await self._reserve(share, server.id, server.send_limit)
                elif share.left:
                    share.left -= 1
                    return True
                elif share.slot < 0:
                    return False  # refused, and only the next minute can free something
                else:
                    await self._reserve(share, server.id, server.send_limit)
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

    async def _reserve(self, share: _Share, server: ServerId, limit: int) -> None:
        """Get the next slice. Whatever happens, the one before it is never used again."""
        minute = self._minute()
        leftover = Slice(share.slot, share.left) if share.left else None
        share.minute, share.slot, share.left = -1, -1, 0
        try:
            reservation = await self._asked(server, limit, minute, leftover)
        except Exception as error:
            raise LimitUnavailableError(f"the send limit of {server} is unknown") from error
        share.minute = minute
        share.left = reservation.slice.size
        share.slot = reservation.slice.minute if share.left else -1

    async def _asked(
        self, server: ServerId, limit: int, minute: int, leftover: Slice | None
    ) -> Reservation:
        try:
            return await asyncio.to_thread(self._ask, server, limit, minute, leftover)
        except Exception:
            log.exception("send limit not answered", extra={"server": server})
        # Once more, for a connection that had died idle. What was left may be given back already.
        return await asyncio.to_thread(self._ask, server, limit, minute, None)

    def _ask(
        self, server: ServerId, limit: int, minute: int, leftover: Slice | None
    ) -> Reservation:
        reservation = self._table.reserve(server, limit, minute, leftover)
        if reservation.notice is not None:
            self._tell(server, limit, reservation)
        return reservation

    def _tell(self, server: ServerId, limit: int, reservation: Reservation) -> None:
        seen = {"server": server, "limit": limit, "volume": reservation.used}
        exceeded = reservation.notice is Notice.EXCEEDED
        log.warning("send limit %s", reservation.notice, extra=seen)
        try:
            self._notify(server, "limit_exceeded" if exceeded else "limit_approaching")
        except Exception:
            log.exception("send limit notice not counted", extra={"server": server})
