"""The queue side of the hand-over: long polls, acknowledgements and wake-ups in tens."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from egress.aws.batching import Batcher
from mailroom.adapters.sqs_lane import MAX_DELAY, dump_wake_up, load_wake_up
from mailroom.domain.message import WakeUp

_BATCH = 10  # SQS's own limit
_LONG_POLL = 20  # seconds, SQS's own limit


@dataclass(frozen=True, slots=True)
class Received:
    """One queue entry. `receipt` acknowledges it; `wake_up` is None if it was unreadable."""

    receipt: str
    wake_up: WakeUp | None


class SenderLane:
    """One queue, as the sender uses it."""

    def __init__(self, sqs: Any, queue_url: str) -> None:
        """Take an aiobotocore SQS client."""
        self._sqs = sqs
        self._url = queue_url
        self._acks: Batcher[str, bool] = Batcher(self._delete, size=_BATCH)
        self._sends: Batcher[tuple[WakeUp, float], bool] = Batcher(self._send, size=_BATCH)
        self._returns: Batcher[str, bool] = Batcher(self._reveal, size=_BATCH)

    async def receive(self, most: int) -> Sequence[Received]:
        """Wait up to 20 seconds for at most `most` entries."""
        answer = await self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=max(1, min(_BATCH, most)),
            WaitTimeSeconds=_LONG_POLL,
        )
        return [_received(message) for message in answer.get("Messages", [])]

    async def acknowledge(self, receipt: str) -> bool:
        """Delete an entry; False if the queue would not (it comes again; a claim decides)."""
        return await self._acks.ask(receipt)

    async def give_back(self, receipt: str) -> bool:
        """Make an entry visible to others at once."""
        return await self._returns.ask(receipt)

    async def wake(self, wake_up: WakeUp, delay: float) -> bool:
        """Queue a wake-up after `delay` seconds. False: the due index will find the delivery."""
        if delay > MAX_DELAY:
            return False
        return await self._sends.ask((wake_up, max(0.0, delay)))

    async def drain(self) -> None:
        """Wait for the calls under way."""
        await asyncio.gather(self._acks.drain(), self._sends.drain(), self._returns.drain())

    async def _delete(self, receipts: Sequence[str]) -> Sequence[bool]:
        entries = [{"Id": str(n), "ReceiptHandle": r} for n, r in enumerate(receipts)]
        answer = await self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
        return _outcomes(len(receipts), answer)

    async def _send(self, asks: Sequence[tuple[WakeUp, float]]) -> Sequence[bool]:
        entries = [
            {
                "Id": str(n),
                "MessageBody": dump_wake_up(wake_up),
                # Rounded up: an early wake-up finds the delivery not yet due and is wasted.
                "DelaySeconds": min(MAX_DELAY, -int(-delay // 1)),
            }
            for n, (wake_up, delay) in enumerate(asks)
        ]
        answer = await self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries)
        return _outcomes(len(asks), answer)

    async def _reveal(self, receipts: Sequence[str]) -> Sequence[bool]:
        entries = [
            {"Id": str(n), "ReceiptHandle": r, "VisibilityTimeout": 0}
            for n, r in enumerate(receipts)
        ]
        answer = await self._sqs.change_message_visibility_batch(
            QueueUrl=self._url, Entries=entries
        )
        return _outcomes(len(receipts), answer)


def _outcomes(count: int, answer: dict[str, Any]) -> list[bool]:
    failed = {entry["Id"] for entry in answer.get("Failed", [])}
    return [str(n) not in failed for n in range(count)]


def _received(message: dict[str, Any]) -> Received:
    try:
        return Received(message["ReceiptHandle"], load_wake_up(message["Body"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return Received(message["ReceiptHandle"], None)
