"""What a sender costs: claim, render (ten links, pixel), sign, journal, deliver, settle.

Two ledgers, always shown together: `memory` (claims and verdicts in a dict: the host's own
work), and `emulator` (the real AWS adapters against the embedded emulator: what the calls add;
the emulator's own speed bounds its rate, so there the CPU is the figure to read).
"""

import json
import subprocess
import sys
from typing import Any

from bench.machine import describe
from bench.peers import postfix_relay
from bench.sample import message

CONNECTIONS = 50


def measure(count: int = 0) -> dict[str, Any]:
    """Return messages a second and CPU milliseconds a message, and the ratio to a peer."""
    count = count or 6_000
    sink = subprocess.Popen([sys.executable, "-m", "bench.sink"], stdout=subprocess.PIPE, text=True)
    assert sink.stdout
    try:
        port = int(sink.stdout.readline())
        runs = {str(n): _run(port, count, n) for n in (1, 2)}
        peer = postfix_relay(port, min(count, 2_000))
    finally:
        sink.kill()
        sink.wait()
    best = max(runs.values(), key=lambda run: float(run["messages_per_second"]))
    return {
        "messages_per_second": best["messages_per_second"],
        "cpu_ms_per_message": best["cpu_ms_per_message"],
        "processes": best["processes"],
        "ratio_postfix_opendkim": _ratio(best, peer),
        "ratio_like_for_like": None,
        "ratio_like_for_like_why": (
            "to receive durably this platform needs AWS; here the emulator would be measured. "
            "`bench stack` has the CPU of both host processes with it (host_cpu_ms_per_message)"
        ),
        "conditions": {
            "ledger": "memory",
            "connections": CONNECTIONS,
            "message_octets": len(message()),
            "messages": count,
            "tls": False,
            "sink": "bench.sink, one process on the same two cores, not counted",
        },
        "by_processes": runs,
        "postfix_opendkim": peer,
        "real_adapters": _on_emulator(),
        "machine": describe(),
    }


def _run(port: int, count: int, processes: int) -> dict[str, Any]:
    share = count // processes
    command = [sys.executable, "-m", "bench.egress_worker", str(port), str(share)]
    workers = [
        subprocess.Popen(
            [*command, str(CONNECTIONS // processes)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    answers = [json.loads(worker.communicate()[0]) for worker in workers]
    seconds = max(answer["seconds"] for answer in answers)
    cpu = sum(answer["cpu"] for answer in answers)
    return {
        "processes": processes,
        "messages_per_second": round(share * processes / seconds, 1),
        "cpu_ms_per_message": round(cpu / (share * processes) * 1000, 3),
        "peak_rss_mb": round(max(answer["peak_rss_mb"] for answer in answers), 1),
    }


def _ratio(ours: dict[str, Any], peer: dict[str, Any]) -> float | None:
    if "messages_per_second" not in peer:
        return None
    return round(float(ours["messages_per_second"]) / float(peer["messages_per_second"]), 2)


def _on_emulator() -> dict[str, Any]:
    from bench.stack import drain

    return drain(1_000)
