"""A simulated day in the engine: many jobs, sites and tenants; no asyncio, no sockets, no clock."""

import random
import time
from functools import partial
from typing import Any

from bench.engine_lab import START, Lab, Receiver, SimWorld, make_job, path_blame
from bench.machine import describe
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.source import SourceAddress

SITES, TENANTS, ADDRESSES = 1_000, 50, 8
_DAY = 86_400.0
_SECONDS = 0.2  # that a receiver takes for a message


def measure(count: int = 0) -> dict[str, Any]:
    """Return the seconds that a day of `count` jobs takes, and what became of them."""
    jobs = count or 100_000
    lab = _day(jobs)
    cpu, started = time.process_time(), time.perf_counter()
    lab.run()
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - started
    return {
        "jobs": jobs,
        "sites": SITES,
        "tenants": TENANTS,
        "source_addresses": ADDRESSES,
        "delivered": lab.delivered,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "cpu_us_per_job": round(cpu / jobs * 1e6, 1),
        "conditions": "engine and simulator alone, default settings, one process",
        "machine": describe(),
    }


def _day(jobs: int) -> Lab:
    chance = random.Random(1)
    addresses = [
        SourceAddress(f"ip{number}", "pool", f"o{number}.example") for number in range(ADDRESSES)
    ]
    sites = [Site(f"mx:{number}") for number in range(SITES)]
    receivers = {site.key: Receiver(seconds=_SECONDS) for site in sites}
    lab = Lab(SimWorld(addresses), receivers, judge=path_blame)
    lab.keep_seen = False
    for number in range(jobs):
        at, site = START + chance.random() * _DAY, chance.choice(sites)
        job = make_job(number, tenant=f"t{number % TENANTS}", at=at)
        lab.at(at, partial(lab.offer, job, site))
    return lab
