"""Where deliveries of all who are compared end: one process, on the same cores, not counted."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.peers import free_ports
from bench.stand import ROOT, wait_until

_BACKLOG = "512"
_START_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class RunningSink:
    """A sink on `port` of 127.0.0.1 and what it is called in the conditions."""

    port: int
    name: str


@contextmanager
def running_sink() -> Iterator[RunningSink]:
    """Run Postfix's smtp-sink where it is installed, otherwise our own."""
    (port,) = free_ports(1)
    program, name = shutil.which("smtp-sink"), "smtp-sink"
    account = ["-u", "postfix"] if os.geteuid() == 0 else []  # it insists, and the package made it
    command = [program or "", *account, f"127.0.0.1:{port}", _BACKLOG]
    if program is None:
        command, name = [sys.executable, "-m", "bench.sink", str(port)], "bench.sink"
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT)
    try:
        wait_until(lambda: _answers(port), within=_START_WITHIN, what=f"{name} listens")
        yield RunningSink(port, name)
    finally:
        child.kill()
        child.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
