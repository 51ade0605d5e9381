"""`mailroom domains check`: what DNS says about a domain, and waiting until it is right."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.errors import UnfinishedError
from cli.output import Printer
from cli.session import Session, required, session_of

_GREEN = frozenset({"ok", "verified", "not_needed", "optional"})
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
        found = session.client.call("POST", path, body={}).body
        bad = [row for row in checks_of(found) if not is_well(row)]
        if not bad or not wait or session.now() + _EVERY > deadline:
            break
        session.printer.note(f"not yet: {', '.join(str(row['check']) for row in bad)}")
        session.wait(_EVERY)
    _print(found, session.printer)
    if bad:
        raise UnfinishedError(f"{domain}: {', '.join(str(row['check']) for row in bad)}")


def checks_of(answer: Any) -> list[dict[str, Any]]:
    """Return the checks of an answer as rows: check, state, reason, expected, found."""
    given = answer.get("checks", {}) if isinstance(answer, Mapping) else {}
    pairs = given.items() if isinstance(given, Mapping) else ((c.get("name"), c) for c in given)
    return [{"check": name, **dict(each)} for name, each in pairs]


def is_well(row: Mapping[str, Any]) -> bool:
    """Say whether a check needs nobody. A record that may be missing does not."""
    return row.get("state") in _GREEN or row.get("required") is False


def _print(found: Any, printer: Printer) -> None:
    if printer.as_json:
        printer.json(found)
    else:
        printer.rows(checks_of(found), ("check", "state", "reason", "expected"))


def _owner(session: Session, server: str | None, organisation: str | None) -> str:
    if organisation:
        return f"/api/v2/organisations/{quote(organisation, safe='')}"
    return f"/api/v2/servers/{quote(required(server, session, 'server'), safe='')}"


def _find(session: Session, owner: str, domain: str) -> str:
    """Return the id of a domain that was given by name or id."""
    if "." not in domain:
        return domain
    for item in session.client.items(f"{owner}/domains", query={"name": domain}):
        if item.get("name") == domain.lower():
            return str(item["id"])
    raise UnfinishedError(f"there is no domain {domain}")
