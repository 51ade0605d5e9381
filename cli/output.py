"""What the tool prints: tables for people, JSON for scripts; problems go to standard error.

Values come from strangers (subjects, replies of mail servers): control characters never reach the
terminal, and nothing in them is markup.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.errors import CliError, RefusedError

MAX_COLUMNS = 7
_GAP = 2  # between two columns
_FIRST = ("id", "name", "address", "recipient", "state", "status", "subject", "at", "created_at")
_STATES = {
    "green": ("ok", "active", "sent", "delivered", "verified", "live", "create", "done", "normal"),
    "yellow": (
        "missing",
        "pending",
        "queued",
        "deferred",
        "held",
        "update",
        "running",
        "slow",
        "backoff",
        "probe",
        "draining",
    ),
    "red": (
        "invalid",
        "failed",
        "bounced",
        "expired",
        "suspended",
        "conflict",
        "error",
        "disabled",
    ),
}
_STYLES = {word: style for style, words in _STATES.items() for word in words}


@dataclass(frozen=True, slots=True)
class Printer:
    """Prints answers to `out` and remarks to `err`."""

    out: Console
    err: Console
    as_json: bool = False
    quiet: bool = False

    def value(self, value: Any) -> None:
        """Print one answer: an object, octets, or nothing."""
        if isinstance(value, bytes):
            _octets(self.out.file, value)
        elif self.as_json:
            self.json(value)
        elif isinstance(value, Mapping):
            self.out.print(_object(value))
        elif value is not None:
            self.out.print(Text(shown(value)))

    def rows(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
        """Print a table. Without `columns` the most telling ones that have room are shown."""
        names = columns or _fitting(_columns(rows), rows, self.out.width)
        if not names:
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in names:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*(styled(timed(name, row.get(name))) for name in names))
        self.out.print(table)

    def json(self, value: Any) -> None:
        """Print JSON: indented for a person, one line for a pipe."""
        indent = 2 if self.out.is_terminal else None
        self.out.file.write(json.dumps(value, indent=indent, ensure_ascii=False) + "\n")

    def json_line(self, value: Any) -> None:
        """Print JSON on one line: a row of JSON Lines."""
        self.out.file.write(json.dumps(value, ensure_ascii=False) + "\n")

    def heading(self, text: str) -> None:
        """Print the title of a table that follows."""
        self.out.print(Text(clean(text), style="bold"))

    def restart(self) -> None:
        """Begin again at the top of the screen; nothing where there is none."""
        if self.out.is_terminal:
            self.out.clear()

    def line(self, text: str) -> None:
        """Print a plain line of the answer."""
        self.out.print(Text(clean(text)), soft_wrap=True)

    def note(self, text: str) -> None:
        """Say something that is no part of the answer; nothing with --quiet."""
        if not self.quiet:
            self.err.print(Text(clean(text)), soft_wrap=True)

    def problem(self, error: CliError) -> None:
        """Say why the tool ends; JSON if answers are."""
        if not isinstance(error, RefusedError):
            self.err.print(Text(f"mailroom: {clean(str(error))}"), soft_wrap=True)
            return
        refusal = error.refusal
        if self.as_json:
            self.err.file.write(json.dumps({"error": refusal.as_json()}) + "\n")
            return
        lines = [f"refused: {error}", *(f"  {p.path}: {p.message}" for p in refusal.fields)]
        if refusal.request_id:
            lines.append(f"  request {refusal.request_id}")
        for line in lines:
            self.err.print(Text(clean(line)), soft_wrap=True)


def clean(text: str) -> str:
    """Return `text` without control characters, which could steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def shown(value: Any) -> str:
    """Return a value as one short text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple) and all(not isinstance(v, dict | list) for v in value):
        return clean(", ".join(map(str, value)))
    if isinstance(value, dict | list):
        return clean(json.dumps(value, ensure_ascii=False))
    return clean(str(value))


def timed(name: str, value: Any) -> Any:
    """Return a time of the API (Unix seconds in a field named `..._at`) as people read it: UTC."""
    if not name.endswith(("_at", "since", "until")) or not isinstance(value, float | int):
        return value
    try:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return value


def styled(value: Any) -> Text:
    """Return a value for a table; words that are states have the colour of what they mean."""
    text = shown(value)
    return Text(text, style=_STYLES.get(text.lower(), ""))


def _object(value: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, each in value.items():
        table.add_row(Text(clean(name)), styled(timed(name, each)))
    return table


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    names: dict[str, None] = {}
    for row in rows:
        plain = (name for name, value in row.items() if not isinstance(value, dict | list))
        names.update(dict.fromkeys(plain))
    order = {name: place for place, name in enumerate(_FIRST)}
    return sorted(names, key=lambda name: order.get(name, len(order)))[:MAX_COLUMNS]


def _fitting(names: Sequence[str], rows: Sequence[Mapping[str, Any]], width: int) -> Sequence[str]:
    """Return the first of the columns that fit on a line: ids in pieces are of no use."""
    for number, name in enumerate(names):
        cells = (shown(timed(name, row.get(name))) for row in rows)
        width -= max(map(cell_len, (name, *cells)))
        if width < 0 and number:
            return names[:number]
        width -= _GAP
    return names


def _octets(stream: TextIO | Any, octets: bytes) -> None:
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        stream.write(octets.decode("utf-8", "replace"))
    else:
        stream.flush()
        buffer.write(octets)
        buffer.flush()


def printer(*, as_json: bool, quiet: bool) -> Printer:
    """Return a printer on this process's streams; rich leaves colours out where nobody sees."""
    return Printer(
        Console(file=sys.stdout, highlight=False),
        Console(file=sys.stderr, highlight=False),
        as_json,
        quiet,
    )
