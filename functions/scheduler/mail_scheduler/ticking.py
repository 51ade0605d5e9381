"""One tick: look after what is watched, wake what is due. Bounded, and every part by itself."""

import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

from mailroom.adapters.log_line import log_line
from mailroom.usecases.reconcile import HORIZON_SECONDS, ReconcilePorts, bring_due, look_after

LIMIT = 500  # of each kind and shard; what is over it is there at the next tick
_THREADS = 8  # a submission costs five calls, of which each waits some milliseconds
_KEYS_AT_A_TIME = 10
_MAX_TEXT = 1_000

Work = Callable[[], Counter[str]]
Task = Callable[[float], Counter[str]]


def read_now(event: Mapping[str, Any]) -> float:
    """Return the time a tick is for, in Unix seconds: `now` (a number) or `time` (ISO 8601).

    Raises ValueError if the event has neither.
    """
    try:
        if "now" in event:
            return float(event["now"])
        moment = datetime.fromisoformat(event["time"])
    except (KeyError, TypeError, ValueError):
        raise ValueError("a tick needs `time` (ISO 8601) or `now` (Unix seconds)") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def tick(
    event: Mapping[str, Any],
    ports: ReconcilePorts,
    *,
    limit: int = LIMIT,
    others: Sequence[Task] = (),
) -> dict[str, Any]:
    """Do what is due at the event's time and return the counts of what was done.

    `others` are looked after at each tick besides mail; each returns its own counts.
    """
    now = read_now(event)
    with log_line("tick", now=now) as line:
        horizon = ports.shortened(HORIZON_SECONDS, least=1.0)
        watched = ports.work.watched(now, limit)
        due = ports.work.due(now + horizon, limit)
        done, problem = _run(
            [
                *(partial(look_after, *row, now=now, ports=ports) for row in watched),
                *(partial(bring_due, keys, now=now, ports=ports) for keys in _tens(due)),
                *(partial(other, now) for other in others),
            ]
        )
        counts = {"watched": len(watched), "due": len(due), **done}
        line |= counts | ({"problem": problem} if problem else {})
    return counts


def _run(parts: Sequence[Work]) -> tuple[Counter[str], str]:
    """Do all parts; those that fail are counted, left as they were, and due again next time."""
    problems: list[str] = []

    def one(part: Work) -> Counter[str]:
        try:
            return part()
        except Exception:  # noqa: BLE001  # one bad row must not stop the others
            problems.append(traceback.format_exc(limit=-3)[-_MAX_TEXT:])
            return Counter(failed=1)

    done: Counter[str] = Counter()
    with ThreadPoolExecutor(_THREADS) as pool:
        for counts in pool.map(one, parts):
            done.update(counts)
    return done, problems[0] if problems else ""


def _tens(keys: Sequence[Any]) -> Sequence[Sequence[Any]]:
    return [keys[at : at + _KEYS_AT_A_TIME] for at in range(0, len(keys), _KEYS_AT_A_TIME)]
