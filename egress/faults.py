"""Where a test may kill a host process. In production nothing is armed and nothing happens.

Crash safety cannot be shown by killing at random alone: the instants that matter are
microseconds long. So they have names (`sender/faults.py`, `submission/faults.py`), and a file can
ask for death at the n-th visit to one.
"""

import os
import signal
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Faults(Protocol):
    """Told about every moment as it is reached."""

    def reach(self, moment: StrEnum) -> None:
        """Do what is armed for `moment`, usually nothing."""


class NoFaults:
    """Production: no moment is special."""

    def reach(self, moment: StrEnum) -> None:
        """Do nothing."""


class ArmedByFile:
    """Dies by SIGKILL at the n-th visit to the moment that a file names (`after-dot:17`).

    The file is removed first, so the restarted process lives.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._moment: str | None = None
        self._left = 0

    def reach(self, moment: StrEnum) -> None:
        """See Faults.reach."""
        if self._moment is None and self._path.exists():
            name, _, count = self._path.read_text().strip().partition(":")
            self._moment, self._left = name, int(count or "1")
        if self._moment != moment:
            return
        self._left -= 1
        if self._left <= 0:
            self._path.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)


def faults_of(path: Path | None) -> Faults:
    """Return what a process told of `path`, or of none, does at its moments."""
    return ArmedByFile(path) if path else NoFaults()
