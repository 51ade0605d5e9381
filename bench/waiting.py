"""What waits does not fill a host's memory: a closed path, and ever more mail for it.

The engine says at once that such mail is to be parked, and keeps nothing of it. What is parked
lies in the table, here nowhere.
"""

import gc
import resource
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.engine_lab import START, SimWorld, make_job
from bench.machine import describe
from egress.core.engine.bars import Bars
from egress.core.engine.engine import Engine, EngineSettings
from egress.core.engine.path_record import PathRecord, PathState
from egress.core.engine.work import Offer
from mailroom.domain.sending.path import PathKey, Site
from mailroom.domain.sending.source import SourceAddress

TENANTS = 50
_WARM_UP = 10_000
_PUMP_EVERY = 100  # jobs


def measure(count: int = 0) -> dict[str, Any]:
    """Return how much a process grows by while `count` jobs come to a path that is closed."""
    jobs = count or 1_000_000
    site = Site("closed.test")
    key = PathKey("ip", site.key)
    closed = PathRecord(state=PathState.SUSPENDED, since=START, until=START + 86_400.0)
    world = SimWorld([SourceAddress("ip", "pool", "o.example")], records={key: closed})
    engine = Engine(world, EngineSettings(), Bars())
    moved: Counter[str] = Counter()
    _come(engine, site, range(_WARM_UP), moved)
    gc.collect()
    before, peak_before, cpu = _resident_mb(), _peak_mb(), time.process_time()
    moved.clear()
    _come(engine, site, range(_WARM_UP, _WARM_UP + jobs), moved)
    cpu = time.process_time() - cpu
    gc.collect()
    return {
        "jobs": jobs,
        "moved": dict(moved),
        "waiting_in_memory": engine.waiting,
        "resident_mb_before": round(before, 1),
        "resident_mb_growth": round(_resident_mb() - before, 2),
        "peak_mb_growth": round(_peak_mb() - peak_before, 2),
        "cpu_us_per_job": round(cpu / jobs * 1e6, 1),
        "conditions": "one path, suspended; moves are taken and forgotten, as the table keeps them",
        "machine": describe(),
    }


def _come(engine: Engine, site: Site, numbers: range, moved: Counter[str]) -> None:
    for number in numbers:
        now = START + number * 0.001
        job = make_job(number, tenant=f"t{number % TENANTS}", campaign=f"c{number}", at=now)
        if (move := engine.offer(Offer(job, site, "mx"), now)) is not None:
            moved[move.kind] += 1
        if number % _PUMP_EVERY == 0:
            for each in engine.pump(now).moves:
                moved[each.kind] += 1


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024**2


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
