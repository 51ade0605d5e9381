"""`mailroom login` and `mailroom profile`: which platforms there are and with which keys."""

import sys
from dataclasses import replace
from typing import Annotated

import typer

from cli.document import fetch
from cli.errors import UsageError
from cli.profile import (
    DEFAULT,
    Profiles,
    checked_name,
    checked_url,
    config_path,
    masked,
    read_profiles,
    write_private,
    write_profiles,
)
from cli.session import Session, session_of

app = typer.Typer(no_args_is_help=True)


def login(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(help="Base URL of the API: https://api.example.com")],
    name: Annotated[str, typer.Option(help="Name of the profile.")] = DEFAULT,
    organisation: Annotated[str, typer.Option(help="Work on this one by default.")] = "",
    server: Annotated[str, typer.Option(help="Work on this one by default.")] = "",
    *,
    key_stdin: Annotated[bool, typer.Option(help="Read the key from standard input.")] = False,
) -> None:
    """Keep a platform's URL and key as a profile. The key is asked for, never an argument."""
    session = session_of(ctx)
    address = checked_url(url)
    key = _read_key(from_stdin=key_stdin)
    _try(session, address, key)
    config = config_path(session.environment)
    stored = read_profiles(config)
    key_file = config.parent / f"{checked_name(name)}.key"
    fields = {
        "url": address,
        "key_file": key_file.name,
        "organisation": organisation,
        "server": server,
    }
    profiles = {**stored.profiles, name: {k: v for k, v in fields.items() if v}}
    default = stored.default if stored.default in stored.profiles else name
    write_profiles(config, Profiles(default, profiles))
    write_private(key_file, key + "\n")
    session.printer.note(f"profile {name} is kept in {config}")


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the profiles; keys are not shown."""
    session = session_of(ctx)
    stored = read_profiles(config_path(session.environment))
    rows = [
        {
            "name": name,
            "default": name == stored.default,
            "url": fields.get("url", ""),
            "organisation": fields.get("organisation", ""),
            "server": fields.get("server", ""),
        }
        for name, fields in stored.profiles.items()
    ]
    if session.printer.as_json:
        session.printer.json(rows)
    else:
        session.printer.rows(rows)


@app.command()
def show(ctx: typer.Context) -> None:
    """Show the profile that commands use, from file and environment; the key only in part."""
    session = session_of(ctx)
    profile = session.profile
    session.printer.value(
        {
            "name": profile.name,
            "url": profile.url,
            "key": masked(profile.key),
            "organisation": profile.organisation,
            "server": profile.server,
            "file": str(config_path(session.environment)),
        }
    )


@app.command()
def use(ctx: typer.Context, name: str) -> None:
    """Make a profile the default."""
    config = config_path(session_of(ctx).environment)
    stored = _with(config_profiles := read_profiles(config), name)
    write_profiles(config, replace(stored, default=name))
    session_of(ctx).printer.note(f"{name} is the default of {len(config_profiles.profiles)}")


@app.command()
def remove(ctx: typer.Context, name: str) -> None:
    """Forget a profile and its key file. The key itself stays valid until it is revoked."""
    config = config_path(session_of(ctx).environment)
    stored = _with(read_profiles(config), name)
    kept = {key: fields for key, fields in stored.profiles.items() if key != name}
    write_profiles(config, replace(stored, profiles=kept))
    (config.parent / f"{checked_name(name)}.key").unlink(missing_ok=True)
    session_of(ctx).printer.note(f"profile {name} is forgotten")


def refresh(ctx: typer.Context) -> None:
    """Fetch the API's description again, for commands that are new."""
    session = session_of(ctx)
    document = fetch(session.client, session.profile.url, session.store)
    session.printer.note(f"{len(document.get('paths', {}))} paths")


def _with(stored: Profiles, name: str) -> Profiles:
    if name not in stored.profiles:
        raise UsageError(f"there is no profile {name!r}")
    return stored


def _read_key(*, from_stdin: bool) -> str:
    key = sys.stdin.readline() if from_stdin else typer.prompt("Key", hide_input=True, err=True)
    key = str(key).strip()
    if not key or not key.isascii() or not key.isprintable():
        raise UsageError("that is no key")
    return key


def _try(session: Session, url: str, key: str) -> None:
    """Ask the API who the key is, so that a mistake shows now. Raises CliError."""
    client = session.connect(url, key)
    fetch(client, url, session.store)
    client.call("GET", "/api/v2/me")
