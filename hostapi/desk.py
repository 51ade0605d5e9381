"""Threads that run the synchronous app, each with an app of its own."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import local
from typing import Any

from mailroom.adapters.chalice_http import Handler


class Desk:
    """Calls the app. `make_handler` makes one for each thread: Chalice keeps the current request
    in the app, so two threads of one app would read each other's.

    Requests with large bodies have threads of their own, few of them: each takes several times
    its body of memory, and small requests must not wait behind them.
    """

    def __init__(
        self, make_handler: Callable[[], Handler], *, threads: int, large_threads: int
    ) -> None:
        self._make_handler = make_handler
        self._own = local()
        self._small = ThreadPoolExecutor(threads, "call")
        self._large = ThreadPoolExecutor(large_threads, "large")

    async def answer(self, event: Mapping[str, Any], *, large: bool) -> dict[str, Any]:
        """Return the app's answer. Cancelling the caller does not stop the call."""
        pool = self._large if large else self._small
        return await asyncio.get_running_loop().run_in_executor(pool, self._call, event)

    def close(self) -> None:
        """Begin no more calls. Those under way go on."""
        for pool in (self._small, self._large):
            pool.shutdown(wait=False, cancel_futures=True)

    def _call(self, event: Mapping[str, Any]) -> dict[str, Any]:
        if not hasattr(self._own, "handler"):
            self._own.handler = self._make_handler()
        answer: dict[str, Any] = self._own.handler(event, None)
        return answer
