"""The HTTP door: the API function alone, and behind the emulator's gateway."""

import json
import os
import subprocess
import sys

from bench.cloud import Cloud
from bench.line import OURS, Figure, Ledger, Line
from bench.load import HttpLoad, LoadError, under_load
from bench.machine import processor
from bench.stand import ROOT
from bench.subjects import AUTHOR, RECIPIENT

CONNECTIONS = (1, 4)
_EMULATOR_AT_MOST = 300  # calls


def http_lines(cloud: Cloud, count: int, sizes: tuple[int, ...]) -> list[Line]:
    """Measure `send/raw` with messages of each size. Raises LoadError when one is refused."""
    at_most = min(count, _EMULATOR_AT_MOST)
    return [
        Line(
            "HTTP API, send/raw: taken in, not delivered",
            "one recipient; in memory the handler is called, on the emulator its gateway",
            (
                _in_process(count, octets),
                *(_behind_gateway(cloud, at_most, octets, n) for n in CONNECTIONS),
            ),
        )
        for octets in sizes
    ]


def http_load(cloud: Cloud, count: int, octets: int, connections: int = 1) -> HttpLoad:
    """Return calls to the API behind the emulator's gateway."""
    return HttpLoad(
        url=cloud.config.emulator_url,
        host=cloud.api_host,
        key=cloud.secrets["api_key"],
        messages=count,
        octets=octets,
        connections=connections,
        author=AUTHOR,
        recipient=RECIPIENT,
    )


def _in_process(count: int, octets: int) -> Figure:
    command = [sys.executable, "-m", "bench.api_worker", str(count), str(octets)]
    rooms = os.pathsep.join(map(str, (ROOT, ROOT / "functions" / "api")))
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": rooms}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LoadError(done.stderr[-2000:])
    answer = json.loads(done.stdout)
    return Figure(
        who=OURS,
        ledger=Ledger.MEMORY,
        durable="nothing is durable",
        connections=1,
        message_octets=octets,
        processes="1, the handler called one event after the other",
        cpu=processor(),
        messages=count,
        per_second=round(count / answer["seconds"], 1),
        cpu_ms_per_1000=round(answer["cpu"] / count * 1_000_000, 1),
        note="no gateway, no socket",
    )


def _behind_gateway(cloud: Cloud, count: int, octets: int, connections: int) -> Figure:
    load = http_load(cloud, count, octets, connections)
    found = under_load(load, cloud.workers, cloud.usage)
    workers, emulator = (spent / count * 1_000_000 for spent in found.cpu)
    return Figure(
        who=OURS,
        ledger=Ledger.EMULATOR,
        durable="in the emulator's memory",
        connections=connections,
        message_octets=octets,
        processes="function workers as the emulator starts them, emulator not counted",
        cpu=processor(),
        messages=count,
        per_second=round(count / found.seconds, 1),
        cpu_ms_per_1000=round(workers, 1),
        emulator_cpu_ms_per_1000=round(emulator, 1),
    )
