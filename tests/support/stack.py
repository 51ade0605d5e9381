"""A whole platform of the test's own, beside whatever else runs on the machine."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Stack:
    """A stack in its state folder."""

    state: Path

    def command(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run `python -m localstack ARGUMENTS --state ...`."""
        return subprocess.run(
            [sys.executable, "-m", "localstack", *arguments, "--state", str(self.state)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=check,
        )

    @property
    def status(self) -> dict[str, Any]:
        """What `./run status --json` says now."""
        found: dict[str, Any] = json.loads(self.command("status", "--json").stdout)
        return found

    def log(self, name: str) -> str:
        """The log of one process."""
        return (self.state / "logs" / f"{name}.log").read_text(errors="replace")

    def call(self, path: str, body: object, *, key: str | None = None) -> dict[str, Any]:
        """POST JSON to the API with the demo tenant's key, or with `key`."""
        status = self.status
        request = urllib.request.Request(
            status["api_url"] + path,
            data=json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "X-Server-API-Key": status["api_key"] if key is None else key,
            },
        )
        with urllib.request.urlopen(request, timeout=40) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def simulator(self, path: str) -> dict[str, Any]:
        """GET JSON from the mailbox simulator."""
        with urllib.request.urlopen(self.status["simulator_url"] + path, timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


@contextmanager
def running_stack(folder: Path, arguments: Sequence[str] = ()) -> Iterator[Stack]:
    """Start a stack on free ports and stop it."""
    stack = Stack(folder)
    started = stack.command("up", "--detach", "--ports", "auto", *arguments, check=False)
    if started.returncode != 0:
        raise RuntimeError(f"the stack did not start:\n{started.stdout}\n{started.stderr}")
    try:
        yield stack
    finally:
        stack.command("down")
