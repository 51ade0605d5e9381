"""`python -m cli` and the script `mailroom`: reads the environment, then runs one command."""

import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from cli.app import PROGRAM, run
from cli.client import Client, Patience
from cli.document import DocumentStore
from cli.errors import CliError, Exit
from cli.output import printer
from cli.profile import load_profile
from cli.session import Session

_SECONDS = 60.0  # for one call: a large upload takes a while


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit code."""
    given, rest = take_globals(sys.argv[1:] if arguments is None else arguments)
    try:
        session = make_session(given, os.environ)
    except CliError as error:
        printer(as_json=given.as_json, quiet=given.quiet).problem(error)
        return error.exit_code
    try:
        return run(session, rest, offline=f"_{PROGRAM.upper()}_COMPLETE" in os.environ)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `mailroom ... | head`: what reads us has enough. The interpreter must not try again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


@dataclass(frozen=True, slots=True)
class Globals:
    """The options that every command has; they may stand anywhere before `--`."""

    profile: str = ""
    url: str = ""
    as_json: bool = False
    quiet: bool = False


def take_globals(arguments: Sequence[str]) -> tuple[Globals, list[str]]:
    """Take the options of every command out of the arguments; return them and the rest."""
    texts = {"--profile": "", "--url": ""}
    marks = {"--json": False, "--quiet": False}
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, equals, value = argument.partition("=")
        if argument == "--":
            rest += [argument, *waiting]
            break
        if argument in marks:
            marks[argument] = True
        elif name in texts and (equals or waiting) and not _belongs(rest, name):
            texts[name] = value if equals else waiting.pop(0)
        else:
            rest.append(argument)
    chosen = Globals(texts["--profile"], texts["--url"], marks["--json"], marks["--quiet"])
    return chosen, rest


def _belongs(rest: Sequence[str], name: str) -> bool:
    # Webhooks and endpoints have a field `url` of their own.
    return name == "--url" and bool(rest)


def make_session(given: Globals, environment: Mapping[str, str]) -> Session:
    """Build what commands work with. Raises CliError for a profile that cannot be used."""
    home = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Session(
        profile=load_profile(environment, name=given.profile, url=given.url),
        printer=printer(as_json=given.as_json, quiet=given.quiet),
        connect=_connect,
        store=DocumentStore(Path(home) / "mailroom"),
        now=time.time,
        wait=time.sleep,
        environment=environment,
    )


def _connect(url: str, key: str) -> Client:
    agent = {"User-Agent": "mailroom-cli"}
    http = httpx.Client(base_url=url, timeout=_SECONDS, headers=agent, follow_redirects=False)
    return Client(http, key, Patience(time.sleep), lambda: str(uuid.uuid4()))


if __name__ == "__main__":
    sys.exit(main())
