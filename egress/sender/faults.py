"""Where a test may kill the sender. In production nothing is armed and nothing happens.

Crash safety cannot be shown by killing at random alone: the instants that matter are
microseconds long. So they have names, and a file can ask for death at the n-th visit to one.
"""

import os
import signal
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Moment(StrEnum):
    """The instants around which a crash could lose or repeat mail."""

    BEFORE_CLAIM = "before-claim"
    AFTER_CLAIM = "after-claim"
    BEFORE_DOT = "before-dot"
    AFTER_DOT = "after-dot"
    AFTER_REPLY = "after-reply"
    AFTER_VERDICT = "after-verdict"


class Faults(Protocol):
    """Told about every moment as it is reached."""

    def reach(self, moment: Moment) -> None:
        """Do what is armed for `moment`, usually nothing."""


class NoFaults:
    """Production: no moment is special."""

    def reach(self, moment: Moment) -> None:
        """Do nothing."""


class ArmedByFile:
    """Dies by SIGKILL at the n-th visit to the moment that a file names (`after-dot:17`).

    The file is removed first, so the restarted process lives.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._moment: str | None = None
        self._left = 0

    def reach(self, moment: Moment) -> None:
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
