"""Whether a host gives its addresses away: while it stops, and while an order says so."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

LOOK_SECONDS = 1.0


class Drainable(Protocol):
    """Who has the addresses (egress.leases fulfils it)."""

    @property
    def draining(self) -> bool:
        """Whether it gives them away."""

    def drain(self) -> None:
        """Begin to give everything away."""

    def resume(self) -> None:
        """Take part again."""


async def follow_drains(
    keeper: Drainable, ordered: Callable[[], bool], stop: asyncio.Event
) -> None:
    """Drain `keeper` while `ordered` and from `stop` on; ends when that is set.

    Other hosts need not wait for what this one still has under way elsewhere: each address goes
    as soon as it is idle.
    """
    while not stop.is_set():
        wanted = ordered()
        if wanted and not keeper.draining:
            keeper.drain()
        elif not wanted and keeper.draining:
            keeper.resume()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
    keeper.drain()
