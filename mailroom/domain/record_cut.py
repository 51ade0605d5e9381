"""Cut the octets of a long file into records, a chunk at a time, wherever the chunk was cut off."""

from collections.abc import Iterator
from dataclasses import dataclass

MAX_RECORD = 16_384  # octets
MAX_LINES = 100  # of one record: an apostrophe gone wrong must not swallow the rest of a file


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `line` counts the file's lines from 0 at the chunk's start. A record with a
    `problem` is none: it is too long, or a quote in it is never closed.
    """

    line: int
    octets: bytes
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """What a chunk held: records, how many octets and lines they were, and whether the chunk ends
    within a line that is too long, whose rest is to be passed over.
    """

    records: tuple[Record, ...]
    octets: int
    lines: int
    skipping: bool = False


def cut(chunk: bytes, *, at_end: bool, quoted: bool, skipping: bool = False) -> Cut:
    """Cut `chunk` into whole records; `at_end` says that the file ends with it.

    What is not whole yet is not counted, so that the next chunk begins with it. A chunk of more
    than 2 x MAX_RECORD octets always comes forward. `quoted` records (CSV) go over line ends
    within quotes.
    """
    start, first = 0, 0
    if skipping:
        start = chunk.find(b"\n") + 1
        if not start:
            return Cut((), len(chunk), 0, skipping=not at_end)
        first = 1
    records: list[Record] = []
    ends = list(_line_ends(chunk, start, at_end=at_end))
    at, position = 0, start
    while at < len(ends):
        record, taken = _record(
            chunk, position, ends[at : at + MAX_LINES], first + at, quoted=quoted
        )
        if record is None and not at_end and taken < MAX_LINES:
            break  # the rest of it is in the next chunk
        if record is None:
            record, taken = (
                Record(first + at, chunk[position : ends[at]], "a quote is not closed"),
                1,
            )
        records.append(record)
        at += taken
        position = ends[at - 1]
    rest = len(chunk) - position
    if not at_end and at == len(ends) and rest > MAX_RECORD:
        records.append(Record(first + at, b"", "the line is too long"))
        return Cut(tuple(records), len(chunk), first + at, skipping=True)
    return Cut(tuple(records), position, first + at)


def _line_ends(chunk: bytes, start: int, *, at_end: bool) -> Iterator[int]:
    """Yield where each whole line ends, behind its line feed."""
    at = start
    while (found := chunk.find(b"\n", at)) >= 0:
        at = found + 1
        yield at
    if at_end and at < len(chunk):
        yield len(chunk)


def _record(
    chunk: bytes, start: int, ends: list[int], line: int, *, quoted: bool
) -> tuple[Record | None, int]:
    """Return the record that begins at `start` and how many lines it has; None if it has no end."""
    for lines, end in enumerate(ends, start=1):
        octets = chunk[start:end]
        if lines == 1 and len(octets) > MAX_RECORD:
            return Record(line, b"", "the line is too long"), 1
        if len(octets) > MAX_RECORD:
            return None, MAX_LINES
        if not quoted or octets.count(b'"') % 2 == 0:
            return Record(line, octets.rstrip(b"\r\n")), lines
    return None, len(ends)
