"""`mailroom migrate`: stored rows come to the shape of this release, while the platform runs."""

from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from threading import Event
from typing import Annotated

import typer

from cli.errors import UnfinishedError
from cli.output import Printer
from cli.session import session_of
from mailroom.ports.migration import Checkpoint, Checkpoints, Work
from mailroom.usecases.migrate import MAX_PARTS, Run, is_finished, resume, step

_EVERY = 25  # batches of a part between two lines of progress


def migrate(
    ctx: typer.Context,
    parts: Annotated[
        int, typer.Option(help="Into how many parts a table is cut.", min=1, max=MAX_PARTS)
    ] = 4,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be done.")] = False,
) -> None:
    """Bring the tables of an earlier release to the shape of this one.

    May be stopped and started again, and run while the platform works. Works on the tables
    themselves, with AWS credentials and their names (MAILROOM_TABLE_DIRECTORY,
    MAILROOM_TABLE_MAIL, MAILROOM_TABLE_COUNTERS, MAILROOM_KEY_SECRETS) in the environment. Ends
    with 4 if a row was left.
    """
    # Not at the top: all other commands do without.
    from cli.wiring import migrations

    session = session_of(ctx)
    works, checkpoints = migrations(session.environment)
    rows = run_all(works, checkpoints, session.printer, parts=parts, dry=dry_run)
    if session.printer.as_json:
        session.printer.json(rows)
    else:
        session.printer.rows(rows)
    if any(row["failed"] for row in rows):
        raise UnfinishedError("some rows were left as they are: see above")


def run_all(
    works: "list[Work]", checkpoints: Checkpoints, printer: Printer, *, parts: int, dry: bool
) -> "list[dict[str, object]]":
    """Run all migrations, one after the other; return what each did as rows of a table."""
    rows = []
    for work in works:
        if not dry and is_finished(work, parts, checkpoints):
            printer.note(f"{work.name}: was done")
            continue
        rows.append(_run(work, checkpoints, printer, parts=parts, dry=dry))
    return rows


def _run(
    work: Work, checkpoints: Checkpoints, printer: Printer, *, parts: int, dry: bool
) -> "dict[str, object]":
    stop = Event()
    run = Run(parts, dry, lambda item, error: printer.note(f"{work.name}: {_name(item)}: {error}"))
    with ThreadPoolExecutor(parts) as pool:
        walks: list[Future[Checkpoint]] = [
            pool.submit(_walk, work, part, run, checkpoints, printer, stop) for part in range(parts)
        ]
        try:
            ends = [walk.result() for walk in as_completed(walks)]
        except BaseException:
            stop.set()  # the others end after their batch, which is written down
            raise
    return {
        "migration": work.name,
        "looked": sum(end.looked for end in ends),
        "would change" if dry else "changed": sum(end.changed for end in ends),
        "failed": sum(end.failed for end in ends),
    }


def _walk(
    work: Work, part: int, run: Run, checkpoints: Checkpoints, printer: Printer, stop: Event
) -> Checkpoint:
    at, batches = resume(work, part, run, checkpoints), 0
    while not at.finished and not stop.is_set():
        at = step(work, part, at, run, checkpoints)
        batches += 1
        if batches % _EVERY == 0:
            printer.note(f"{work.name} part {part}: {at.looked} rows, {at.changed} changed")
    return at


def _name(item: object) -> str:
    place = getattr(item, "place", None)
    return "/".join(place) if place else "a row"
