"""One line of a comparison: our figures, a peer's, and the conditions each was measured under.

A figure that does not say how it was come by cannot be made, and a line cannot show a figure from
memory without the one with the real AWS adapters beside it: alone it would be taken for the
product's.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class LineError(ValueError):
    """The figures may not be shown like this; the message says what is missing."""


class Ledger(StrEnum):
    """Where the truth about the mail stood while it was measured."""

    MEMORY = "memory"
    EMULATOR = "emulator"
    AWS = "AWS"
    DISK = "disk"


OURS = "mailroom"


@dataclass(frozen=True, slots=True)
class Figure:
    """A rate and its CPU, with the conditions. `cpu_ms_per_1000` is of `processes` alone: load
    generator and sink are never in it, and `emulator_cpu_ms_per_1000` is the emulator's own.

    `cpu` names the processor and its cores. Raises LineError when a condition is missing.
    """

    who: str
    ledger: Ledger
    durable: str  # what has been made safe when the client gets its answer
    connections: int
    message_octets: int
    processes: str
    cpu: str
    messages: int
    per_second: float
    cpu_ms_per_1000: float
    emulator_cpu_ms_per_1000: float | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("who", "durable", "processes", "cpu"):
            if not getattr(self, name):
                raise LineError(f"a figure without its {name}")
        for name in ("connections", "message_octets", "messages"):
            if getattr(self, name) < 1:
                raise LineError(f"a figure without its {name}")
        if self.ledger is Ledger.AWS:
            raise LineError("nothing here is measured on AWS")


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """A place where a figure would stand. `why` is a sentence. Raises LineError without one."""

    who: str
    ledger: Ledger
    why: str

    def __post_init__(self) -> None:
        if not self.why:
            raise LineError("a missing figure without its reason")


ON_AWS = NotMeasured(OURS, Ledger.AWS, "not measured: needs an account")


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison: `work` says what is done to a message, `how` what else was the same for all.

    `unlike` is empty, or says how the peer's work differs so much that the ratios do not compare
    like with like. Raises LineError for a figure from memory without one from the emulator.
    """

    work: str
    how: str
    figures: tuple[Figure | NotMeasured, ...]
    unlike: str = ""

    def __post_init__(self) -> None:
        measured = {(figure.who, figure.ledger) for figure in self._measured()}
        if (OURS, Ledger.MEMORY) in measured and (OURS, Ledger.EMULATOR) not in measured:
            raise LineError("a figure from memory needs the one with the real adapters beside it")

    @property
    def ratios(self) -> dict[str, float]:
        """How many times the peer's rate ours is, and how many times our CPU its is, by ledger.

        Above 1 is better than the peer in both. Empty without a peer's figure.
        """
        peer = next((f for f in self._measured() if f.who != OURS), None)
        found: dict[str, float] = {}
        for ours in self._measured():
            if peer is None or ours.who != OURS:
                continue
            for name, above, below in (
                ("rate", ours.per_second, peer.per_second),
                ("cpu", peer.cpu_ms_per_1000, ours.cpu_ms_per_1000),
            ):
                if above and below:  # a short run's CPU can be less than a clock tick
                    key = f"{ours.ledger}_{name}"
                    found[key] = max(found.get(key, 0.0), round(above / below, 2))
        return found

    def _measured(self) -> Iterator[Figure]:
        return (figure for figure in self.figures if isinstance(figure, Figure))

    def as_json(self) -> dict[str, Any]:
        """Return everything, the figure nobody has of AWS included."""
        return {
            "work": self.work,
            "how": self.how,
            "figures": [_as_json(figure) for figure in (*self.figures, ON_AWS)],
            "ratios_to_peer": self.ratios,
            "unlike": self.unlike,
        }

    def as_text(self) -> Iterator[str]:
        """Yield the lines of a table, each with its conditions."""
        yield f"{self.work} | {self.how}"
        for figure in (*self.figures, ON_AWS):
            yield f"  {_row(figure)}"
        if self.ratios:
            shown = ", ".join(f"{name} {ratio:g}" for name, ratio in self.ratios.items())
            yield f"  times better than the peer: {shown}"
        if self.unlike:
            yield f"  not like for like: {self.unlike}"


def _as_json(figure: Figure | NotMeasured) -> dict[str, Any]:
    return {"measured": isinstance(figure, Figure), **asdict(figure)}


def _row(figure: Figure | NotMeasured) -> str:
    head = f"{figure.who:<18} {figure.ledger:<9}"
    if isinstance(figure, NotMeasured):
        return f"{head} {figure.why}"
    emulator = figure.emulator_cpu_ms_per_1000
    beside = f" (emulator {emulator:,.0f})" if emulator is not None else ""
    note = f" | {figure.note}" if figure.note else ""
    return (
        f"{head} {figure.per_second:>8,.1f}/s {figure.cpu_ms_per_1000:>8,.0f} ms CPU/1,000{beside}"
        f" | {figure.connections} connections, {figure.message_octets:,} octets,"
        f" {figure.messages:,} messages, {figure.processes} | {figure.durable} | {figure.cpu}{note}"
    )
