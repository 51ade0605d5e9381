"""Suppressions in and out of files, as jobs: a million lines, a step at a time.

A step reads one range of the file, adds what it can and says of the rest which line is wrong. It
may be repeated: what was added is not added twice, and the report of a range replaces itself.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mailroom.domain.job import Job, StepResult
from mailroom.domain.job_file import result_key
from mailroom.domain.record_cut import Cut, Record, cut
from mailroom.domain.suppression import Reason, Suppression
from mailroom.domain.suppression_file import (
    JSON_LINES,
    Given,
    Layout,
    LineError,
    guard,
    read_record,
    recognise,
    write_records,
)
from mailroom.ports.files import Files
from mailroom.ports.suppressions import Suppressions
from mailroom.usecases.jobs import BrokenJobError

IMPORT = "import_suppressions"
EXPORT = "export_suppressions"
REPORT = "errors.csv"
MAX_FILE = 500 * 1024 * 1024  # octets
MAX_LINES = 5_000_000
MAX_REPORTED = 1_000  # bad lines
CHUNK = 256 * 1024  # octets of one step
PART_ROWS = 50_000  # suppressions in one file of an export
_PAGE = 1_000
_MAX_SHOWN = 200  # characters of a bad line
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How much one import takes, and how many suppressions go into one file of an export."""

    octets: int = MAX_FILE
    lines: int = MAX_LINES
    part_rows: int = PART_ROWS


@dataclass(frozen=True, slots=True)
class FilePorts:
    """Where suppressions are, and where files are."""

    suppressions: Suppressions
    files: Files
    limits: FileLimits = field(default_factory=FileLimits)


@dataclass(frozen=True, slots=True)
class _Read:
    """What the records of one range say."""

    good: list[Suppression]
    bad: list[tuple[int, str, str]]  # line from 1, what is wrong, how it begins


def part_name(number: int) -> str:
    """Return the name of a file of an export, counted from 1."""
    return f"suppressions-{number:04d}.csv"


def import_step(job: Job, now: float, ports: FilePorts) -> StepResult:
    """Import one range of a file.

    Parameters: `file` (its key), `scope`, `reason` (of lines that name none), `format` ("csv",
    "jsonl" or "" to find out). Result: `added`, `known`, `bad`, `lines`, `product`. Raises
    BrokenJobError for a file that is gone, too large, or in which nothing can be an address.
    """
    parameters, before = job.parameters, _resumed(job)
    size, chunk = _range(parameters["file"], before["offset"], ports)
    at_end = before["offset"] + len(chunk) >= size
    layout, skipped = _layout(chunk, before, str(parameters.get("format", "")))
    found = cut(chunk, at_end=at_end, quoted=layout.has_quotes, skipping=bool(before["skipping"]))
    given = Given(
        str(parameters["scope"]), Reason(parameters["reason"]), f"job {job.id}", job.created_at
    )
    read = _read(found.records[skipped:], layout, given, int(before["line"]))
    added = ports.suppressions.add_many(given.scope, read.good)
    _report(job, before, read.bad, ports.files)
    after = _moved(before, found, layout, read, added)
    if after["line"] > ports.limits.lines:
        raise BrokenJobError(f"the file has more than {ports.limits.lines} lines; divide it")
    finished = at_end and after["offset"] >= size
    result = {name: after[name] for name in ("added", "known", "bad")}
    return StepResult(
        checkpoint=after,
        done=len(read.good),
        failed=len(read.bad),
        total=len(read.good) + len(read.bad) + job.progress.done + job.progress.failed
        if finished
        else None,
        finished=finished,
        result={**result, "product": layout.product, "lines": after["line"], "octets": size},
    )


