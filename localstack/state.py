"""What a stack says about itself on disk, and the lock that says it is alive.

The lock is the kernel's: it goes when its holder does, however that ends, so no leftover file can
claim that something runs.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any

from localstack.config import read_json, write_json

STARTING, READY, STOPPED, FAILED = "starting", "ready", "stopped", "failed"


class AlreadyRunningError(Exception):
    """Another process holds the state folder."""


def lock(state: Path) -> IO[str]:
    """Take the state folder for this process until the returned file is closed.

    Raises AlreadyRunningError.
    """
    state.mkdir(parents=True, exist_ok=True)
    stream = (state / "lock").open("a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise AlreadyRunningError(str(state)) from None
    return stream


def is_running(state: Path) -> bool:
    """Say whether some process holds the state folder."""
    if not (state / "lock").exists():
        return False
    try:
        lock(state).close()
    except AlreadyRunningError:
        return True
    return False


def write_stack(state: Path, content: Mapping[str, Any]) -> None:
    """Write the stack's description: `phase`, `reason`, `pid`, `status`, `commands`."""
    write_json(state / "stack.json", dict(content), mode=0o600)


def read_stack(state: Path) -> dict[str, Any]:
    """Return the stack's description; empty if there never was one."""
    found = read_json(state / "stack.json")
    return found if isinstance(found, dict) else {}


def remove_leftovers(state: Path) -> None:
    """End what a killed supervisor left running and remove the emulator's working folders.

    Only for the holder of the lock. A process is ours if its id and its command line are the ones
    that were written down.
    """
    for pid, command in _survivors(read_stack(state)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGTERM)
        if not wait_for(partial(_is_gone, pid, command), 5):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
    shutil.rmtree(state / "tmp", ignore_errors=True)
    for folder in ("tmp", "home", "ready", "logs", "journal"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    for ready in (state / "ready").iterdir():
        ready.unlink()


def forget_last_run(state: Path) -> None:
    """Remove the last run's logs, but for the one that a detached start is writing, and the
    host's journal: it speaks of mail that went with the emulator's memory.
    """
    shutil.rmtree(state / "journal", ignore_errors=True)
    (state / "journal").mkdir(parents=True)
    for log in (state / "logs").glob("*.log*"):
        if log.stem != "up":
            log.unlink()


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Say whether `condition` came true within `seconds`."""
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() > deadline:
            return False
        sleep(0.05)
    return True


def _survivors(stack: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    processes = stack.get("status", {}).get("processes", {})
    for name, command in stack.get("commands", {}).items():
        pid = processes.get(name, {}).get("pid")
        if pid and _runs(pid, command):
            yield pid, command


def _is_gone(pid: int, command: str) -> bool:
    return not _runs(pid, command)


def _runs(pid: int, command: str) -> bool:
    listed = subprocess.run(  # noqa: S603 - a fixed command and a number
        ["ps", "-ww", "-o", "args=", "-p", str(pid)],  # noqa: S607 - wherever the system keeps it
        capture_output=True,
        text=True,
        check=False,
    )
    return listed.stdout.strip() == command
