"""The tree of commands: those written by hand, then those the API's description adds."""

from collections.abc import Sequence
from typing import Annotated

import typer

from cli.commands import (
    bootstrap,
    domains,
    egress,
    importing,
    messages,
    migrate,
    profiles,
    send,
)
from cli.document import describe
from cli.errors import CliError, Exit
from cli.openapi import read_operations
from cli.session import Session
from cli.tree import add_operations

# They need no description of the API.
_ALONE = frozenset({"send", "login", "profile", "refresh", "bootstrap", "import", "migrate"})
_PARTLY_OWN = frozenset({"domains", "messages", "egress"})

PROGRAM = "mailroom"


def run(session: Session, arguments: Sequence[str], *, offline: bool = False) -> int:
    """Run one command and return its exit code."""
    try:
        app = build(session, arguments, offline=offline)
        app(args=list(arguments), prog_name=PROGRAM, obj=session)
    except CliError as error:
        session.printer.problem(error)
        return error.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.OK
    return Exit.OK


def build(session: Session, arguments: Sequence[str], *, offline: bool) -> typer.Typer:
    """Return the tool for these arguments.

    `offline`: only what was kept of the API's description is used, as a shell that completes
    must not wait. Raises CliError if a command needs the description and there is none.
    """
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(_root)
    app.command("send")(send.send)
    app.command("login")(profiles.login)
    app.command("refresh")(profiles.refresh)
    app.command("bootstrap")(bootstrap.bootstrap)
    app.command("migrate")(migrate.migrate)
    app.add_typer(importing.app, name="import", help="Bring over what another platform has.")
    app.add_typer(profiles.app, name="profile", help="Platforms and keys kept on this machine.")
    own = {"domains": domains.make(), "messages": messages.make(), "egress": egress.make()}
    groups = {**own, **egress.inner(own["egress"])}
    for name, group in own.items():
        app.add_typer(group, name=name, help=f"Calls of {name}.")
    first = next((each for each in arguments if not each.startswith("-")), "")
    document = _document(session, first, offline=offline)
    if document is not None:
        operations = read_operations(document)
        # Only the group that is asked for: to make all commands takes a noticeable time.
        asked_for = [each for each in operations if each.group == first]
        add_operations(app, groups, asked_for or operations)
    return app


def _document(session: Session, command: str, *, offline: bool) -> "dict[str, object] | None":
    url = session.profile.url
    if command in _ALONE or not url:
        return None
    if offline:
        kept = session.store.kept(url)
        return kept[0] if kept else None
    try:
        found: dict[str, object] = describe(session.client, url, session.store, session.now())
    except CliError:
        # For the list of commands, and for those that are here anyhow, it is not needed.
        if command in ("", *_PARTLY_OWN):
            return None
        raise
    return found


def _root(
    *,
    profile: Annotated[str, typer.Option(help="Profile to use.", envvar="MAILROOM_PROFILE")] = "",
    url: Annotated[str, typer.Option(help="Base URL of the API, before the command.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Answers as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No remarks.")] = False,
) -> None:
    """Mailroom: send mail, manage servers and domains, move in.

    The four options below may stand anywhere on the line (--url before the command only).
    Exit codes: 0 done, 1 refused by the API, 2 usage, 3 no answer, 4 done but not all is well.
    """
