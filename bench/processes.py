"""CPU and memory of process trees, from /proc.

A tree's CPU is what its living members used plus what each of them has reaped, so processes that
came and went inside the window are counted, as long as their parent waited for them.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Stat:
    """One process. CPU in clock ticks: its own, and that of the children it has waited for."""

    pid: int
    parent: int
    own: int
    reaped: int

    @property
    def ticks(self) -> int:
        """All CPU that this process answers for."""
        return self.own + self.reaped


def parse_stat(text: str) -> Stat:
    """Read `/proc/<pid>/stat` (proc(5)). The command may hold spaces and parentheses.

    Raises ValueError for anything else.
    """
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    user, system, children_user, children_system = map(int, fields[11:15])
    return Stat(
        pid=int(head.split(" ", 1)[0]),
        parent=int(fields[1]),
        own=user + system,
        reaped=children_user + children_system,
    )


def parse_peak(text: str) -> int:
    """Return the peak resident size in KiB from `/proc/<pid>/status`; 0 if it says none."""
    for line in text.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def below(root: int, stats: Iterable[Stat]) -> list[Stat]:
    """Return `root` and all its descendants, parents first."""
    by_parent: dict[int, list[Stat]] = {}
    found: list[Stat] = []
    for stat in stats:
        by_parent.setdefault(stat.parent, []).append(stat)
        if stat.pid == root:
            found.append(stat)
    for stat in found:  # grows while it is walked
        found += by_parent.get(stat.pid, [])
    return found


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds so far, and the sum of peak resident sizes in MB."""

    cpu: float
    peak_mb: float


def usage(pids: Iterable[int]) -> Usage:
    """Return what the trees under `pids` have used. A process that is gone counts nothing."""
    stats = list(_all())
    members = {stat.pid: stat for pid in pids for stat in below(pid, stats)}
    peak = sum(parse_peak(_read(pid, "status")) for pid in members)
    ticks = sum(stat.ticks for stat in members.values())
    return Usage(ticks / TICKS, peak / 1024)


def usage_by_name(roots: Mapping[str, int]) -> dict[str, Usage]:
    """Return the usage of each named process. Lambda workers stand apart from the emulator that
    runs them, as `function NAME`, summed over the workers of a function.
    """
    stats = list(_all())
    totals: dict[str, list[Stat]] = {}
    for name, pid in roots.items():
        for stat in below(pid, stats):
            function = _function(stat.pid) if stat.pid != pid else ""
            totals.setdefault(f"function {function}" if function else name, []).append(stat)
    return {
        name: Usage(
            sum(stat.ticks for stat in members) / TICKS,
            sum(parse_peak(_read(stat.pid, "status")) for stat in members) / 1024,
        )
        for name, members in totals.items()
    }


def _function(pid: int) -> str:
    for variable in _read(pid, "environ").split("\0"):
        if variable.startswith("AWS_LAMBDA_FUNCTION_NAME="):
            return variable.partition("=")[2]
    return ""


def _all() -> Iterator[Stat]:
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(ValueError):
                yield parse_stat(_read(int(entry.name), "stat"))


def _read(pid: int, name: str) -> str:
    try:
        return (_PROC / str(pid) / name).read_text(errors="replace")
    except OSError:  # it ended, or is not ours to look at
        return ""
