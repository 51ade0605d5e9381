"""`mailroom messages tail`: messages as they are accepted."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.client import items_of, next_cursor
from cli.output import Printer, shown, timed
from cli.session import Session, required, session_of

_REMEMBERED = 5_000  # ids that were shown
_COLUMNS = ("accepted_at", "state", "recipient", "subject", "id")
_PAGES = 50  # that one look goes back at most


def make() -> typer.Typer:
    """Return the group with what is written by hand."""
    app = typer.Typer(no_args_is_help=True)
    app.command("tail")(tail)
    return app


def tail(
    ctx: typer.Context,
    server: Annotated[str | None, typer.Option(help="Whose messages.")] = None,
    lines: Annotated[int, typer.Option("-n", "--lines", help="Older ones to begin with.")] = 10,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=1.0)] = 2.0,
    *,
    follow: Annotated[bool, typer.Option(help="Go on until interrupted.")] = True,
) -> None:
    """Show the newest messages, then each that comes. JSON Lines with --json."""
    session = session_of(ctx)
    name = quote(required(server, session, "server"), safe="")
    path = f"/api/v2/servers/{name}/messages"
    seen: dict[str, None] = {}
    first = items_of(session.client.call("GET", path, query={"limit": max(1, lines)}).body)
    _show(reversed(first[:lines]), session.printer)
    seen.update(dict.fromkeys(_id(each) for each in first))
    while follow:
        session.wait(every)
        fresh = list(unseen(session, path, seen))
        _show(reversed(fresh), session.printer)
        seen.update(dict.fromkeys(_id(each) for each in reversed(fresh)))
        for id_ in list(seen)[:-_REMEMBERED]:
            del seen[id_]


def unseen(session: Session, path: str, seen: Mapping[str, Any]) -> Iterator[Any]:
    """Yield messages newest first until one that was shown: no burst is longer than the pages."""
    query: dict[str, Any] = {}
    for _ in range(_PAGES):
        page = session.client.call("GET", path, query=query).body
        for item in items_of(page):
            if _id(item) in seen:
                return
            yield item
        query = {"cursor": next_cursor(page)}
        if not query["cursor"] or not seen:
            return


def _id(item: Mapping[str, Any]) -> str:
    return str(item.get("id"))


def _show(items: "Iterator[Any]", printer: Printer) -> None:
    for item in items:
        if printer.as_json:
            printer.json_line(item)
        else:
            printer.line("  ".join(shown(timed(name, item.get(name))) for name in _COLUMNS))
    printer.out.file.flush()
