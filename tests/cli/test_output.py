"""Tables of the tool: what has no room is left out rather than broken into pieces."""

import io

import pytest
from rich.console import Console

from cli.output import Printer

ROWS = [
    {"id": "dom_3ock4cbcurqd6ajdm3wv34v", "name": "example.com", "state": "ok", "updated_at": 5.0},
    {"id": "dom_3ock4cbcurqd6ajdm3wv34w", "name": "\u4f8b.example", "state": "missing"},
]


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (200, ["id", "name", "state", "updated_at"]),
        (70, ["id", "name", "state", "updated_at"]),
        (69, ["id", "name", "state"]),
        (49, ["id", "name", "state"]),
        (48, ["id", "name"]),
        (40, ["id", "name"]),
        (39, ["id"]),
        (10, ["id"]),
    ],
)
def test_columns_without_room_are_left_out(width: int, columns: list[str]) -> None:
    out = io.StringIO()
    Printer(Console(file=out, width=width), Console(file=io.StringIO())).rows(ROWS)
    lines = out.getvalue().splitlines()
    assert lines[0].split() == columns
    if width > 30:
        assert len(lines) == 3
        assert lines[1].startswith(ROWS[0]["id"])


def test_named_columns_are_all_shown() -> None:
    out = io.StringIO()
    Printer(Console(file=out, width=30), Console(file=io.StringIO())).rows(ROWS, ("id", "name"))
    assert "name" in out.getvalue().splitlines()[0]
