"""Our side of AUTH at a relay (RFC 4954): which mechanism, and what to say in it."""

import binascii
import hmac
from base64 import b64decode, b64encode
from enum import StrEnum

from mailroom.domain.relay import Login
from mailroom.domain.reply import Phase, SmtpReply

MAX_TURNS = 4  # more challenges than any mechanism here has
_LONGEST_COMMAND = 512  # octets with CRLF; RFC 5321 section 4.5.3.1.4


class Mechanism(StrEnum):
    """The SASL mechanisms we speak, the preferred one first."""

    CRAM_MD5 = "CRAM-MD5"  # RFC 2195
    PLAIN = "PLAIN"  # RFC 4616
    LOGIN = "LOGIN"  # never standardised, and all that some servers have


def choose(offered: str, login: Login, *, tls: bool) -> Mechanism | SmtpReply:
    """Choose from what EHLO's AUTH line `offered`, or tell why nothing can be used.

    The password itself is never sent without TLS unless the login allows it.
    """
    names = offered.upper().split()
    if login.cram and Mechanism.CRAM_MD5 in names:
        return Mechanism.CRAM_MD5
    simple = next((each for each in (Mechanism.PLAIN, Mechanism.LOGIN) if each in names), None)
    if simple is None:
        return _ours("4.7.0 the relay offers no way to log in that we may use")
    if not tls and not login.allow_plain:
        return _ours("4.7.11 the password is not sent without TLS")
    return simple


def opening(mechanism: Mechanism, login: Login) -> bytes:
    """Return the AUTH command, with PLAIN's message in it where that fits the line."""
    if mechanism is Mechanism.PLAIN:
        command = b"AUTH PLAIN " + _plain(login)
        if len(command) <= _LONGEST_COMMAND:
            return command
    return f"AUTH {mechanism}\r\n".encode("ascii")


def answer(mechanism: Mechanism, login: Login, challenge: str, turn: int) -> bytes | None:
    """Return the line that answers the 334 reply number `turn` (from 0), or None to cancel.

    `challenge` is the reply's text. LOGIN's prompts are not read: no two servers spell them alike.
    """
    match mechanism, turn:
        case Mechanism.PLAIN, 0:
            return _plain(login)
        case Mechanism.LOGIN, 0:
            return _line(login.user.encode())
        case Mechanism.LOGIN, 1:
            return _line(login.secret.encode())
        case Mechanism.CRAM_MD5, 0:
            return _digest(login, challenge)
        case _:
            return None


def without_secrets(text: str, login: Login) -> str:
    """Return a relay's `text` without the secret: some echo what they were sent."""
    spoken = (_plain(login), _line(login.secret.encode()))
    for each in (login.secret, *(line.decode("ascii").strip() for line in spoken)):
        text = text.replace(each, "***")
    return text


def _plain(login: Login) -> bytes:
    return _line(f"\0{login.user}\0{login.secret}".encode())


def _digest(login: Login, challenge: str) -> bytes | None:
    try:
        nonce = b64decode(challenge, validate=True)
    except (binascii.Error, ValueError):
        return None
    digest = hmac.new(login.secret.encode(), nonce, "md5").hexdigest()
    return _line(f"{login.user} {digest}".encode())


def _line(message: bytes) -> bytes:
    return b64encode(message) + b"\r\n"


def _ours(text: str) -> SmtpReply:
    return SmtpReply(451, text, Phase.AUTH)
