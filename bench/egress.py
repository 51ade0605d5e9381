"""What sending costs: from mail that waits in the ledger to the last verdict.

Like for like: Postfix's queue manager and SMTP client against our sender, the queue filled before,
nothing coming in, the same sink, sizes and number of connections, no TLS. Our sender signs while
it delivers; Postfix's mail is signed by its milter at intake. So its figure is delivery plus what
the milter adds to an intake measured in the same run (with it, less without it).
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import peers
from bench.drain import CONNECTIONS, drain
from bench.line import OURS, Figure, Ledger, Line, NotMeasured
from bench.machine import describe, processor
from bench.queue_peer import DURABLE, holding, take_in
from bench.sample import SAMPLE, raw_of
from bench.sinks import RunningSink, running_sink
from bench.stand import ROOT, StandError

SIZES = (2_048, 51_200)
QUICK = 40  # messages
_EMULATOR_AT_MOST, _PEER_AT_MOST = 2_000, 2_000  # messages: so that a run takes minutes
_JOURNALED = "journal with fsync before the final dot; the ledger in memory"

_NO_WHOLE_RELAY = (
    "not measured: taking in and sending are two processes with the table between them, so no "
    "process of ours receives, journals and delivers; ratio_delivery compares the second half"
)

NOTES = (
    (
        "Postfix without a signature is measured; with one it is computed: the seconds and CPU of "
        "its delivery and what OpenDKIM adds to taking the same mail in"
    ),
    (
        "both keep connections to the sink; ours writes a claim and a verdict for each message, "
        "Postfix moves and removes a queue file and logs"
    ),
    "the sink is one process on the same cores and in no CPU figure",
    "on the emulator one request in a hundred is traced, as on AWS; no daemon takes the traces",
)


@dataclass(frozen=True, slots=True)
class Task:
    """What every side does: `octets` is SAMPLE for the message with HTML, `links` rewrites it."""

    count: int
    octets: int
    links: bool

    @property
    def size(self) -> int:
        """How long the message is."""
        return len(raw_of(self.octets))


def measure(count: int = 0, *, quick: bool = False) -> dict[str, Any]:
    """Return the lines and the conditions."""
    count = QUICK if quick else count or 6_000
    with running_sink() as sink:
        sizes = SIZES[:1] if quick else (*SIZES, SAMPLE)
        lines = [_like_for_like(sink, Task(count, octets, links=False)) for octets in sizes]
        lines.append(_as_deployed(sink, Task(count, SAMPLE, links=True)))
        name = sink.name
    return {
        **summary(lines[-1]),
        "ratio_delivery": lines[0].ratios or None,
        "ratio_like_for_like": None,
        "ratio_like_for_like_why": _NO_WHOLE_RELAY,
        "lines": lines,
        "sink": name,
        "notes": list(NOTES),
        "machine": describe(),
    }


def summary(line: Line) -> dict[str, Any]:
    """Return what the line of the product's own work comes to, in a few numbers.

    `aws_cpu_ms_per_message` is what the sender used more on the emulator than over memory: all
    its AWS calls, and the look-ups of a process that has just started.
    """
    measured = [figure for figure in line.figures if isinstance(figure, Figure)]
    ours = [figure for figure in measured if figure.who == OURS]
    memory = [figure for figure in ours if figure.ledger is Ledger.MEMORY]
    best = max(memory, key=lambda figure: figure.per_second)
    cpu = min(figure.cpu_ms_per_1000 for figure in memory)
    deployed = [figure for figure in ours if figure.ledger is Ledger.EMULATOR]
    ratios = line.ratios
    return {
        "messages_per_second": best.per_second,
        "cpu_ms_per_message": round(best.cpu_ms_per_1000 / 1000, 3),
        "processes": best.processes,
        "ledger": best.ledger,
        "durable": best.durable,
        "connections": best.connections,
        "message_octets": best.message_octets,
        "avx512_ifma": describe()["avx512_ifma"],
        "ratio_postfix_opendkim": (
            {"rate": ratios.get("memory_rate"), "cpu": ratios.get("memory_cpu")} if ratios else None
        ),
        "aws_cpu_ms_per_message": (
            round((deployed[0].cpu_ms_per_1000 - cpu) / 1000, 3) if deployed else None
        ),
        "powermta_published_per_second": 1_400,
    }


def _like_for_like(sink: RunningSink, task: Task) -> Line:
    return Line(
        "delivery: waiting mail signed and sent, links as they are",
        f"no TLS, {sink.name}",
        (*_ours(sink, task), *_peer_delivers(sink, task)),
    )


def _as_deployed(sink: RunningSink, task: Task) -> Line:
    return Line(
        "delivery: waiting mail with links rewritten and a pixel, signed and sent",
        f"no TLS, {sink.name}",
        (*_ours(sink, task), _peer_relays(sink, task)),
        unlike="Postfix also receives and queues on disk; it rewrites nothing",
    )


def _ours(sink: RunningSink, task: Task) -> list[Figure | NotMeasured]:
    return [
        _in_memory(sink, task, 1),
        _in_memory(sink, task, 2),
        _on_emulator(sink, task),
    ]


def _in_memory(sink: RunningSink, task: Task, processes: int) -> Figure:
    share, connections = task.count // processes, CONNECTIONS // processes
    arguments = (sink.port, share, connections, task.octets, int(task.links))
    command = [sys.executable, "-m", "bench.egress_worker", *map(str, arguments)]
    workers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(processes)
    ]
    said = [worker.communicate()[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        raise StandError("a sender over memory failed; it has said why")
    answers = [json.loads(text) for text in said]
    sent, cpu = share * processes, sum(answer["cpu"] for answer in answers)
    return _figure(
        task,
        ledger=Ledger.MEMORY,
        durable=_JOURNALED,
        processes="1 sender" if processes == 1 else f"{processes} senders",
        connections=connections * processes,
        messages=sent,
        seconds=max(answer["seconds"] for answer in answers),
        cpu=cpu,
    )


def _on_emulator(sink: RunningSink, task: Task) -> Figure:
    count = min(task.count, _EMULATOR_AT_MOST)
    found = drain(count, task.octets, sink.port, links=task.links)
    return _figure(
        task,
        ledger=Ledger.EMULATOR,
        durable="journal with fsync before the final dot; the ledger in the emulator's memory",
        processes="1 sender, emulator not counted",
        connections=CONNECTIONS,
        messages=count,
        seconds=found.seconds,
        cpu=found.cpu,
        emulator_cpu=found.emulator_cpu,
        note="with the look-ups of a sender that has just started",
    )


def _peer_delivers(sink: RunningSink, task: Task) -> list[Figure | NotMeasured]:
    if peers.why_not():
        return [NotMeasured("postfix", Ledger.DISK, f"not measured: {peers.why_not()}")]
    count = min(task.count, _PEER_AT_MOST)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with holding(folder / "plain") as plain:
            bare = take_in(plain, count, task.size)
        with holding(
            folder / "signing", next_port=sink.port, connections=CONNECTIONS, signing=True
        ) as signing:
            signed = take_in(signing, count, task.size)
            waiting = signing.postfix.queued
            delivered = signing.deliver_all()
    share = count / waiting  # the warm-up's messages were delivered too
    seconds, cpu = delivered.seconds * share, delivered.cpu[0] * share
    added, added_cpu = signed.seconds - bare.seconds, signed.cpu[0] - bare.cpu[0]
    more: dict[str, Any] = {
        "ledger": Ledger.DISK,
        "durable": DURABLE,
        "connections": CONNECTIONS,
        "messages": count,
    }
    return [
        _figure(
            task,
            who="postfix+opendkim",
            processes="all of Postfix and OpenDKIM",
            seconds=seconds + max(0.0, added),
            cpu=cpu + max(0.0, added_cpu),
            note="computed: delivery, and what the milter adds at intake",
            **more,
        ),
        _figure(
            task,
            who="postfix",
            processes="all of Postfix",
            seconds=seconds,
            cpu=cpu,
            note="delivery alone, signed before",
            **more,
        ),
    ]


def _peer_relays(sink: RunningSink, task: Task) -> Figure | NotMeasured:
    found = peers.postfix_relay(sink.port, min(task.count, _PEER_AT_MOST))
    if "skipped" in found:
        return NotMeasured("postfix+opendkim", Ledger.DISK, f"not measured: {found['skipped']}")
    return Figure(
        who="postfix+opendkim",
        ledger=Ledger.DISK,
        durable=DURABLE,
        connections=peers.DESTINATION_CONCURRENCY,
        message_octets=found["message_octets"],
        processes="all of Postfix and OpenDKIM",
        cpu=processor(),
        messages=found["messages"],
        per_second=found["messages_per_second"],
        cpu_ms_per_1000=round(found["cpu_ms_per_message"] * 1000, 1),
        note=f"receives too: {found['connections']}",
    )


def _figure(
    task: Task,
    *,
    seconds: float,
    cpu: float,
    messages: int,
    who: str = OURS,
    emulator_cpu: float | None = None,
    **conditions: Any,
) -> Figure:
    beside = None if emulator_cpu is None else round(emulator_cpu / messages * 1_000_000, 1)
    return Figure(
        who=who,
        message_octets=task.size,
        cpu=processor(),
        messages=messages,
        per_second=round(messages / seconds, 1),
        cpu_ms_per_1000=round(cpu / messages * 1_000_000, 1),
        emulator_cpu_ms_per_1000=beside,
        **conditions,
    )
