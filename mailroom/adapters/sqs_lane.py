"""The Lane port on SQS, and how a wake-up is written."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mailroom.domain.message import DeliveryKey, ServerId, WakeUp
from mailroom.errors import HandOverError

_BATCH = 10  # SQS's own limit
MAX_DELAY = 900  # seconds, SQS's own limit


def dump_wake_up(wake_up: WakeUp) -> str:
    """Write a wake-up as the body of a queue message."""
    key = wake_up.key
    return json.dumps(
        {
            "v": 1,
            "s": key.server,
            "n": key.number,
            "i": key.index,
            "g": wake_up.generation,
            "to": wake_up.recipient,
            **({"t": wake_up.trace} if wake_up.trace else {}),
        },
        separators=(",", ":"),
        ensure_ascii=True,
    )


def load_wake_up(body: str) -> WakeUp:
    """Read what `dump_wake_up` wrote. Raises ValueError or KeyError for anything else."""
    stored = json.loads(body)
    key = DeliveryKey(ServerId(stored["s"]), int(stored["n"]), int(stored["i"]))
    return WakeUp(key, int(stored["g"]), stored["to"], str(stored.get("t", "")))


def batches(items: Iterable[Any], size: int = _BATCH) -> Iterator[list[Any]]:
    """Cut `items` into lists of at most `size`."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


class SqsLane:
    """Wake-ups in batches of ten. The tenant is the message group, for fair queues."""

    def __init__(self, sqs: Any, queue_url: str, *, trace: Callable[[], str] = str) -> None:
        """Take the queue's URL; `trace` gives the header under which its entries go on."""
        self._sqs = sqs
        self._url = queue_url
        self._trace = trace

    def send(self, wake_ups: Iterable[WakeUp], *, delay: float = 0.0) -> None:
        """See Lane.send. Raises HandOverError if any was not taken."""
        seconds = min(MAX_DELAY, max(0, round(delay)))
        trace = self._trace()
        for batch in batches(wake_ups):
            entries = [
                {
                    "Id": str(position),
                    "MessageBody": dump_wake_up(replace(wake_up, trace=wake_up.trace or trace)),
                    "DelaySeconds": seconds,
                }
                for position, wake_up in enumerate(batch)
            ]
            try:
                answer = self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries)
            except (ClientError, BotoCoreError) as error:
                raise HandOverError(str(error)) from error
            if answer.get("Failed"):
                raise HandOverError(f"{len(answer['Failed'])} wake-ups were refused")
