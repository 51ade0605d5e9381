"""An append-only file of JSON lines that survives kill -9 of its writer.

A line is handed to the kernel whole before `append` returns. There is no fsync: a crash of the
machine, not of the process, may lose the newest lines.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class Journal:
    """The open file. One writer at a time; the caller sees to that."""

    def __init__(self, path: Path) -> None:
        """Open or make `path`; a last line that a killed writer left torn is cut off."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._size = _whole_lines(path)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.ftruncate(self._file, self._size)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield what was appended, oldest first; a line that is not a JSON object is skipped."""
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    entry = json.loads(line)
                except ValueError:
                    entry = None
                if isinstance(entry, dict):
                    yield entry
                else:
                    log.warning("%s line %d is damaged and skipped", self._path.name, number)

    def append(self, *entries: Mapping[str, object]) -> bytes:
        """Add entries together; return what was written.

        Raises OSError (a full disk, say), and the file is as before.
        """
        lines = b"".join(map(as_line, entries))
        try:
            written = 0
            while written < len(lines):
                written += os.write(self._file, lines[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(lines)
        return lines

    def replace(self, entries: Iterable[Mapping[str, object]]) -> None:
        """Put `entries` in place of everything, in one step."""
        draft = self._path.with_name(f".{self._path.name}.new")
        with draft.open("wb") as file:
            for entry in entries:
                file.write(as_line(entry))
        draft.replace(self._path)
        os.close(self._file)
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND)
        self._size = os.fstat(self._file).st_size

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def as_line(entry: Mapping[str, object]) -> bytes:
    """The entry as it stands in the file, line end included."""
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _whole_lines(path: Path) -> int:
    """Octets up to and with the last line end."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        while position:
            start = max(0, position - 65_536)
            file.seek(start)
            end = file.read(position - start).rfind(b"\n")
            if end >= 0:
                return start + end + 1
            position = start
    return 0
