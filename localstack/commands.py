"""`./run up`, `down`, `status` and `logs`."""

import json
import os
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any

from localstack import state
from localstack.config import Ports, StackConfig, read_config, read_json
from localstack.ports import PortError, free_ports
from localstack.stack import run_stack
from localstack.status import guide, summary

NOT_RUNNING = 3
DETACH_WITHIN = 600.0  # seconds: the first start downloads and builds
STOP_WITHIN = 45.0


def up(options: Namespace, environment: Mapping[str, str]) -> int:
    """Start a stack, in the foreground or detached; say what runs if it already does."""
    folder: Path = options.state.resolve()
    if state.is_running(folder):
        return _already_running(folder, wait=options.detach)
    if options.detach:
        return _detach(folder, options, environment)
    try:
        ports = free_ports() if options.ports == "auto" else Ports()
    except PortError as problem:
        say(str(problem))
        return 1
    config = StackConfig(
        options.root, folder, ports, delay_divisor=options.delay_divisor, pools=options.pools
    )

    def show(line: str) -> None:
        say(guide(state.read_stack(folder)["status"]) if line == "ready" else line)

    try:
        return run_stack(config, environment, show)
    except state.AlreadyRunningError:
        return _already_running(folder, wait=False)


def down(options: Namespace) -> int:
    """Stop a stack; what a killed one left behind is ended too."""
    folder: Path = options.state.resolve()
    if not state.is_running(folder):
        with state.lock(folder):
            state.remove_leftovers(folder)
        say("Nothing runs.")
        return 0
    pid = int(state.read_stack(folder).get("pid", 0))
    _signal(pid, signal.SIGTERM)
    if not state.wait_for(lambda: not state.is_running(folder), STOP_WITHIN):
        _signal(pid, signal.SIGKILL)
        state.wait_for(lambda: not state.is_running(folder), 5)
        with state.lock(folder):
            state.remove_leftovers(folder)
    say("Stopped.")
    return 0


def status(options: Namespace) -> int:
    """Print what runs; exit code 3 if nothing does."""
    folder: Path = options.state.resolve()
    stack = state.read_stack(folder)
    if not state.is_running(folder) or not stack:
        say("Nothing runs. Start it with ./run up.", error=True)
        if stack.get("reason"):
            say(f"The last start ended with: {stack['reason'].splitlines()[0]}", error=True)
        return NOT_RUNNING
    if options.json:
        say(json.dumps({"phase": stack["phase"], **stack["status"]}, indent=2))
    else:
        say(f"{stack['phase']}\n{summary(stack['status'])}")
    return 0


def logs(options: Namespace) -> int:
    """Print the log of one process or function, follow it, or list the logs there are."""
    folder: Path = options.state.resolve()
    names = sorted(path.stem for path in folder.glob("logs/*.log"))
    functions = sorted(read_json(folder / "provisioned.json").get("functions", {}))
    if options.name is None:
        say("\n".join([*names, *functions]) if names else "There are no logs yet.")
    elif options.name in names:
        _show_file(folder / "logs" / f"{options.name}.log", follow=options.follow)
    elif options.name in functions:
        _show_function(read_config(folder), options.name, follow=options.follow)
    else:
        there = ", ".join([*names, *functions])
        say(f"There is no log {options.name!r}. There is: {there}", error=True)
        return 2
    return 0


def say(line: str, *, error: bool = False) -> None:
    """Print a line."""
    _copy(line + "\n", error=error)


def _copy(text: str, *, error: bool = False) -> None:
    stream = sys.stderr if error else sys.stdout
    stream.write(text)
    stream.flush()


def _signal(pid: int, number: int) -> None:
    if pid > 0:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _show_file(path: Path, *, follow: bool) -> None:
    with path.open(errors="replace") as log:
        _copy(log.read())
        while follow:
            _copy(log.read())
            if path.stat().st_size < log.tell():
                log.seek(0)  # it was cut because it had grown too long
            sleep(0.3)


def _show_function(config: StackConfig, name: str, *, follow: bool) -> None:
    from localstack.function_logs import lines  # botocore costs what `status` need not pay

    last, shown = 0, set[tuple[int, str]]()
    while True:
        for at, line in lines(config, name, since=last):
            if (at, line) not in shown:
                say(line)
            shown = {(at, line)} if at > last else {*shown, (at, line)}
            last = max(last, at)
        if not follow:
            return
        sleep(1)


def _already_running(folder: Path, *, wait: bool) -> int:
    if wait:
        return _until_ready(folder, None)
    stack = state.read_stack(folder)
    say(f"Already running ({stack.get('phase', state.STARTING)}).")
    if stack.get("status"):
        say(summary(stack["status"]))
    return 0


def _detach(folder: Path, options: Namespace, environment: Mapping[str, str]) -> int:
    log = folder / "logs" / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "localstack", "up", "--state", str(folder)]
    command += ["--ports", options.ports, "--delay-divisor", f"{options.delay_divisor:g}"]
    command += ["--pools"] if options.pools else []
    with log.open("wb") as stream:
        child = subprocess.Popen(  # noqa: S603 - our own command
            command,
            cwd=options.root,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    return _until_ready(folder, child)


def _until_ready(folder: Path, child: "subprocess.Popen[bytes] | None") -> int:
    """Show the progress of a detached start until it is ready or has failed."""
    shown = 0

    def settled() -> bool:
        nonlocal shown
        shown = _show_progress(folder / "logs" / "up.log", shown)
        if child is not None and child.poll() is not None:
            return True
        return _phase(folder, child) in (state.READY, state.FAILED)

    try:
        in_time = state.wait_for(settled, DETACH_WITHIN)
    except KeyboardInterrupt:
        if child is not None:
            child.terminate()
        raise
    _show_progress(folder / "logs" / "up.log", shown)
    if in_time and _phase(folder, child) == state.READY:
        return 0
    say(f"The platform did not start; all of it is in {folder / 'logs'}.", error=True)
    return 1


def _phase(folder: Path, child: "subprocess.Popen[bytes] | None") -> str | None:
    stack: dict[str, Any] = state.read_stack(folder)
    if child is not None and stack.get("pid") != child.pid:
        return None  # an earlier run wrote it
    return stack.get("phase")


def _show_progress(log: Path, shown: int) -> int:
    with suppress(OSError), log.open("rb") as stream:
        stream.seek(shown)
        text = stream.read()
        _copy(text.decode(errors="replace"))
        return shown + len(text)
    return shown
