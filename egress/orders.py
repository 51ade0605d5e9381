"""The orders in force as one host knows them: asked for every two seconds, kept in memory."""

import asyncio
import logging
from collections.abc import Callable

from egress.polling import poll
from mailroom.domain.sending.order_book import OrderBook
from mailroom.ports.control import Control
from mailroom.usecases.orders import generation, read_orders

log = logging.getLogger(__name__)

EVERY = 2.0
WHOLE = 60.0  # seconds after which all are read again, whatever the generation says


class OrderDesk:
    """Keeps `book` up to date. Without an answer of the table the orders known stay in force."""

    def __init__(
        self,
        control: Control,
        *,
        now: Callable[[], float],
        changed: Callable[[OrderBook], object] = lambda _: None,
        looked: Callable[[OrderBook], object] = lambda _: None,
        every: float = EVERY,
    ) -> None:
        """Take the clock (Unix seconds).

        `changed` is called in the loop with each new book, `looked` after every look.
        """
        self._control = control
        self._now = now
        self._changed = changed
        self._looked = looked
        self._every = every
        self._generation = -1
        self._read_at = float("-inf")
        self.book = OrderBook()
        self.asked_at = float("-inf")  # when the table last answered

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until `stop` is set."""
        await poll(self.refresh, stop, every=self._every)

    async def refresh(self) -> None:
        """Ask once. Trouble with the table is logged, not raised."""
        try:
            await self._refresh()
        except Exception:
            log.exception("orders are not answered: those known stay in force")
            self._forget_expired()
        self._looked(self.book)

    async def _refresh(self) -> None:
        now = self._now()
        current = await asyncio.to_thread(generation, self._control)
        self.asked_at = now
        if current == self._generation and now - self._read_at < WHOLE:
            self._forget_expired()
            return
        # The generation was read first: a change in between is seen at the next poll.
        found = await asyncio.to_thread(lambda: read_orders(self._control, now=now))
        if found.unreadable:
            log.error("orders that this host cannot read", extra={"orders": found.unreadable})
        self._generation, self._read_at = current, now
        if list(found.orders) != list(self.book.orders):
            self._take(OrderBook(found.orders))

    def _forget_expired(self) -> None:
        now = self._now()
        left = [each for each in self.book.orders if each.expires_at > now]
        if len(left) != len(self.book.orders):
            self._take(OrderBook(left))

    def _take(self, book: OrderBook) -> None:
        self.book = book
        self._changed(book)
