"""An emulator with what a door needs and nobody who takes the mail away again.

No sender, no scheduler and no event source: what is measured is acceptance. `bench.fill` makes
the resources in a process of its own, because they are made with the emulator's environment.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.processes import Usage, usage, usage_by_name
from bench.stand import ROOT, StandError, get_json, printing_port, reset_counts, wait_until
from localstack import processes
from localstack.builds import build, runtime, services_of
from localstack.config import StackConfig, read_json, write_config
from localstack.ports import free_ports
from localstack.resources import load_resources
from localstack.supervisor import answers, tail
from localstack.tenant import write_local_files

ADDRESSES = "addresses.json"  # in the state folder: what `bench.fill` has made
AS_DEPLOYED = {"MAILROOM_TRACE_RATE": "0.01"}  # the local stack follows every request
_START_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Cloud:
    """A running emulator. `addresses` are those of its resources by `kind:name`."""

    config: StackConfig
    emulator: int
    addresses: Mapping[str, str]
    proxy_url: str = ""

    @property
    def secrets(self) -> Mapping[str, Any]:
        """The demonstration tenant's secrets (`localstack.tenant`)."""
        found: Mapping[str, Any] = read_json(self.config.path("secrets.json"))
        return found

    @property
    def api_host(self) -> str:
        """The name under which the emulator's gateway serves the API."""
        return self.addresses["endpoint:api"].partition("//")[2]

    def usage(self) -> Usage:
        """What the emulator itself has used, its function workers left out."""
        return usage_by_name({"emulator": self.emulator})["emulator"]

    def workers(self) -> Usage:
        """What the function workers have used, those that ended included."""
        everything, own = usage((self.emulator,)), self.usage()
        return Usage(everything.cpu - own.cpu, everything.peak_mb - own.peak_mb)

    def calls(self) -> dict[str, int]:
        """The AWS calls that host processes and functions made since the last `forget_calls`."""
        found: dict[str, int] = get_json(self.proxy_url + "/__counts")["calls"]
        return found

    def forget_calls(self) -> None:
        """Count from nothing."""
        reset_counts(self.proxy_url)

    @contextmanager
    def host_process(self, role: str, **more: str) -> Iterator[int]:
        """Run `sender` or `submission` with `more` variables; yield its process id."""
        environment = dict(os.environ)
        if self.proxy_url:
            environment[processes.PROXY] = self.proxy_url
        program = processes.host_process(
            self.config, environment, role, load_resources(ROOT), self.addresses
        )
        extended = replace(program, environment={**program.environment, **AS_DEPLOYED, **more})
        with running(extended, self.config.path("logs", f"{role}.log")) as pid:
            yield pid


@contextmanager
def running_cloud(*, counting: bool = False, function: bool = False) -> Iterator[Cloud]:
    """Start an emulator with the tenant of the demonstration, and stop it.

    `counting` puts the counting proxy before the AWS endpoint of hosts and functions; `function`
    deploys the API function and its gateway as well. Raises StandError.
    """
    with contextlib.ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = _configured(state)
        environment, proxy_url = dict(os.environ), ""
        if counting:
            port = stack.enter_context(printing_port("bench.counting_proxy", str(state)))
            proxy_url = f"http://127.0.0.1:{port}"
            environment[processes.PROXY] = proxy_url
        program, log = processes.emulator(config, environment), config.path("logs", "emulator.log")
        pid = stack.enter_context(running(program, log))
        cloud = Cloud(config, pid, {}, proxy_url)
        addresses = _made(cloud, _api_zip() if function else None)
        write_local_files(config, dict(cloud.secrets))
        yield replace(cloud, addresses=addresses)


def fill(cloud: Cloud, count: int, octets: int, *, links: bool) -> None:
    """Accept `count` messages that nobody sends yet. Raises StandError."""
    flags = ["--messages", str(count), "--octets", str(octets)]
    _run_fill(cloud, [*flags, *([] if links else ["--no-links"])])


@contextmanager
def running(program: processes.Program, log: Path) -> Iterator[int]:
    """Run one program until it is ready; yield its process id; end it. Raises StandError."""
    program.ready_file.unlink(missing_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(
            program.command, cwd=ROOT, env=dict(program.environment), stdout=output, stderr=output
        )

    def is_ready() -> bool:
        if child.poll() is not None:
            raise StandError(f"{program.name} ended:\n{tail(log)}")
        if program.ready_url:
            return answers(program.ready_url)
        return program.ready_file.exists()

    try:
        wait_until(is_ready, within=_START_WITHIN, what=f"{program.name} is ready\n{tail(log)}")
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _configured(state: Path) -> StackConfig:
    config = StackConfig(ROOT, state, free_ports(), delay_divisor=1.0)
    for folder in ("home", "tmp", "logs", "ready", "journal"):
        config.path(folder).mkdir()
    write_config(config)
    return config


def _api_zip() -> Path:
    resources = load_resources(ROOT)
    folder = ROOT / ".mailroom" / "builds"
    folder.mkdir(parents=True, exist_ok=True)
    return build(ROOT, folder, "api", services_of(resources, "api"), dict(os.environ))


def _made(cloud: Cloud, api_zip: Path | None) -> dict[str, str]:
    flags = ["--make"]
    if api_zip:
        flags += ["--api-zip", str(api_zip), "--runtime", runtime()]
    found: dict[str, str] = json.loads(_run_fill(cloud, flags))
    return found


def _run_fill(cloud: Cloud, flags: list[str]) -> str:
    command = [sys.executable, "-m", "bench.fill", str(cloud.config.state), *flags]
    # A profile of the user's shell must not reach anything that makes resources.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**kept, **processes.cloud_variables(cloud.config), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StandError(f"the emulator could not be filled: {done.stderr[-2000:]}")
    return done.stdout
