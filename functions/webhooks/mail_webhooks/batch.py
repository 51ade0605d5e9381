"""Queue batches in which one bad record never fails its neighbours."""

import json
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from mailroom.domain.server_fact import Fact, load_fact

T = TypeVar("T")
_MAX_TEXT = 1_000


@dataclass(slots=True)
class Batch(Generic[T]):
    """What came of a batch: results of the good records, ids of the others.

    A record that fails stays in the queue and ends in its dead-letter queue, where somebody can
    read it; nothing is dropped.
    """

    done: list[T] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    problem: str = ""

    @contextmanager
    def guard(self, *ids: str) -> Iterator[None]:
        """Keep an exception of the block as the failure of `ids`."""
        try:
            yield
        except Exception:  # noqa: BLE001  # the record boundary: logged, unsettled, redelivered
            self.failed += [id_ for id_ in ids if id_ not in self.failed]
            self.problem = self.problem or traceback.format_exc(limit=-3)[-_MAX_TEXT:]

    def report(self) -> dict[str, Any]:
        """Return the answer Lambda takes the failed records from."""
        return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in self.failed]}

    def facts(self) -> dict[str, object]:
        """Return what the log line should say of it."""
        facts: dict[str, object] = {
            "records": len(self.done) + len(self.failed),
            "failed": len(self.failed),
        }
        if self.problem:
            facts["problem"] = self.problem
        return facts


def run_batch(
    event: Mapping[str, Any], handle: Callable[[str], T], *, threads: int = 1
) -> Batch[T]:
    """Call `handle` with each record's body, `threads` at a time; results in order."""
    batch: Batch[T] = Batch()
    records = event["Records"]

    def one(record: Mapping[str, Any]) -> None:
        with batch.guard(record["messageId"]):
            batch.done.append(handle(record["body"]))

    if threads == 1:
        for record in records:
            one(record)
    else:
        with ThreadPoolExecutor(threads) as pool:
            _drain(pool.map(one, records))
    return batch


def read_fact(body: str) -> Fact:
    """Read a fact from a queue message: raw, or in the envelope of SNS.

    Raises ValueError, KeyError or TypeError for anything else.
    """
    stored = json.loads(body)
    if stored.get("Type") == "Notification":
        stored = json.loads(stored["Message"])
    return load_fact(stored)


def _drain(results: Iterable[None]) -> None:
    for _ in results:
        pass
