"""Going on trying: what the table must learn is not given up because it is down for a while."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mailroom.domain.message import WakeUp

log = logging.getLogger(__name__)

_FIRST_WAIT = 0.2
_LONGEST_WAIT = 10.0
T = TypeVar("T")


async def until_done(call: Callable[[], Awaitable[T]]) -> T:
    """Call until it answers, waiting longer between tries. Safe only for what may repeat."""
    wait = _FIRST_WAIT
    while True:
        try:
            return await call()
        except Exception:
            log.exception("the table does not answer yet")
        await asyncio.sleep(wait)
        wait = min(wait * 2, _LONGEST_WAIT)


async def wake(
    wake_up: WakeUp, delay: float, send: Callable[[WakeUp, float], Awaitable[bool]]
) -> None:
    """Queue a wake-up if the queue takes it; if not, the scheduler finds the delivery."""
    try:
        await send(wake_up, delay)
    except Exception:
        log.exception("wake-up not queued", extra={"delivery": str(wake_up.key)})