def export_step(job: Job, now: float, ports: FilePorts) -> StepResult:
    """Write the next file of an export, with up to `part_rows` suppressions.

    Parameters: `scope`, `reason` ("" for all). Result: `parts`, `rows`.
    """
    scope = str(job.parameters["scope"])
    wanted = job.parameters.get("reason")
    reason = Reason(wanted) if wanted else None
    cursor, number = job.checkpoint.get("cursor", ""), job.checkpoint.get("part", 0) + 1
    rows: list[Suppression] = []
    for _ in range(ports.limits.part_rows // _PAGE):
        page = ports.suppressions.page(scope, _PAGE, cursor, reason)
        rows += page.items
        cursor = page.cursor
        if not cursor:
            break
    text = write_records(rows).encode()
    ports.files.put(result_key(job.owner, job.id, part_name(number)), text, "text/csv")
    named = sum(each.address is not None for each in rows)
    total = job.progress.done + named
    return StepResult(
        checkpoint={"cursor": cursor, "part": number},
        done=named,
        total=None if cursor else total,
        finished=not cursor,
        result={"parts": number, "rows": total},
    )


def _resumed(job: Job) -> dict[str, Any]:
    fresh = {"offset": 0, "line": 0, "skipping": False, "added": 0, "known": 0, "bad": 0}
    return {**fresh, **job.checkpoint}


def _range(key: str, offset: int, ports: FilePorts) -> tuple[int, bytes]:
    try:
        size = ports.files.size(key)
        if size > ports.limits.octets:
            raise BrokenJobError(f"the file is larger than {ports.limits.octets} octets")
        return size, ports.files.read(key, offset, CHUNK)
    except KeyError as error:
        raise BrokenJobError("the file is not there: upload it first, within an hour") from error


def _layout(chunk: bytes, before: Mapping[str, Any], form: str) -> tuple[Layout, int]:
    """Return how to read the records, and how many of the first are no data (a header)."""
    if "layout" in before:
        stored = before["layout"]
        return Layout(stored["product"], tuple(stored["columns"]), stored["delimiter"]), 0
    first = chunk.removeprefix(_BOM).split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    if form == "jsonl" or (not form and first.startswith("{")):
        return JSON_LINES, 0
    try:
        layout, is_header = recognise(first)
    except LineError as error:
        raise BrokenJobError(str(error)) from error
    return layout, int(is_header)


def _read(records: Iterable[Record], layout: Layout, given: Given, line: int) -> _Read:
    read = _Read([], [])
    for record in records:
        octets = record.octets.removeprefix(_BOM)
        try:
            if record.problem:
                raise LineError(record.problem)  # noqa: TRY301  # one way out for all that is wrong
            each = read_record(octets.decode("utf-8"), layout, given)
        except UnicodeDecodeError:
            read.bad.append((line + record.line + 1, "not UTF-8", _shown(octets)))
        except LineError as error:
            read.bad.append((line + record.line + 1, str(error), _shown(octets)))
        else:
            read.good.extend(() if each is None else (each,))
    return read


def _shown(octets: bytes) -> str:
    text = octets[: _MAX_SHOWN * 4].decode("utf-8", "replace")
    return "".join(each if each.isprintable() else " " for each in text)[:_MAX_SHOWN]


def _moved(
    before: Mapping[str, Any], found: Cut, layout: Layout, read: _Read, added: int
) -> dict[str, Any]:
    return {
        "offset": before["offset"] + found.octets,
        "line": before["line"] + found.lines,
        "skipping": found.skipping,
        "layout": asdict(layout),
        "added": before["added"] + added,
        "known": before["known"] + len(read.good) - added,
        "bad": before["bad"] + len(read.bad),
    }


def _report(
    job: Job, before: Mapping[str, Any], bad: list[tuple[int, str, str]], files: Files
) -> None:
    """Add the bad lines of this range to the report; those a step before died with are replaced."""
    kept = min(int(before["bad"]), MAX_REPORTED)
    if not bad or kept >= MAX_REPORTED:
        return
    key = result_key(job.owner, job.id, REPORT)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(("line", "problem", "text"))
    writer.writerows(_reported(key, kept, files))
    for line, problem, text in bad[: MAX_REPORTED - kept]:
        writer.writerow((line, problem, guard(text)))
    files.put(key, out.getvalue().encode(), "text/csv")


def _reported(key: str, count: int, files: Files) -> list[list[str]]:
    if not count:
        return []
    text = files.read(key, 0, files.size(key)).decode()
    return list(csv.reader(io.StringIO(text, newline="")))[1 : count + 1]
