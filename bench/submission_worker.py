"""`python -m bench.submission_worker FOLDER`: the submission process with its ledger in memory.

FOLDER holds `submission.pem` and `submission.key`. Sessions, TLS, dialogue, acceptance and log
lines are those of `python -m egress submission`. Its ready file is `memory.json`.
"""

import asyncio
import json
import sys
from functools import partial
from pathlib import Path

from bench.memory_platform import MAX_MESSAGE, accept_ports, directory
from egress.core.smtp_limits import Limits
from egress.log import log_as_json
from egress.submission import wiring
from egress.submission.server import SubmissionServer
from mailroom.usecases.accept import accept


async def serve(folder: Path) -> int:
    """Listen on a free loopback port until told to stop; return the exit code."""
    host = wiring.read_host(
        {
            "MAILROOM_SUBMISSION_PORTS": "0",
            "MAILROOM_SMTP_HOSTNAME": "localhost",
            "MAILROOM_TLS_CERT": str(folder / "submission.pem"),
            "MAILROOM_TLS_KEY": str(folder / "submission.key"),
            "MAILROOM_READY_FILE": str(folder / "memory.json"),
            "MAILROOM_GRACE_SECONDS": "1",
        }
    )
    known = directory()
    ports = accept_ports(known)
    limits = Limits(message_size=MAX_MESSAGE)
    shared = wiring.office(host, limits, known, partial(accept, ports=ports))
    return await wiring.serve(SubmissionServer(shared), host)


def port_of(ready_file: Path) -> int:
    """Return the first port of a submission process's ready file."""
    found: int = json.loads(ready_file.read_text())["ports"][0]
    return found


def main() -> int:
    """Serve until SIGTERM; return the exit code."""
    log_as_json()
    try:
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    except ImportError:
        pass
    return asyncio.run(serve(Path(sys.argv[1])))


if __name__ == "__main__":
    sys.exit(main())
