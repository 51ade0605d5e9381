"""An AWS emulator of the test's own."""

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localstack_client.session import Session

from localstack import processes, state
from localstack.config import LOOPBACK, StackConfig
from localstack.ports import free_ports
from localstack.supervisor import answers, tail

ROOT = Path(__file__).resolve().parent.parent.parent
_accounts = itertools.count(100_000_000_001)


@dataclass(frozen=True)
class Emulator:
    """A running emulator at `port` of the loopback address."""

    port: int

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def new_account(self) -> str:
        """An account nobody else has: the emulator keeps accounts apart by their access key."""
        return str(next(_accounts))

    def session(self, account: str | None = None) -> Session:
        """Clients of one account, by default of a new one."""
        return Session(
            aws_access_key_id=account or self.new_account(),
            aws_secret_access_key="test",
            aws_session_token=None,
            region_name="us-east-1",
            localstack_host=f"{LOOPBACK}:{self.port}",
        )


@contextmanager
def running_emulator(folder: Path) -> Iterator[Emulator]:
    """Start an emulator that writes below `folder`, and stop it."""
    config = StackConfig(ROOT, folder, free_ports())
    for needed in ("home", "tmp"):
        (folder / needed).mkdir()
    program = processes.emulator(config, os.environ)
    log = folder / "emulator.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            program.command,
            env=dict(program.environment),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        if not state.wait_for(lambda: answers(program.ready_url), 30):
            raise RuntimeError(f"the emulator did not start: {tail(log)}")
        yield Emulator(config.ports.emulator)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
