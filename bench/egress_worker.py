"""One sender process of the egress benchmark, ledger in memory.

`python -m bench.egress_worker PORT COUNT CONNECTIONS OCTETS LINKS`: OCTETS 0 is the sample with
its HTML, LINKS 1 rewrites links and adds the pixel. Every message is signed.
"""

import asyncio
import json
import logging
import resource
import sys
import tempfile
import time
from pathlib import Path

from bench.memory_desk import MemoryMail
from bench.memory_sender import dispatcher_over
from bench.sample import raw_of
from egress.journal import Journal


async def work(
    port: int, count: int, connections: int, body: bytes, *, links: bool
) -> dict[str, float]:
    """Send `count` messages; return wall and CPU seconds of the sending alone."""
    with tempfile.TemporaryDirectory() as folder:
        mail = MemoryMail(count, body)
        journal = Journal(Path(folder) / "bench.journal")
        dispatcher = dispatcher_over(
            mail, port=port, journal=journal, connections=connections, links=links
        )
        before = resource.getrusage(resource.RUSAGE_SELF)
        started = time.perf_counter()
        running = asyncio.create_task(dispatcher.run(mail.done, grace=30.0))
        await mail.done.wait()
        seconds = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_SELF)
        await running
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
    port, count, connections, octets, links = map(int, sys.argv[1:])
    print(
        json.dumps(asyncio.run(work(port, count, connections, raw_of(octets), links=bool(links))))
    )


if __name__ == "__main__":
    main()
