"""What the submission server says: every reply it can give stands here (docs/smtp.md).

Enhanced status codes are RFC 3463's. By RFC 2034 section 4 the greeting, the answers to EHLO and
HELO and the 3xx replies carry none.
"""

import re
from dataclasses import dataclass

_UNSPEAKABLE = re.compile(r"[^\x20-\x7e]+")
_MAX_TEXT = 400  # characters; a reply line may have 512 octets, RFC 5321 section 4.5.3.1.5
_REPLY = re.compile(r"([2-5]\d\d) ([245]\.\d{1,3}\.\d{1,3}) (.*)\Z", re.DOTALL)
_SYNTAX_CODES = frozenset({500, 501, 502, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """One reply: `code`, enhanced `status` ("" for none), text lines; `closes` ends the session."""

    code: int
    status: str
    lines: tuple[str, ...]
    closes: bool = False

    @property
    def is_protocol_error(self) -> bool:
        """Say whether the client talks nonsense. A refused address or a wrong order is not that:
        a pipelining client gets many of those for one mistake."""
        return self.code in _SYNTAX_CODES and self.status.startswith("5.5.")

    def encode(self) -> bytes:
        """Return the octets to send: printable ASCII lines that end in CRLF."""
        status = f"{self.status} " if self.status else ""
        texts = [_UNSPEAKABLE.sub(" ", line)[:_MAX_TEXT] for line in self.lines]
        marks = ["-"] * (len(texts) - 1) + [" "]
        return "".join(
            f"{self.code}{mark}{status}{text}\r\n" for mark, text in zip(marks, texts, strict=True)
        ).encode("ascii")

    def __str__(self) -> str:
        return f"{self.code} {self.status} {' / '.join(self.lines)}".replace("  ", " ")


def answer(code: int, status: str, text: str, *, closes: bool = False) -> Answer:
    """Return a reply of one line."""
    return Answer(code, status, (text,), closes)


def answer_of(reply: str, reason: str = "") -> Answer:
    """Return the reply written as `550 5.7.0 text`, with `reason` behind it in brackets.

    Raises ValueError if `reply` is not written like that.
    """
    found = _REPLY.match(reply)
    if found is None:
        raise ValueError(f"{reply!r} is no reply with an enhanced status code")
    text = f"{found[3]} ({reason})" if reason else found[3]
    return answer(int(found[1]), found[2], text)


OK = answer(250, "2.0.0", "Ok")
SENDER_OK = answer(250, "2.1.0", "Sender ok")
RECIPIENT_OK = answer(250, "2.1.5", "Recipient ok")
HELP = answer(214, "2.0.0", "EHLO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT")
BYE = answer(221, "2.0.0", "Bye", closes=True)
UNVERIFIED = answer(252, "2.0.0", "Cannot verify addresses; send and see")

READY_FOR_TLS = answer(220, "2.0.0", "Ready to start TLS")
TLS_ALREADY = answer(503, "5.5.1", "TLS is already active")
NEEDS_TLS = answer(530, "5.7.0", "Must issue a STARTTLS command first")

LOGGED_IN = answer(235, "2.7.0", "Authentication successful")
LOGIN_FAILED = answer(535, "5.7.8", "Authentication credentials invalid")
LOGIN_UNDECIDED = answer(454, "4.7.0", "Temporary authentication failure")
LOGIN_CANCELLED = answer(501, "5.7.0", "Authentication cancelled")
LOGIN_MALFORMED = answer(501, "5.5.2", "Not a base64 response of this mechanism")
LOGIN_TOO_LONG = answer(500, "5.5.6", "Authentication exchange line is too long")
LOGIN_OUT_OF_ORDER = answer(503, "5.5.1", "AUTH is possible once, outside a transaction")
UNKNOWN_MECHANISM = answer(504, "5.5.4", "This AUTH mechanism is not offered")
NEEDS_LOGIN = answer(530, "5.7.0", "Authentication required")
TOO_MANY_FAILURES = answer(421, "4.7.0", "Too many failed logins", closes=True)
USER_BRAKED = answer(454, "4.7.0", "Too many failed logins of this user, try again later")

NEEDS_GREETING = answer(503, "5.5.1", "Send EHLO first")
NEEDS_SENDER = answer(503, "5.5.1", "Send MAIL first")
NESTED_SENDER = answer(503, "5.5.1", "A transaction is already open")
NO_RECIPIENTS = answer(554, "5.5.1", "No valid recipients")
BAD_SENDER = answer(501, "5.1.7", "Malformed sender address")
BAD_RECIPIENT = answer(501, "5.1.3", "Malformed recipient address")
NOT_ASCII = answer(553, "5.6.7", "An address outside ASCII needs SMTPUTF8")
TOO_MANY_RECIPIENTS = answer(452, "4.5.3", "Too many recipients, send the rest separately")
SUSPENDED = answer(535, "5.7.0", "Mail server has been suspended")

BAD_PROXY_HEADER = answer(502, "5.5.2", "Malformed PROXY header", closes=True)
UNKNOWN_COMMAND = answer(502, "5.5.1", "Command not recognised")
MALFORMED_LINE = answer(500, "5.5.2", "A command is printable text that ends in CRLF")
LINE_TOO_LONG = answer(500, "5.5.2", "Command line too long")
BAD_ARGUMENT = answer(501, "5.5.4", "Syntax error in the arguments")
UNKNOWN_PARAMETER = answer(555, "5.5.4", "Parameter not recognised or not implemented")

SEND_CONTENT = answer(354, "", "End with <CRLF>.<CRLF>")
# What follows a chunk of unknown or absurd size cannot be told from commands: hang up.
BAD_CHUNK = answer(501, "5.5.4", "Syntax: BDAT size [LAST]", closes=True)
HUGE_CHUNK = answer(552, "5.3.4", "Chunk too large", closes=True)
NO_RECIPIENTS_FOR_CHUNK = answer(503, "5.5.1", "No valid recipients")
CHUNKS_BEGUN = answer(503, "5.5.1", "The message has begun with BDAT; go on with it, or RSET")
TOO_LARGE = answer(552, "5.3.4", "Message too large")
BARE_NEWLINE = answer(554, "5.6.0", "Message contains a bare CR or LF; lines end in CRLF")
NUL_OCTET = answer(554, "5.6.0", "Message contains a NUL octet")
NO_MEMORY = answer(452, "4.3.1", "Too much mail is on its way in, try again later")
TROUBLE = answer(451, "4.3.0", "Temporary trouble here, try again later")

TOO_MANY_CONNECTIONS = answer(421, "4.7.0", "Too many connections, try again later", closes=True)
TOO_MANY_ERRORS = answer(421, "4.7.0", "Too many errors", closes=True)
TOO_MANY_COMMANDS = answer(421, "4.7.0", "Too many commands, connect again", closes=True)
TOO_MANY_MESSAGES = answer(421, "4.7.0", "Too many messages, connect again", closes=True)
IDLE = answer(421, "4.4.2", "Time-out, closing", closes=True)
SHUTTING_DOWN = answer(421, "4.3.2", "Shutting down, connect again", closes=True)
