"""Only the sender, with the real AWS adapters: accepted mail waits, then the sender starts."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from bench.processes import usage
from bench.sample import message
from bench.stand import ROOT, StandError, printing_port, wait_until
from egress.connections import PoolSettings
from localstack import processes
from localstack.config import RECIPIENT_DOMAIN, StackConfig, write_config
from localstack.ports import free_ports
from localstack.resources import load_resources
from localstack.supervisor import answers, tail

_START_WITHIN = 60.0
_WITHIN = 900.0


def drain(count: int) -> dict[str, Any]:
    """Return how fast one sender process delivers `count` waiting messages, and at what CPU.

    From the moment it is ready until the last verdict is in the ledger. Raises StandError.
    """
    with contextlib.ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = _configured(state)
        emulator = stack.enter_context(_running(processes.emulator(config, os.environ), state))
        port = stack.enter_context(printing_port("bench.sink"))
        program = _sender(config, _filled(config, count), port)
        sender = stack.enter_context(_running(program, state))
        log = config.path("logs", "sender.log")
        started, before = monotonic(), usage([sender]).cpu
        emulator_before = usage([emulator]).cpu
        wait_until(
            lambda: log.read_text().count('"event": "attempt"') >= count,
            within=_WITHIN,
            what=f"{count} verdicts\n{tail(log)}",
        )
        seconds, after = monotonic() - started, usage([sender])
        emulator_after = usage([emulator]).cpu
        refused = count - log.read_text().count('"reply": "2')
    if refused:
        raise StandError(f"{refused} of {count} messages were not taken by the sink")
    return {
        "messages_per_second": round(count / seconds, 1),
        "cpu_ms_per_message": round((after.cpu - before) / count * 1000, 3),
        "emulator_cpu_ms_per_message": round((emulator_after - emulator_before) / count * 1000, 3),
        "peak_rss_mb": round(after.peak_mb, 1),
        "processes": 1,
        "ledger": "emulator",
        "connections": f"up to {PoolSettings().connections} to the sink",
        "message_octets": len(message()),
        "messages": count,
        "tls": False,
        "includes": "key and directory look-ups of a sender that has just started",
        "sink": "bench.sink, one process on the same cores, not counted",
    }


def _configured(state: Path) -> StackConfig:
    config = StackConfig(ROOT, state, free_ports(), delay_divisor=1.0)
    for folder in ("home", "tmp", "logs", "ready", "journal"):
        config.path(folder).mkdir()
    write_config(config)
    return config


def _filled(config: StackConfig, count: int) -> dict[str, str]:
    command = [sys.executable, "-m", "bench.fill", str(config.state), str(count)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**_variables(), **processes.cloud_variables(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StandError(f"the ledger could not be filled: {done.stderr[-2000:]}")
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _sender(config: StackConfig, addresses: Mapping[str, str], port: int) -> processes.Program:
    program = processes.host_process(
        config, os.environ, "sender", load_resources(config.root), addresses
    )
    route = {"MAILROOM_STATIC_ROUTES": f"{RECIPIENT_DOMAIN}=127.0.0.1:{port}"}
    return processes.Program(
        program.name,
        program.command,
        {**program.environment, **route},
        program.ready_file,
    )


@contextmanager
def _running(program: processes.Program, state: Path) -> Iterator[int]:
    """Run one program until it is ready; yield its process id; end it."""
    log = state / "logs" / f"{program.name}.log"
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


def _variables() -> dict[str, str]:
    # A profile of the user's shell must not reach anything that makes resources.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "PYTHONPATH": str(ROOT)}
