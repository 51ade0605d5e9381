"""swaks as a function."""

import shutil
import subprocess
from dataclasses import dataclass

import pytest


@dataclass(frozen=True, slots=True)
class Transcript:
    """How a run ended and what it printed; `->` marks what the client sent, `<-` the replies."""

    code: int
    text: str

    def pipelined(self, *commands: str) -> bool:
        """Say whether `commands` were sent one behind the other before any reply was read."""
        lines = [line.strip() for line in self.text.splitlines()]
        sent = [number for number, line in enumerate(lines) if line.endswith(commands)]
        return len(sent) == len(commands) and sent[-1] - sent[0] == len(commands) - 1


def run_swaks(host: str, port: int, *options: str) -> Transcript:
    """Send one message to `host`; skips the test where swaks is not installed."""
    if shutil.which("swaks") is None:
        pytest.skip("not installed: swaks (.ci/run installs it)")
    command = ["swaks", "--server", host, "--port", str(port), "--timeout", "60"]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=120, check=False
    )
    return Transcript(done.returncode, done.stdout + done.stderr)
