"""What a remote server answered, as data."""

import re
from dataclasses import dataclass
from enum import StrEnum

_ENHANCED = re.compile(r"\s*([245])\.([0-9]{1,3})\.([0-9]{1,3})(?=\s|$)")


class Phase(StrEnum):
    """The step of an SMTP transaction that a reply belongs to."""

    DNS = "DNS"
    CONNECT = "connect"
    BANNER = "banner"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"  # our login at a relay: never the recipient's fault
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    DOT = "."


@dataclass(frozen=True, slots=True)
class SmtpReply:
    """A reply, or its absence: code 0 means nothing came (connection lost, time-out).

    `text` has no code in front and its lines are joined with newlines; `phase` says what it
    answers. Refusals that we find out ourselves (null MX, no such domain) are replies too.
    """

    code: int
    text: str
    phase: str

    @property
    def enhanced(self) -> tuple[int, int, int] | None:
        """The enhanced status code (RFC 3463) that opens the text, if one does."""
        found = _ENHANCED.match(self.text)
        return (int(found[1]), int(found[2]), int(found[3])) if found else None

    @property
    def enhanced_text(self) -> str:
        """The enhanced code as written, `5.1.1`, or an empty string."""
        return ".".join(map(str, self.enhanced)) if self.enhanced else ""

    def __str__(self) -> str:
        return f"{self.code} {self.text}" if self.code else self.text
