"""The whole local stack under load: accepted, delivered, what each process and each message costs.

Two stacks, one after the other: the first alone, for rates and CPU; the second with a counting
proxy before the AWS endpoint, for calls and write units, which the proxy does not change.
"""

import asyncio
import contextlib
import time
import zlib
from collections.abc import Mapping
from typing import Any

from bench.aws_calls import HISTORY, SEND_PATH
from bench.doors import AT_ONCE, DOORS, Door
from bench.machine import describe
from bench.processes import Usage
from bench.sample import message
from bench.stand import Stand, StandError, running_stand, wait_until

SEND_BUDGET = HISTORY_BUDGET = 6.0  # write units a message (docs/design.md section 7)
HOST = ("sender", "submission")  # what runs on an egress host
COUNTED = 200  # messages a door of the run that counts calls
_WARM_UP = 10
_WITHIN = 900.0
_QUIET = 6.0  # seconds without a write: longer than the watch rows wait, and the ticker


def measure(count: int = 0) -> dict[str, Any]:
    """Return messages a second, CPU by process, AWS calls and write units a message, by door."""
    count = count or 500
    with running_stand(counting=False) as stand:
        _warm_up(stand)
        rates = {door.name: _rates(stand, door, count) for door in DOORS}
    counted = min(count, COUNTED)
    with running_stand(counting=True) as stand:
        _warm_up(stand)
        costs = {door.name: _costs(stand, door, counted) for door in DOORS}
    return {
        **{name: {**rates[name], **costs[name]} for name in rates},
        "conditions": {
            "ledger": "embedded AWS emulator, in memory, on the same cores",
            "connections": f"{AT_ONCE} kept, one message under way on each",
            "message_octets": len(message()),
            "message_octets_compressed": len(zlib.compress(message(), 6)),
            "recipients_per_message": 1,
            "messages": f"{count} a door for rates and CPU, {counted} a door for calls and units",
            "processes": "one sender, one submission server, functions as the emulator starts them",
            "tls": "submission and delivery by STARTTLS, API without",
            "tracking": "10 links and a pixel rewritten in each message; one webhook a message",
            "sink": "the mailbox simulator, DKIM not verified on receipt",
            "load": "the client runs on the same cores and is not in the CPU figures",
        },
        "machine": describe(),
    }


def _warm_up(stand: Stand) -> None:
    """Let every process and function start and fill its caches."""
    for door in DOORS:
        _send(stand, door, range(_WARM_UP), connections=1)  # cold starts, one after the other
        _send(stand, door, range(_WARM_UP))


def _rates(stand: Stand, door: Door, count: int) -> dict[str, Any]:
    before = stand.usage()
    accepted, delivered = _send(stand, door, range(count))
    after = stand.usage()
    cpu = {name: (used.cpu - _of(before, name).cpu) / count * 1000 for name, used in after.items()}
    return {
        "accepted_per_second": round(count / accepted, 1),
        "delivered_per_second": round(count / delivered, 1),
        "cpu_seconds_per_1000": {name: round(spent, 2) for name, spent in sorted(cpu.items())},
        "cpu_seconds_per_1000_total": round(sum(cpu.values()), 2),
        "host_cpu_ms_per_message": round(sum(cpu.get(name, 0.0) for name in HOST), 2),
        "peak_rss_mb": {name: round(used.peak_mb, 1) for name, used in sorted(after.items())},
    }


def _costs(stand: Stand, door: Door, count: int) -> dict[str, Any]:
    _wait_for_quiet(stand)
    stand.reset()
    _send(stand, door, range(count))
    _wait_for_quiet(stand)
    counts = stand.counts()
    units = {kind: round(row["units"] / count, 3) for kind, row in counts["writes"].items()}
    calls = {name: round(calls / count, 3) for name, calls in counts["calls"].items()}
    send, history = _sum(units, SEND_PATH), _sum(units, HISTORY)
    return {
        "aws_calls_per_message": calls,
        "aws_calls_per_message_total": round(sum(calls.values()), 2),
        "write_units_per_message": units,
        "send_path_units": {"used": send, "budget": SEND_BUDGET, "within": send <= SEND_BUDGET},
        "history_units": {
            "used": history,
            "budget": HISTORY_BUDGET,
            "within": history <= HISTORY_BUDGET,
        },
    }


def _send(
    stand: Stand, door: Door, numbers: range, *, connections: int = AT_ONCE
) -> tuple[float, float]:
    """Send; return the seconds until all were accepted, and until the simulator had them all.

    Returns when the webhooks have arrived as well, so nothing of it falls into the next window.
    """
    mail, hooks = stand.arrived()
    started = time.monotonic()
    asyncio.run(_through(door, stand.status, numbers, connections))
    accepted = time.monotonic() - started
    wanted = mail + len(numbers)
    wait_until(lambda: stand.arrived()[0] >= wanted, within=_WITHIN, what=f"{wanted} messages")
    delivered = time.monotonic() - started
    wanted = hooks + len(numbers)
    wait_until(lambda: stand.arrived()[1] >= wanted, within=_WITHIN, what=f"{wanted} webhooks")
    return accepted, delivered


async def _through(door: Door, status: Mapping[str, Any], numbers: range, connections: int) -> None:
    await door.run(status, numbers, connections)


def _wait_for_quiet(stand: Stand) -> None:
    seen, since = stand.counts()["writes"], time.monotonic()
    deadline = since + _WITHIN

    def is_quiet() -> bool:
        nonlocal seen, since
        now = stand.counts()["writes"]
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > _QUIET or time.monotonic() > deadline

    with contextlib.suppress(StandError):
        wait_until(is_quiet, within=_WITHIN, what="the last write")


def _of(usages: Mapping[str, Usage], name: str) -> Usage:
    return usages.get(name, Usage(0.0, 0.0))


def _sum(units: Mapping[str, float], kinds: tuple[str, ...]) -> float:
    return round(sum(units.get(kind, 0.0) for kind in kinds), 3)
