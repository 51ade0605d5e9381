"""Domains at each tick: look again at what those that are due publish."""

import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from mailroom.adapters.log_line import write_line
from mailroom.usecases.domain_checks import DomainPorts, due_domains, recheck_domain

LIMIT = 40  # domains a tick; a dead name server costs one of them some seconds
_THREADS = 8
_MAX_TEXT = 1_000


def watch_domains(
    ports: DomainPorts, now: float, *, limit: int = LIMIT, threads: int = _THREADS
) -> Counter[str]:
    """Check the domains whose turn it is and return what came of it.

    One that cannot be checked is tried again later, and the others are checked nevertheless.
    """
    done: Counter[str] = Counter()
    with ThreadPoolExecutor(threads) as pool:
        for outcome in pool.map(partial(_one, ports=ports), due_domains(now, limit, ports)):
            done[outcome] += 1
    return done


def _one(id_: str, *, ports: DomainPorts) -> str:
    try:
        return "domains_checked" if recheck_domain(id_, ports) else "domains_taken"
    except Exception:  # noqa: BLE001  # one bad domain must not stop the others
        problem = traceback.format_exc(limit=-3)[-_MAX_TEXT:]
        write_line({"function": "domains", "domain": id_, "problem": problem})
        return "domains_failed"
