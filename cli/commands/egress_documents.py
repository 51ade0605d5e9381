"""`mailroom egress shaping|rules`: what a person reads of published documents."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.bodies import read_json
from cli.errors import UnfinishedError, UsageError
from cli.session import Session, session_of

ROOT = "/api/v2/egress"
KINDS = ("shaping", "rules")
_SETTINGS = ("name", "value", "origin")
_FILE = "The document: JSON or @FILE."


def groups(app: typer.Typer) -> dict[str, typer.Typer]:
    """Add the groups of both kinds to `egress`, and return them by their words."""
    made = {}
    for kind in KINDS:
        group = typer.Typer(no_args_is_help=True)
        group.command("lint")(lint(kind))
        group.command("diff")(diff(kind))
        app.add_typer(group, name=kind, help=f"What hosts use: {kind}.")
        made[f"egress {kind}"] = group
    made["egress rules"].command("dry-run")(dry_run)
    return made


def lint(kind: str) -> Callable[..., None]:
    """Return the command that checks a document of a kind."""

    def command(ctx: typer.Context, document: Annotated[str, typer.Option(help=_FILE)]) -> None:
        """Say what is wrong with a document. Ends with 4 if something is."""
        session = session_of(ctx)
        body = {"document": _document(document)}
        found = session.client.call("POST", f"{ROOT}/{kind}/lint", body=body).body["problems"]
        _lines(session, "problems", found)
        if found:
            raise UnfinishedError(f"{len(found)} problems")
        session.printer.note("all is well")

    return command


def diff(kind: str) -> Callable[..., None]:
    """Return the command that compares documents of a kind."""

    def command(
        ctx: typer.Context,
        document: Annotated[str | None, typer.Option(help=_FILE)] = None,
        old: Annotated[int | None, typer.Option(help="From this version.")] = None,
        new: Annotated[int | None, typer.Option(help="To this version.")] = None,
    ) -> None:
        """Say what a document or a version changes; without --old, of what is in use."""
        session = session_of(ctx)
        given = {
            "document": _document(document) if document else None, "old": old, "new": new
        }  # fmt: skip
        body = {name: value for name, value in given.items() if value is not None}
        found = session.client.call("POST", f"{ROOT}/{kind}/diff", body=body).body["lines"]
        _lines(session, "lines", found)
        if not found:
            session.printer.note("nothing differs")

    return command


def dry_run(
    ctx: typer.Context,
    document: Annotated[str | None, typer.Option(help=f"{_FILE} Those in use without.")] = None,
    replies: Annotated[
        str | None, typer.Option(help="A list of {reply, phase, provider, times}: JSON or @FILE.")
    ] = None,
    server: Annotated[str | None, typer.Option(help="Replies to this server's mail.")] = None,
    day: Annotated[str | None, typer.Option(help="Accepted on this day: YYYY-MM-DD.")] = None,
) -> None:
    """Try reply rules on recorded replies: which would have fired, where those in use differ."""
    if not (replies or server):
        raise UsageError("say --replies, or --server with --day")
    given = {
        "document": _document(document) if document else None,
        "replies": read_json(replies) if replies else None,
        "server": server,
        "day": day,
    }
    session = session_of(ctx)
    body = {name: value for name, value in given.items() if value is not None}
    found = session.client.call("POST", f"{ROOT}/rules/dry-run", body=body).body
    printer = session.printer
    if printer.as_json:
        printer.json(found)
        return
    printer.line(f"{found['replies']} replies, {found['changed']} judged otherwise")
    fired = [row for row in found["fired"] if row["times"]]
    printer.rows([{**row, "rule": row["rule"] or "(nobody knew)"} for row in fired])
    printer.rows([_changed(each) for each in found["examples"]])
    if not found["is_complete"]:
        printer.note(f"only the newest {found['messages']} messages were looked at")


def settings(
    ctx: typer.Context,
    address: Annotated[str, typer.Argument(help="Id of a source address.")],
    site: Annotated[str, typer.Argument(help="Key of a site: a provider's name, for one.")],
) -> None:
    """Show what holds for a path, and which layer of the shaping says so."""
    session = session_of(ctx)
    path = f"{ROOT}/settings/{quote(address, safe='')}/{quote(site, safe='')}"
    found = session.client.call("GET", path).body
    if session.printer.as_json:
        session.printer.json(found)
        return
    session.printer.value({k: v for k, v in found.items() if k != "settings"})
    session.printer.line("")
    session.printer.rows(found["settings"], _SETTINGS)


def _changed(example: Mapping[str, Any]) -> dict[str, Any]:
    before, after = example["before"], example["after"]
    return {
        "times": example["times"],
        "before": before["rule"] or "-",
        "after": after["rule"] or "-",
        "category": after["category"],
        "reply": example["reply"],
    }


def _document(text: str) -> Any:
    document = read_json(text)
    if not isinstance(document, dict):
        raise UsageError("a document is a JSON object")
    return document


def _lines(session: Session, name: str, lines: list[str]) -> None:
    if session.printer.as_json:
        session.printer.json({name: lines})
        return
    for line in lines:
        session.printer.line(line)
