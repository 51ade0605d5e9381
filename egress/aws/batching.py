"""Many small requests, few calls: what asks while a call is under way goes with the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")


class Batcher(Generic[Ask, Answer]):
    """Collects asks and sends them in batches of at most `size`, at most `calls` at once.

    It never waits to fill a batch: an idle batcher sends at once, a busy one finds its next
    batch filled when the call under way returns, so batches grow with load only.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Ask]], Awaitable[Sequence[Answer]]],
        *,
        size: int,
        calls: int = 2,
    ) -> None:
        """Take `send`, which answers each ask in order."""
        self._send = send
        self._size = size
        self._waiting: list[tuple[Ask, asyncio.Future[Answer]]] = []
        self._slots = calls
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, ask: Ask) -> Answer:
        """Return the answer to `ask`. Raises what `send` raised for its batch."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, future))
        if len(self._tasks) < self._slots:
            task = asyncio.create_task(self._work(), name="batch")
            self._tasks.add(task)
        return await future

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _work(self) -> None:
        await asyncio.sleep(0)  # lets everything that is ready in this round of the loop ask too
        try:
            await self._send_all()
        finally:
            # Here and not in a callback: who asks between the two would wait for nobody.
            self._tasks.discard(asyncio.current_task())

    async def _send_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            try:
                answers = await self._answers([ask for ask, _ in batch])
            except Exception as error:  # noqa: BLE001 - handed to each asker, who decides
                answers = []
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            for (_, future), answer in zip(batch, answers, strict=False):
                if not future.done():
                    future.set_result(answer)

    async def _answers(self, asks: Sequence[Ask]) -> Sequence[Answer]:
        answers = await self._send(asks)
        if len(answers) != len(asks):  # no telling whose is missing, and nobody may wait for ever
            raise RuntimeError(f"{len(asks)} asks got {len(answers)} answers")
        return answers
