"""Threads that run the synchronous app, each with an app of its own."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Any

from hostapi.ration import Ration
from hostapi.reply import Reply
from mailroom.adapters.chalice_http import Handler


class Desk:
    """Calls the app, and makes a reply of what it returns with `wrap`, in a thread as well.

    `make_handler` makes an app for each thread: Chalice keeps the current request in the app, so
    two threads of one app would read each other's. Requests with large bodies have threads of
    their own, few of them, so that small requests do not wait behind them; with those that read
    stored messages they share `ration`.
    """

    def __init__(
        self,
        make_handler: Callable[[], Handler],
        wrap: Callable[[Mapping[str, Any]], Reply],
        ration: Ration,
        *,
        threads: int,
        large_threads: int,
    ) -> None:
        self._make_handler = make_handler
        self._wrap = wrap
        self._ration = ration
        self._own = local()
        self._small = ThreadPoolExecutor(threads, "call")
        self._large = ThreadPoolExecutor(large_threads, "large")

    async def answer(self, event: Mapping[str, Any], *, large: bool) -> Reply:
        """Return the app's answer. Cancelling the caller does not stop the call."""
        pool = self._large if large else self._small
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(pool, self._call, event, large)

    def close(self) -> None:
        """Begin no more calls. Those under way go on."""
        for pool in (self._small, self._large):
            pool.shutdown(wait=False, cancel_futures=True)

    def _call(self, event: Mapping[str, Any], large: bool) -> Reply:  # noqa: FBT001 - for a thread
        if not hasattr(self._own, "handler"):
            self._own.handler = self._make_handler()
        try:
            if large:
                self._ration.take()
            return self._wrap(self._own.handler(event, None))
        finally:
            self._ration.end()
