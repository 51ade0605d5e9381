"""Looking for changes every few seconds, until the process ends."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress


async def poll(look: Callable[[], Awaitable[object]], stop: asyncio.Event, *, every: float) -> None:
    """Look at once and then every so many seconds until `stop` is set, which ends a wait at once.

    Raises what `look` raises.
    """
    while not stop.is_set():
        await look()
        with suppress(TimeoutError):
            async with asyncio.timeout(every):
                await stop.wait()
