"""The moments of an SMTP session at which a simulated host may act, and what it may do. Pure."""

from dataclasses import dataclass
from enum import StrEnum

MAX_SECONDS = 30


class Phase(StrEnum):
    """A moment of a session. BODY is between DATA's 354 and the final dot, AFTER is when the
    reply to the dot has been sent.
    """

    BANNER = "banner"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"
    AFTER = "after"
    QUIT = "quit"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now: give `reply` (empty: none), then close the connection if `close`.

    Without reply and close it only spoils the ordinary answer: `seconds` is the wait before it,
    `drip` the seconds over which it is sent octet by octet. `store` says whether the message has
    arrived by then. `raw` replies are sent as they are: several lines, or no SMTP at all.
    """

    reply: str
    close: bool = False
    store: bool = False
    seconds: float = 0
    drip: float = 0
    raw: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether the ordinary answer follows."""
        return not self.reply and not self.close


def answer(reply: str) -> Step:
    """Return the step that gives `reply`; 421 closes, as RFC 5321 section 3.8 wants."""
    return Step(reply, close=reply.startswith("421"))
