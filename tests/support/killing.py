"""kill -9 for the processes of a running stack, from outside or at a moment they reach."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.customer import wait_for
from tests.support.stack import Stack


class Victim:
    """One process of a stack that its supervisor starts again."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.name = name
        self._state = stack.state
        self.fault_file = stack.state / f"fault-{name}"

    @property
    def seen(self) -> dict[str, Any]:
        """Its `pid`, `restarts` and `healthy`, as the supervisor says."""
        stack = json.loads((self._state / "stack.json").read_text())
        found: dict[str, Any] = stack["status"]["processes"][self.name]
        return found

    def kill(self) -> None:
        """Kill it now and wait until the supervisor has noticed."""
        before = self.seen
        os.kill(before["pid"], signal.SIGKILL)
        self.wait_until_reborn(before["restarts"], f"a new {self.name}")

    def kill_at(self, moment: str, visits: int) -> None:
        """Let it die when it reaches `moment` for the `visits`th time; wait until it has."""
        restarts = self.seen["restarts"]
        armed = self.fault_file.with_suffix(".new")
        armed.write_text(f"{moment}:{visits}")
        armed.replace(self.fault_file)
        self.wait_until_reborn(restarts, f"death of {self.name} at {moment}, visit {visits}")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Have it do nothing while the block runs."""
        pid = self.seen["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def disarm(self) -> None:
        """Take back what is armed and was not reached."""
        self.fault_file.unlink(missing_ok=True)

    def wait_until_reborn(self, restarts: int, what: str) -> None:
        """Wait until the supervisor has counted more than `restarts`."""
        wait_for(lambda: self.seen["restarts"] > restarts, within=60, every=0.1, what=what)
