"""`mailroom import postal`: everything an installation of Postal has but its mail."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.document import fetch
from cli.errors import UnfinishedError, UsageError
from cli.openapi import read_operations
from cli.postal.bulk import Tally, import_links
from cli.postal.dump import DumpSource
from cli.postal.importer import Importer, Outcome, counted
from cli.postal.model import Complaint, Installation
from cli.postal.plan import Naming, plan
from cli.postal.reader import read_installation, read_links, read_suppressions
from cli.postal.source import Source
from cli.postal.suppressions import import_suppressions
from cli.postal.wish import Action
from cli.session import Session, session_of

app = typer.Typer(no_args_is_help=True)
_LINK_YEARS = 1


@app.callback()
def _group() -> None:
    """Bring over what another platform has."""


Places = Annotated[
    list[str],
    typer.Argument(help="mysql://user:password@host/postal, or files of mysqldump (.gz too)"),
]
Name = Annotated[str, typer.Option(help="A name for this installation; the same on every run.")]
MessagePrefix = Annotated[
    str, typer.Option(help="message_db.database_name_prefix of its configuration.")
]
DkimIdentifier = Annotated[str, typer.Option(help="dns.dkim_identifier of its configuration.")]
VerifyPrefix = Annotated[str, typer.Option(help="dns.domain_verify_prefix of its configuration.")]
ReturnPath = Annotated[
    str, typer.Option(help="dns.custom_return_path_prefix of its configuration.")
]
LinksUntil = Annotated[
    str, typer.Option(help="Until when imported links lead on: 2027-12-31. Default: a year.")
]
Report = Annotated[str, typer.Option(help="Write a line of JSON for each object to this file.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Links = Annotated[
    bool, typer.Option("--links", help="Tracking links too, to the directory table itself.")
]
Suppressions = Annotated[bool, typer.Option(help="Suppressions too.")]


@app.command("postal")
def postal(
    ctx: typer.Context,
    source: Places,
    installation: Name = "main",
    message_prefix: MessagePrefix = "postal",
    dkim_identifier: DkimIdentifier = "postal",
    verify_prefix: VerifyPrefix = "postal-verification",
    return_path_prefix: ReturnPath = "psrp",
    links_until: LinksUntil = "",
    report: Report = "",
    *,
    dry_run: DryRun = False,
    links: Links = False,
    suppressions: Suppressions = True,
) -> None:
    """Import organisations, servers, domains with their DKIM keys, credentials, routes,
    endpoints, webhooks, IP pools, suppressions and, if wanted, tracking links from Postal.

    May be run again: what is there is left or updated, what failed is tried again. Needs a key of
    the platform. Ends with 4 if anything was not imported.
    """
    session = session_of(ctx)
    until = _until(links_until, session.now())
    rows = open_source(source, message_prefix)
    found = read_installation(rows, dkim_identifier=dkim_identifier)
    naming = Naming(installation, verify_prefix, return_path_prefix)
    document = fetch(session.client, session.profile.url, session.store)
    importer = Importer(session.client, read_operations(document), dry=dry_run)
    outcomes = list(importer.fulfil(plan(found, naming)))
    tallies: dict[str, Tally] = {}
    if suppressions:
        listed, now = read_suppressions(rows), session.now()
        tallies["suppressions"] = import_suppressions(
            listed, found, naming, importer, now=now, wait=session.wait
        )
    if links:
        tallies["links"] = _links(rows, found, session, until, dry=dry_run)
    _report(session, outcomes, found.complaints, tallies, report)
    if found.complaints or not all(each.is_well for each in outcomes):
        raise UnfinishedError("not everything could be imported: see the report")


def open_source(places: list[str], message_prefix: str) -> Source:
    """Return what the tables are read from. Raises UsageError for a mixture of kinds."""
    urls = [each for each in places if "://" in each]
    if urls and len(places) > 1:
        raise UsageError("one URL, or files")
    if urls:
        # Not at the top: only this command speaks to a database.
        from cli.postal.mariadb import MariaDbSource

        return MariaDbSource(urls[0], prefix=message_prefix)
    return DumpSource([Path(each).expanduser() for each in places])


def _links(
    rows: Source, found: Installation, session: Session, until: float, *, dry: bool
) -> Tally:
    if dry:
        return import_links(read_links(rows), found, None, until=until)
    from cli.wiring import legacy_links

    store = legacy_links(session.environment)
    return import_links(read_links(rows), found, store, until=until)


def _until(text: str, now: float) -> float:
    if not text:
        return now + _LINK_YEARS * 365 * 86_400.0
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError("--links-until is no day such as 2027-12-31") from None
    until = (day if day.tzinfo else day.replace(tzinfo=UTC)).timestamp()
    if until <= now:
        raise UsageError("--links-until is over")
    return until


def _report(
    session: Session,
    outcomes: list[Outcome],
    complaints: Iterable[Complaint],
    tallies: dict[str, Tally],
    path: str,
) -> None:
    """Print the report; the whole of it goes to a file if one is named."""
    printer = session.printer
    bad = [
        {"kind": each.table, "name": each.number, "action": "unreadable", "reason": each.reason}
        for each in complaints
    ]
    rows = [outcome.as_row() for outcome in outcomes]
    if path:
        _write(path, [*rows, *bad])
    bulk = [
        {"kind": kind, "taken": each.taken, "refused": each.refused}
        for kind, each in tallies.items()
    ]
    if printer.as_json:
        printer.json({"objects": [*rows, *bad], "rows": bulk})
        return
    printer.rows(counted(outcomes), ("kind", *map(str, Action)))
    printer.rows(bulk)
    told = [row for row in rows if row["reason"] and row["action"] != str(Action.SKIP)]
    printer.rows([*told, *bad], ("kind", "name", "action", "reason"))
    for kind, each in tallies.items():
        for complaint in each.complaints:
            printer.note(f"{kind} {complaint.number}: {complaint.reason}")


def _write(path: str, rows: list[dict[str, str]]) -> None:
    import json

    try:
        with Path(path).expanduser().open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
