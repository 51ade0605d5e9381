"""Keeps processes running: starts, restarts, watches their health, stops them in reverse order."""

import asyncio
import contextlib
import os
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from localstack.processes import Program

FIRST_DELAY, LONGEST_DELAY = 0.2, 5.0  # seconds before a dead process is started again
SETTLED_AFTER = 1.5  # seconds of life after which the next death counts as a first one
HEALTH_EVERY = 0.5
HEALTH_TIMEOUT = 3.0
LOG_LIMIT = 50 * 1024 * 1024  # octets; then the log is moved aside


class VitalProcessEndedError(Exception):
    """A process without which nothing works has ended."""


@dataclass(slots=True)
class Child:
    """One program and what became of it."""

    program: Program
    log: Path
    process: asyncio.subprocess.Process | None = None
    healthy: bool = False
    restarts: int = 0
    keeper: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        running = self.process is not None and self.process.returncode is None
        return self.process.pid if running and self.process else None


class Supervisor:
    """Runs programs as children. `changed` is called when a pid, a count or health changes."""

    def __init__(self, folder: Path, logs: Path, changed: Callable[[], None]) -> None:
        """`folder` is the working directory of the programs, `logs` gets `NAME.log` of each."""
        self._folder = folder
        self._logs = logs
        self._changed = changed
        self._stopping = False
        self.children: dict[str, Child] = {}
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def start(self, program: Program) -> None:
        """Start a program and keep it running."""
        self._logs.mkdir(parents=True, exist_ok=True)
        child = Child(program, self._logs / f"{program.name}.log")
        self.children[program.name] = child
        child.keeper = asyncio.create_task(self._keep(child), name=f"keep {program.name}")

    async def until_ready(self, deadline: float) -> list[str]:
        """Wait until every program is ready; return the names of those that are not by
        `deadline` (monotonic seconds). Raises VitalProcessEndedError.
        """
        while True:
            await self.check_health()
            waiting = [name for name, child in self.children.items() if not child.healthy]
            if not waiting or monotonic() > deadline:
                return waiting
            await self.pause(0.1)

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of a vital process, which raises."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.ended), seconds)
        if self.ended.done():
            raise VitalProcessEndedError(self.ended.result())

    async def watch(self) -> None:
        """Check health for ever. Raises VitalProcessEndedError."""
        while True:
            await self.pause(HEALTH_EVERY)
            await self.check_health()
            for child in self.children.values():
                _shorten(child.log)

    async def check_health(self) -> None:
        """Ask every program once whether it works."""
        children = list(self.children.values())
        answers = await asyncio.gather(*(_is_healthy(child) for child in children))
        before = [child.healthy for child in children]
        for child, answer in zip(children, answers, strict=True):
            child.healthy = answer
        if before != answers:
            self._changed()

    async def stop(self) -> None:
        """Stop everything, last started first."""
        self._stopping = True
        for child in reversed(self.children.values()):
            if child.keeper:
                child.keeper.cancel()
                await asyncio.gather(child.keeper, return_exceptions=True)
            if child.process is not None:
                await end(child.process, child.program.grace)
            child.healthy = False
            self._changed()

    async def _keep(self, child: Child) -> None:
        delay = FIRST_DELAY
        while True:
            started = monotonic()
            code = await self._run(child)
            if child.program.vital:
                reason = f"the {child.program.name} ended ({ending(code)})"
                if not self.ended.done():
                    self.ended.set_result(reason)
                return
            if monotonic() - started > SETTLED_AFTER:
                delay = FIRST_DELAY
            await asyncio.sleep(delay)
            delay = min(LONGEST_DELAY, delay * 2)
            child.restarts += 1

    async def _run(self, child: Child) -> int:
        program = child.program
        program.ready_file.unlink(missing_ok=True)
        with child.log.open("ab") as log:
            child.process = await asyncio.create_subprocess_exec(
                *program.command,
                cwd=self._folder,
                env=dict(program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the supervisor, which stops in order
            )
        self._changed()
        code = await child.process.wait()
        child.healthy = False
        kill_group(child.process.pid)
        with child.log.open("a") as log:
            log.write(f"-- {program.name} ended: {ending(code)}\n")
        self._changed()
        return code


async def end(process: asyncio.subprocess.Process, grace: float) -> None:
    """Ask a process to end, and make it and whatever it started end after `grace` seconds."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace)
    kill_group(process.pid)
    await process.wait()


def kill_group(pid: int) -> None:
    """Kill what is left of a process that led its own session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def ending(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def tail(path: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 16_384))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def answers(url: str, timeout: float = HEALTH_TIMEOUT) -> bool:
    """Say whether anything below a server error comes back from `url`."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310 - our own URLs
            return bool(answer.status < 500)
    except urllib.error.HTTPError as problem:
        problem.close()
        return problem.code < 500
    except OSError:
        return False


async def _is_healthy(child: Child) -> bool:
    if child.pid is None:
        return False
    if child.program.ready_url:
        return await asyncio.to_thread(answers, child.program.ready_url)
    return child.program.ready_file.exists()


def _shorten(log: Path) -> None:
    # The writer appends, so after the cut it goes on at the new end.
    with contextlib.suppress(OSError):
        if log.stat().st_size > LOG_LIMIT:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)
