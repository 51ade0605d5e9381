"""Suppressions of Postal's servers, in files of many that the platform imports as jobs."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cli.client import Client
from cli.errors import RefusedError
from cli.postal.bulk import Tally
from cli.postal.importer import Importer
from cli.postal.model import Complaint, Installation, Suppression
from cli.postal.plan import Naming

_MAX_TEXT = 600_000  # characters of one file: what a call takes, with room for its JSON
_EVERY = 2.0  # seconds between two looks at a job
_LOOKS = 900  # at one job: half an hour
_ENDED = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class _File:
    """Lines for one server (its id), as JSON lines."""

    server: str
    text: str
    count: int


def import_suppressions(
    rows: Iterable[Suppression | Complaint],
    postal: Installation,
    naming: Naming,
    importer: Importer,
    *,
    now: float,
    wait: Callable[[float], None],
) -> Tally:
    """Add the suppressions of servers that were imported and that have not expired at `now`.

    May be repeated: the platform adds none twice. `wait` takes seconds.
    """
    servers = {
        server.number: importer.ids[naming.id("servers", server.number)]
        for server in postal.servers
        if naming.id("servers", server.number) in importer.ids
    }
    tally = Tally()
    jobs = []
    for file in _files(_wanted(rows, servers, now, tally)):
        if importer.dry:
            tally.taken += file.count
        else:
            jobs.append(_started(file, importer.client, tally))
    for job in filter(None, jobs):
        _finished(job, importer.client, tally, wait)
    return tally


def _wanted(
    rows: Iterable[Suppression | Complaint], servers: Mapping[int, str], now: float, tally: Tally
) -> Iterator[tuple[str, str]]:
    """Yield the server and the line of each row that is wanted; complain of the others."""
    for row in rows:
        if isinstance(row, Complaint):
            tally.refuse(row)
        elif row.server not in servers:
            tally.refuse(Complaint("suppressions", str(row.server), "its server is not there"))
        elif row.until is None or row.until > now:
            yield servers[row.server], line_of(row)


def line_of(row: Suppression) -> str:
    """Return a suppression as a line of the platform's JSON lines."""
    found = {
        "address": row.address,
        "reason": row.reason,
        "created_at": row.added_at,
        "expires_at": row.until,
        "source": "Postal",
    }
    return json.dumps({name: value for name, value in found.items() if value is not None}) + "\n"


def _files(lines: Iterable[tuple[str, str]]) -> Iterator[_File]:
    """Yield files that fit into a call each. Rows come server by server."""
    server, waiting, size = "", list[str](), 0
    for owner, line in lines:
        if waiting and (owner != server or size + len(line) > _MAX_TEXT):
            yield _File(server, "".join(waiting), len(waiting))
            waiting, size = [], 0
        server = owner
        waiting.append(line)
        size += len(line)
    if waiting:
        yield _File(server, "".join(waiting), len(waiting))


def _started(file: _File, client: Client, tally: Tally) -> str:
    """Hand a file in; return its job's id, "" if it was refused."""
    path = f"/api/v2/servers/{quote(file.server, safe='')}/suppression-imports"
    try:
        job = client.call("POST", path, body={"format": "jsonl", "text": file.text}).body
    except RefusedError as error:
        tally.refuse(Complaint("suppressions", file.server, f"{file.count} rows: {error}"))
        return ""
    return str(job["id"])


def _finished(id_: str, client: Client, tally: Tally, wait: Callable[[float], None]) -> None:
    """Wait for a job and count what it did."""
    job: Any = {}
    for _ in range(_LOOKS):
        job = client.call("GET", f"/api/v2/jobs/{quote(id_, safe='')}").body
        if job.get("state") in _ENDED:
            break
        wait(_EVERY)
    progress = job.get("progress", {})
    tally.taken += int(progress.get("done", 0))
    bad = int(progress.get("failed", 0))
    if bad:
        tally.refuse(Complaint("suppressions", id_, f"{bad} lines: see the report of the job"))
    if job.get("state") != "done":
        said = job.get("error") or f"the job is {job.get('state')}"
        tally.refuse(Complaint("suppressions", id_, str(said)))
