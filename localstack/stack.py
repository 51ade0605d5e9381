"""The whole platform on one machine: start it, keep it, stop it. READ FIRST of this folder.

lock -> ports -> local files -> emulator, DNS -> zips, resources, tenant -> everything else -> ready
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from localstack import processes, state
from localstack.config import StackConfig, read_json, write_config
from localstack.ports import PortError, check_ports
from localstack.resources import ResourcesError, load_resources
from localstack.status import describe
from localstack.supervisor import Supervisor, VitalProcessEndedError, answers, end, tail
from localstack.tenant import make_secrets, write_local_files

Say = Callable[[str], None]

START_WITHIN = 90.0  # seconds for a group of processes to become ready
PROBE_WITHIN = 60.0  # seconds for the first answer of the API: a cold start on a slow machine


class StackError(Exception):
    """The stack cannot start; the message says why."""


class Stack:
    """One running local stack, the parent of all its processes."""

    def __init__(self, config: StackConfig, inherited: Mapping[str, str], say: Say) -> None:
        """`inherited` is the environment of the shell that asked for it."""
        self._config = config
        self._inherited = inherited
        self._say = say
        self._phase, self._reason = state.STARTING, ""
        self._secrets: dict[str, Any] = {}
        self._supervisor = Supervisor(config.root, config.path("logs"), self._write)

    async def run(self) -> int:
        """Start, stay until SIGINT or SIGTERM, stop. Return the exit code."""
        work = asyncio.create_task(self._live(), name="stack")
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        code = 0
        try:
            await work
        except asyncio.CancelledError:
            self._say("Stopping ...")
            self._phase = state.STOPPED
        except (StackError, VitalProcessEndedError, PortError, ResourcesError) as problem:
            self._phase, self._reason, code = state.FAILED, str(problem), 1
        finally:
            await self._stop()
        if self._reason:
            self._say(f"The platform is down: {self._reason}")
            if self._supervisor.ended.done():
                self._say("The emulator keeps nothing: start again with ./run up.")
                self._say(tail(self._config.path("logs", "emulator.log")))
        return code

    async def _live(self) -> None:
        check_ports(self._config.ports)
        resources = load_resources(self._config.root)
        self._secrets = make_secrets(self._config.path("secrets.json"))
        write_local_files(self._config, self._secrets)
        self._write()
        self._say("Starting the emulator and the DNS server ...")
        self._supervisor.start(processes.emulator(self._config, self._inherited))
        self._supervisor.start(processes.name_server(self._config, self._inherited))
        await self._until_ready(START_WITHIN)
        await self._prepare()
        self._say("Starting the simulator, the egress host and the front ...")
        made = read_json(self._config.path("provisioned.json"))
        for program in processes.after_provisioning(self._config, self._inherited, resources, made):
            self._supervisor.start(program)
        await self._until_ready(START_WITHIN)
        await self._probe()
        self._phase = state.READY
        self._write()
        self._say("ready")
        await self._supervisor.watch()

    async def _until_ready(self, seconds: float) -> None:
        deadline = monotonic() + seconds
        missing = await self._supervisor.until_ready(deadline)
        if missing:
            log = self._config.path("logs", f"{missing[0]}.log")
            raise StackError(f"{missing[0]} is not ready after {seconds:g} s.\n{tail(log)}")

    async def _prepare(self) -> None:
        variables = {
            **_without_cloud(self._inherited),
            **processes.cloud_variables(self._config),
            "PYTHONPATH": str(self._config.root),
        }
        preparing = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "localstack.prepare", "--state", str(self._config.state)),
            cwd=self._config.root,
            env=variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            with self._config.path("logs", "prepare.log").open("wb") as copy:
                problem = await self._relay(preparing, copy.write)
        finally:
            await end(preparing, 2.0)
        if preparing.returncode != 0:
            raise StackError(problem or "preparing failed; ./run logs prepare says more")

    async def _relay(
        self, preparing: asyncio.subprocess.Process, copy: Callable[[bytes], object]
    ) -> str:
        """Show the progress; return what is said from the word "error" on."""
        problem: list[str] = []
        if preparing.stdout is None:
            raise StackError("preparing gives no output")
        async for line in preparing.stdout:
            copy(line)
            text = line.decode(errors="replace").rstrip()
            if problem or text.startswith("error: "):
                problem.append(text.removeprefix("error: "))
            else:
                self._say(f"  {text}")
        await preparing.wait()
        return "\n".join(problem)

    async def _probe(self) -> None:
        self._say("Asking the API and the tracking host for a first answer ...")
        deadline = monotonic() + PROBE_WITHIN
        for url in (self._config.api_url, self._config.tracking_url):
            while not await asyncio.to_thread(answers, f"{url}/", PROBE_WITHIN):
                if monotonic() > deadline:
                    raise StackError(f"{url} does not answer; ./run logs emulator says more.")
                await self._supervisor.pause(0.5)

    async def _stop(self) -> None:
        await self._supervisor.stop()
        state.remove_leftovers(self._config.state)
        self._write()

    def _write(self) -> None:
        children = self._supervisor.children
        state.write_stack(
            self._config.state,
            {
                "phase": self._phase,
                "reason": self._reason,
                "pid": os.getpid(),
                "commands": {n: " ".join(c.program.command) for n, c in children.items()},
                "status": describe(self._config, self._secrets, children),
            },
        )


def run_stack(config: StackConfig, inherited: Mapping[str, str], say: Say) -> int:
    """Run a stack in the foreground. Raises AlreadyRunningError."""
    with contextlib.closing(state.lock(config.state)):
        state.remove_leftovers(config.state)
        state.forget_last_run(config.state)
        write_config(config)
        return asyncio.run(_run(config, inherited, say))


async def _run(config: StackConfig, inherited: Mapping[str, str], say: Say) -> int:
    return await Stack(config, inherited, say).run()


def _without_cloud(inherited: Mapping[str, str]) -> dict[str, str]:
    # A profile or an endpoint of the user's shell must not reach a tool that makes resources.
    return {k: v for k, v in inherited.items() if not k.startswith("AWS_")}
