"""The lines of the local journal, and what they mean after a crash.

Four lines tell the life of a claim: `claim` (ours to send), `dot` (the final dot goes out now),
`verdict` (how it ended), `settled` (the table knows). One JSON object a line.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class RecordKind(StrEnum):
    """What a line says. Values are stored; never rename them."""

    CLAIM = "claim"
    DOT = "dot"
    VERDICT = "verdict"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class ClaimRecord:
    """A claim with all it takes to act on it after a restart. `claim` is its id."""

    claim: str
    server: str
    number: int
    index: int
    generation: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """A claim whose verdict the table may not know. `verdict` is as the writer gave it."""

    claim: ClaimRecord
    verdict: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a journal leaves to do.

    `released`: no dot was written, so nothing was sent; try again. `uncertain`: the dot went
    out and no verdict is known. `unrecorded`: the verdict must still be written to the table.
    `unreadable` counts lines that say nothing (a torn end, garbage, an unknown claim).
    """

    released: tuple[ClaimRecord, ...] = ()
    uncertain: tuple[ClaimRecord, ...] = ()
    unrecorded: tuple[Unrecorded, ...] = ()
    unreadable: int = 0


@dataclass(slots=True)
class OpenClaims:
    """The claims not settled yet, each with its lines: what a compacted journal keeps."""

    lines: dict[str, list[bytes]] = field(default_factory=dict)

    def note(self, kind: RecordKind, claim: str, line: bytes) -> None:
        """Follow one written line. Raises KeyError for a claim that is not open."""
        if kind is RecordKind.CLAIM:
            self.lines.setdefault(claim, []).append(line)  # a repeat must not hide a dot
        elif kind is RecordKind.SETTLED:
            del self.lines[claim]
        else:
            self.lines[claim].append(line)

    def dump(self) -> bytes:
        """Return the lines of all open claims, oldest claim first."""
        return b"".join(line for lines in self.lines.values() for line in lines)


def claim_line(record: ClaimRecord) -> bytes:
    """Return the line that opens a claim."""
    return _line(
        {
            "kind": RecordKind.CLAIM,
            "claim": record.claim,
            "server": record.server,
            "number": record.number,
            "index": record.index,
            "generation": record.generation,
            "attempt": record.attempt,
        }
    )


def mark_line(kind: RecordKind, claim: str) -> bytes:
    """Return a `dot` or `settled` line."""
    return _line({"kind": kind, "claim": claim})


def verdict_line(claim: str, verdict: Mapping[str, Any]) -> bytes:
    """Return a `verdict` line. Raises TypeError or ValueError for what is not JSON."""
    return _line({"kind": RecordKind.VERDICT, "claim": claim, "verdict": dict(verdict)})


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def _line(fields: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode(fields).encode("ascii") + b"\n"


def replay(lines: Iterable[bytes]) -> Replay:
    """Say what `lines` leave to do. Total: any bytes give an answer."""
    claims: dict[str, ClaimRecord] = {}
    dots: set[str] = set()
    verdicts: dict[str, Mapping[str, Any]] = {}
    unreadable = 0
    for line in lines:
        fields = _read(line)
        kind, claim = fields.get("kind"), fields.get("claim")
        if kind == RecordKind.CLAIM and (record := _claim(fields)):
            claims[record.claim] = record
        elif not isinstance(claim, str) or claim not in claims:
            unreadable += bool(line.strip())
        elif kind == RecordKind.DOT:
            dots.add(claim)
        elif kind == RecordKind.VERDICT and isinstance(fields.get("verdict"), dict):
            verdicts[claim] = fields["verdict"]
        elif kind == RecordKind.SETTLED:
            claims.pop(claim)
            dots.discard(claim)
            verdicts.pop(claim, None)
        else:
            unreadable += 1
    without = [record for id_, record in claims.items() if id_ not in verdicts]
    return Replay(
        released=tuple(record for record in without if record.claim not in dots),
        uncertain=tuple(record for record in without if record.claim in dots),
        unrecorded=tuple(Unrecorded(claims[id_], verdict) for id_, verdict in verdicts.items()),
        unreadable=unreadable,
    )


def reopen(lines: Iterable[bytes]) -> OpenClaims:
    """Return the open claims of a journal, so that its next life can go on where it stopped."""
    claims = OpenClaims()
    for line in lines:
        fields = _read(line)
        kind, claim = str(fields.get("kind")), fields.get("claim")
        known = isinstance(claim, str) and claim in claims.lines
        is_claim = kind == RecordKind.CLAIM and _claim(fields) is not None
        if isinstance(claim, str) and (is_claim or (known and kind in _LATER)):
            claims.note(RecordKind(kind), claim, line)
    return claims


_LATER = frozenset({RecordKind.DOT, RecordKind.VERDICT, RecordKind.SETTLED})
_TYPES = {"claim": str, "server": str} | dict.fromkeys(
    ("number", "index", "generation", "attempt"), int
)


def _read(line: bytes) -> dict[str, Any]:
    """Read one line; an empty mapping for what is no JSON object, or has no end of line."""
    if not line.endswith(b"\n"):
        return {}
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _claim(fields: Mapping[str, Any]) -> ClaimRecord | None:
    if any(type(fields.get(name)) is not kind for name, kind in _TYPES.items()):
        return None
    return ClaimRecord(**{name: fields[name] for name in _TYPES})
