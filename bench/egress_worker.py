"""One sender process of the egress benchmark: `python -m bench.egress_worker PORT COUNT CONNS`."""

import asyncio
import json
import logging
import resource
import sys
import tempfile
import time
from pathlib import Path

from bench.memory_desk import MemoryMail, desk_over
from bench.sample import message
from egress.sender.worker import Worker


async def work(port: int, count: int, connections: int) -> dict[str, float]:
    """Send `count` messages; return wall and CPU seconds of the sending alone."""
    with tempfile.TemporaryDirectory() as folder:
        mail = MemoryMail(count, message())
        desk, journal, pool = desk_over(
            mail, port=port, folder=Path(folder), connections=connections
        )
        before = resource.getrusage(resource.RUSAGE_SELF)
        started = time.perf_counter()
        worker = Worker(mail, desk, slots=connections * 2)
        running = asyncio.create_task(worker.run(mail.done, grace=30.0))
        await mail.done.wait()
        seconds = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_SELF)
        await running
        await pool.close()
        await journal.close()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu": cpu, "peak_rss_mb": after.ru_maxrss / 1024}


def main() -> None:
    """Run, and print the figures as JSON."""
    logging.basicConfig(level=logging.WARNING)
    try:
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    except ImportError:
        pass
    port, count, connections = map(int, sys.argv[1:])
    print(json.dumps(asyncio.run(work(port, count, connections))))


if __name__ == "__main__":
    main()
