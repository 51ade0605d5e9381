"""Hears which addresses come and go, and sees that the engine goes by it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from egress.core.engine.engine import Engine
from egress.sender.path_memory import PathMemory
from mailroom.domain.sending.source import SourceAddress

_AGAIN = 2.0
_LOOK = 1.0

log = logging.getLogger(__name__)


class Listener:
    """See egress.leases.LeaseListener. `plug` must be called before anything is heard."""

    def __init__(self, memory: PathMemory, *, again: float = _AGAIN, look: float = _LOOK) -> None:
        """Take the seconds until trouble is tried again, and between looks at what is leaving."""
        self._memory = memory
        self._again = again
        self._look = look
        self._engine: Engine | None = None
        self._kick: Callable[[], None] = lambda: None
        self._released: Callable[[str], None] = lambda _: None
        self._forget: Callable[[str], Awaitable[None]] | None = None
        self._now: Callable[[], float] = lambda: 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._ours: set[str] = set()
        self._leaving: set[str] = set()

    def plug(
        self,
        engine: Engine,
        *,
        kick: Callable[[], None],
        released: Callable[[str], None],
        forget: Callable[[str], Awaitable[None]],
        now: Callable[[], float],
    ) -> None:
        """Take what there is to tell."""
        self._engine, self._kick, self._released = engine, kick, released
        self._forget, self._now = forget, now

    def gained(self, source: SourceAddress) -> None:
        """See LeaseListener.gained. The address is used when its paths' states are known."""
        self._ours.add(source.id)
        self._leaving.discard(source.id)
        if self._engine is not None:
            self._engine.paths.renew(source)
        self._run(self._learn(source.id))

    def leaving(self, source: SourceAddress) -> None:
        """See LeaseListener.leaving."""
        self._leaving.add(source.id)
        self._run(self._wait_until_empty(source.id))

    def lost(self, source: SourceAddress) -> None:
        """See LeaseListener.lost. Sessions ask before their final dot whether they may."""
        self._ours.discard(source.id)
        self._leaving.discard(source.id)
        self._memory.forget(source.id)
        if self._engine is not None:
            self._engine.lost(source.id)
        self._kick()
        if self._forget is not None:
            self._run(self._given_up(source.id))

    async def _learn(self, address: str) -> None:
        while address in self._ours and address not in self._memory.known:
            try:
                await self._memory.load(address)
            except Exception:
                log.exception("states of paths cannot be read", extra={"address": address})
                await asyncio.sleep(self._again)
        if address not in self._ours:
            self._memory.forget(address)  # lost meanwhile: what was read is old when it comes back
            return
        if self._engine is not None:
            self._engine.reconsider(self._now())
        self._kick()

    async def _wait_until_empty(self, address: str) -> None:
        while address in self._leaving and self._engine is not None:
            if not any(each.path.address == address for each in self._engine.connections):
                await self._memory.keep(self._engine)
                if address not in self._leaving:
                    return  # it has come back, or is lost
                self._leaving.discard(address)
                self._ours.discard(address)
                self._memory.forget(address)
                self._engine.paths.forget(address)
                self._released(address)
                return
            await asyncio.sleep(self._look)

    async def _given_up(self, address: str) -> None:
        if self._forget is not None:
            await self._forget(address)
        if self._engine is not None:
            self._engine.paths.forget(address)

    def _run(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
