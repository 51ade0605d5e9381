"""The platform's own mail to its users, which never goes through a tenant's server."""

from dataclasses import dataclass, field
from typing import Protocol


class AppMailError(Exception):
    """The mail could not be handed over; it may be tried again."""


@dataclass(frozen=True, slots=True)
class Note:
    """A plain text for one person. The text may hold a secret, so it is in no log."""

    to: str
    subject: str
    text: str = field(repr=False)


class AppMail(Protocol):
    """Postal's `smtp` settings: a mail server of somebody else, or of our own operators."""

    def send(self, note: Note) -> None:
        """Hand a note over. Raises AppMailError when nobody took it."""


@dataclass(frozen=True, slots=True)
class RawLetter:
    """A whole message (RFC 5322, lines end in CRLF) for one address.

    `sender` is its envelope sender, "" for a report; None is the platform's own address.
    """

    to: str
    message: bytes = field(repr=False)
    sender: str | None = None


class LetterBox(Protocol):
    """The same mail server, for messages that are composed already."""

    def post(self, letter: RawLetter) -> None:
        """Hand a message over. Raises AppMailError when nobody took it."""
