"""The Lane port on SQS, and how a wake-up is written."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mailroom.domain.message import DeliveryKey, ServerId, WakeUp
from mailroom.errors import HandOverError
from mailroom.settings import Settings

BATCH = 10  # SQS's own limit
MAX_DELAY = 900  # seconds, SQS's own limit

Entry = dict[str, Any]


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
            **({"b": 1} if wake_up.bulk else {}),
            **({"y": wake_up.sticky} if wake_up.sticky else {}),
        },
        separators=(",", ":"),
        ensure_ascii=True,
    )


def load_wake_up(body: str) -> WakeUp:
    """Read what `dump_wake_up` wrote. Raises ValueError or KeyError for anything else."""
    stored = json.loads(body)
    key = DeliveryKey(ServerId(stored["s"]), int(stored["n"]), int(stored["i"]))
    return WakeUp(
        key,
        int(stored["g"]),
        stored["to"],
        str(stored.get("t", "")),
        bulk=bool(stored.get("b")),
        sticky=str(stored.get("y", "")),
    )


def batches(items: Iterable[Any], size: int = BATCH) -> Iterator[list[Any]]:
    """Cut `items` into lists of at most `size`."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


class SqsLane:
    """Wake-ups in batches of ten."""

    def __init__(self, sqs: Any, queue_url: str, *, trace: Callable[[], str] = str) -> None:
        """Take the queue's URL; `trace` gives the header under which its entries go on."""
        self._sqs = sqs
        self._url = queue_url
        self._trace = trace

    def send(self, wake_ups: Iterable[WakeUp], *, delay: float = 0.0) -> None:
        """See Lane.send. Raises HandOverError if any was not taken."""
        seconds = min(MAX_DELAY, max(0, round(delay)))
        trace = self._trace()
        entries = (
            {
                "MessageBody": dump_wake_up(replace(wake_up, trace=wake_up.trace or trace)),
                "DelaySeconds": seconds,
            }
            for wake_up in wake_ups
        )
        for batch in batches(entries):
            if not all(self._hand_over(batch)):
                raise HandOverError("a wake-up was refused")

    def _hand_over(self, entries: Sequence[Entry]) -> Sequence[bool]:
        """Make one call; say of each entry whether the queue took it."""
        numbered = [{"Id": str(position), **entry} for position, entry in enumerate(entries)]
        try:
            answer = self._sqs.send_message_batch(QueueUrl=self._url, Entries=numbered)
        except (ClientError, BotoCoreError) as error:
            raise HandOverError(str(error)) from error
        failed = {entry["Id"] for entry in answer.get("Failed", [])}
        return [entry["Id"] not in failed for entry in numbered]


class TwoLanes:
    """The Lane port over a queue for transactional mail and one for bulk."""

    def __init__(self, transactional: SqsLane, bulk: SqsLane) -> None:
        self._transactional = transactional
        self._bulk = bulk

    def send(self, wake_ups: Iterable[WakeUp], *, delay: float = 0.0) -> None:
        """See Lane.send. Raises HandOverError if any was not taken."""
        given = list(wake_ups)
        for lane, bulk in ((self._transactional, False), (self._bulk, True)):
            mine = [each for each in given if each.bulk is bulk]
            if mine:
                lane.send(mine, delay=delay)


def both_lanes(
    settings: Settings,
    sqs: Any,
    *,
    kind: type[SqsLane] = SqsLane,
    trace: Callable[[], str] = str,
) -> TwoLanes:
    """Return the lane of a process that was given both queues. Raises SettingsError."""
    return TwoLanes(
        *(kind(sqs, settings.resource("queue", name), trace=trace) for name in ("lane", "bulk"))
    )
