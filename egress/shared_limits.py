"""Limits over several addresses and hosts, asked at once and from memory.

Turns are booked in the background while somebody asks for a key; a key without a configured limit
is never asked for and costs nothing. One key costs a busy process one read and one write in five
seconds, or in two where several are busy.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence

from mailroom.domain.sending.slices import SharedKey, Slice
from mailroom.domain.sending.turns import Turns, Wish
from mailroom.usecases.slices import Booker, SlicePorts, book_turns, give_back, look

log = logging.getLogger(__name__)

_TICK = 0.05
_SWEEP_SECONDS = 2.0
_AT_ONCE = 8  # bookings under way
_MOST_KEYS = 10_000


class SharedLimits:
    """The turns of this process. Times are Unix seconds; one event loop only."""

    def __init__(
        self,
        ports: SlicePorts,
        *,
        holder: str,
        live: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        """Take the name of this run of the process, which no other run may ever have had.

        `live` returns how many processes send, as the last look at them showed.
        """
        self._ports = ports
        self._holder = holder
        self._live = live
        self._clock = clock
        self._turns: OrderedDict[SharedKey, Turns] = OrderedDict()
        # Keys are made once for many messages, and their hash costs more than all else here.
        self._quick: dict[int, tuple[SharedKey, Turns]] = {}
        self._stirred: set[SharedKey] = set()
        self._busy: set[SharedKey] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to book in the background. Needs a running event loop."""
        self._loop = asyncio.create_task(self._run(), name="shared-limits")

    def earliest(self, keys: Sequence[SharedKey], now: float) -> float:
        """Return when all of `keys` let a message go: `now`, or a later time to ask again.

        Asking is what makes turns be booked; nothing is used.
        """
        return max((self._of(key).earliest(now) for key in keys), default=now)

    def later(self, keys: Sequence[SharedKey], now: float) -> float:
        """Return when a message that cannot wait here should come again.

        Another one that asks is told a later time, as the rate of its slowest limit has it.
        """
        return max((self._of(key).later(now) for key in keys), default=now)

    def take(self, keys: Sequence[SharedKey], now: float) -> bool:
        """Use a turn of each of `keys`, or of none: False if one of them has none yet."""
        turns = [self._of(key) for key in keys]
        for each in turns:
            if each.earliest(now) > now:
                return False
        for each in turns:
            each.take(now)
        return True

    async def close(self) -> None:
        """Stop, and give back what will not be used. Trouble is only logged."""
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop
            self._loop = None
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        for key, turns in self._turns.items():
            await self._give_back(key, turns.give_up(self._clock()))
        self._turns.clear()
        self._quick.clear()

    def _of(self, key: SharedKey) -> Turns:
        found = self._quick.get(id(key))
        if found is not None and found[0] is key:
            return found[1]
        self._stirred.add(key)
        turns = self._turns.get(key)
        if turns is None:
            turns = self._turns[key] = Turns(key[0].rate)
            if len(self._turns) > _MOST_KEYS:
                self._turns.popitem(last=False)  # its turns are lost
        self._quick[id(key)] = (key, turns)
        return turns

    async def _run(self) -> None:
        swept = self._clock()
        while True:
            await asyncio.sleep(_TICK)
            now = self._clock()
            stirred, self._stirred = self._stirred, set()
            stirred.update(key for key, _ in self._quick.values())
            self._quick.clear()
            if now - swept >= _SWEEP_SECONDS:
                stirred, swept = set(self._turns), now
            for key in stirred - self._busy:
                self._look_after(key, now)

    def _look_after(self, key: SharedKey, now: float) -> None:
        turns = self._turns.get(key)
        if turns is None or len(self._tasks) >= _AT_ONCE:
            return
        wish = turns.wish(now)
        if wish is not None:
            self._begin(key, self._book(key, turns, wish))
        elif turns.leaves(now):
            self._begin(key, self._give_back(key, turns.give_up(now)))
        elif turns.is_idle(now):
            del self._turns[key]

    def _begin(self, key: SharedKey, work: Coroutine[None, None, None]) -> None:
        self._busy.add(key)
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._busy.discard(key))

    async def _book(self, key: SharedKey, turns: Turns, wish: Wish) -> None:
        now = self._clock()
        written = False
        try:
            seen = await asyncio.to_thread(look, key, self._ports)
            written = True
            by = Booker(self._holder, self._live())
            booked = await asyncio.to_thread(book_turns, key, seen, wish, by, now, self._ports)
        except Exception as error:  # noqa: BLE001  # without turns nothing goes: that is safe
            log.warning("no turns of %s: %s", key[0].scope, type(error).__name__)
            turns.failed(now, in_doubt=written)
            return
        if booked is not None:  # else another process was faster
            turns.booked(booked)
        self._stirred.add(key)

    async def _give_back(self, key: SharedKey, unused: Slice | None) -> None:
        try:
            await asyncio.to_thread(give_back, key, self._holder, unused, self._ports)
        except Exception as error:  # noqa: BLE001  # what is lost is less mail, never more
            log.warning("turns of %s are not given back: %s", key[0].scope, type(error).__name__)
