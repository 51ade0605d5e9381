"""`mailroom domains check`: what DNS says about a domain, and waiting until it is right."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.errors import NetworkError, UnfinishedError
from cli.session import Session, required, session_of

_COLUMNS = ("purpose", "state", "need", "type", "name", "value", "reason")
_EVERY = 10.0  # seconds between two looks


def make() -> typer.Typer:
    """Return the group with what is written by hand."""
    app = typer.Typer(no_args_is_help=True)
    app.command("check")(check)
    return app


def check(
    ctx: typer.Context,
    domain: Annotated[str, typer.Argument(help="Name or id of the domain.")],
    server: Annotated[str | None, typer.Option(help="Its server.")] = None,
    organisation: Annotated[
        str | None, typer.Option(help="Its organisation, if it has no server.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that --wait waits at most.")] = 600.0,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Look again until all is well.")] = False,
) -> None:
    """Check a domain's records: state and reason of each. Ends with 4 unless all are well."""
    session = session_of(ctx)
    owner = _owner(session, server, organisation)
    path = f"{owner}/domains/{quote(_find(session, owner, domain), safe='')}/check"
    deadline = session.now() + timeout
    while True:
        found = session.client.call("POST", path).body
        bad = [row for row in records_of(found) if not is_well(row)]
        is_green = found.get("state") == "ok"
        if is_green or not wait or session.now() + _EVERY > deadline:
            break
        session.printer.note(f"not yet: {_told(bad)}")
        session.wait(_EVERY)
    if session.printer.as_json:
        session.printer.json(found)
    else:
        session.printer.rows(records_of(found), _COLUMNS)
    if not is_green:
        raise UnfinishedError(f"{domain} is not well: {_told(bad)}")


def records_of(answer: Any) -> list[Mapping[str, Any]]:
    """Return the records of an answer, each with its state. Raises NetworkError for no answer."""
    records = answer.get("records") if isinstance(answer, Mapping) else None
    if not isinstance(records, list):
        raise NetworkError("the API's answer has no records")
    return records


def is_well(row: Mapping[str, Any]) -> bool:
    """Say whether a record needs nobody: one that is not required may be missing."""
    state = row.get("state")
    return state == "ok" or (state == "missing" and row.get("need") != "required")


def _told(rows: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(f"{row.get('purpose')} {row.get('state')}" for row in rows) or "unknown"


def _owner(session: Session, server: str | None, organisation: str | None) -> str:
    if organisation:
        return f"/api/v2/organisations/{quote(organisation, safe='')}"
    return f"/api/v2/servers/{quote(required(server, session, 'server'), safe='')}"


def _find(session: Session, owner: str, domain: str) -> str:
    """Return the id of a domain that was given by name or id."""
    if "." not in domain:
        return domain
    for item in session.client.items(f"{owner}/domains", query={"limit": 100}):
        if domain.lower() in (item.get("name"), item.get("shown_name")):
            return str(item["id"])
    raise UnfinishedError(f"there is no domain {domain}")
