"""What one run of the tool works with: the profile, the client, the printer, the clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import typer

from cli.client import Client
from cli.document import DocumentStore
from cli.errors import UsageError
from cli.output import Printer
from cli.profile import Profile


@dataclass(frozen=True, slots=True)
class Session:
    """Handed to every command. `connect` makes a client for a URL and a key.

    `now` gives Unix seconds, `wait` takes seconds. `environment` is for what a command hands to
    its own composition root, and for the place of the profiles.
    """

    profile: Profile
    printer: Printer
    connect: Callable[[str, str], Client]
    store: DocumentStore
    now: Callable[[], float]
    wait: Callable[[float], None]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def client(self) -> Client:
        """A client of the profile's platform. Raises UsageError if there is no URL or no key."""
        if not self.profile.url:
            raise UsageError("no platform is named: mailroom login, or set MAILROOM_URL")
        if not self.profile.key:
            raise UsageError("there is no key: mailroom login, or set MAILROOM_API_KEY")
        return self.connect(self.profile.url, self.profile.key)


def session_of(context: typer.Context) -> Session:
    """Return the session of a running command."""
    return cast("Session", context.obj)


def required(value: str | None, session: Session, name: str) -> str:
    """Return `value`, else the profile's default for `name`. Raises UsageError without either."""
    found = value or session.profile.default(name)
    if not found:
        raise UsageError(f"say --{name.replace('_', '-')}, or set it in the profile")
    return found
