"""Cells of Postal's rows as what they mean, whichever of its versions wrote them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from cli.postal.source import Row, Value

MAX_TEXT = 10_000  # characters of a cell that is no key


class CellError(ValueError):
    """A cell that is needed is missing or cannot be read."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one row. A column that a version does not have reads like an empty one."""

    row: Row

    def text(self, name: str, otherwise: str = "") -> str:
        """Return a cell as text, `otherwise` if it is empty."""
        found = _text(self.row.get(name))
        if len(found) > MAX_TEXT:
            raise CellError(f"{name} has over {MAX_TEXT} characters")
        return found or otherwise

    def need(self, name: str) -> str:
        """Return a cell that must have text. Raises CellError."""
        found = self.text(name)
        if not found:
            raise CellError(f"{name} is empty")
        return found

    def number(self, name: str) -> int | None:
        """Return a cell as a whole number, None if it is empty. Raises CellError."""
        value = self.row.get(name)
        if value is None or value == "":
            return None
        try:
            return int(_text(value).partition(".")[0])
        except ValueError:
            raise CellError(f"{name} is no number") from None

    def id(self, name: str = "id") -> int:
        """Return a number that must be there. Raises CellError."""
        found = self.number(name)
        if found is None:
            raise CellError(f"{name} is empty")
        return found

    def truth(self, name: str, *, otherwise: bool = False) -> bool:
        """Return a flag; `otherwise` if it is empty. A bit column comes as an octet."""
        value = self.row.get(name)
        if isinstance(value, bytes) and len(value) == 1 and value[0] < 2:
            return bool(value[0])
        text = _text(value).lower()
        return otherwise if not text else text not in ("0", "false", "f", "0.0")

    def time(self, name: str) -> float | None:
        """Return a time in Unix seconds: a number, or a DATETIME, which Postal keeps in UTC."""
        text = _text(self.row.get(name))
        if not text:
            return None
        try:
            return float(text)
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
        except ValueError:
            raise CellError(f"{name} is no time") from None

    def lines(self, name: str) -> tuple[str, ...]:
        """Return the lines of a cell that are not empty."""
        return tuple(line for raw in self.text(name).splitlines() if (line := raw.strip()))


def _text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    return str(value).strip()
