"""What one transaction looks like on the wire: the envelope's commands and the message's bytes."""

import re
from collections.abc import Mapping

from egress.core.mx import a_label
from mailroom.domain.dkim import require_crlf
from mailroom.domain.reply import Phase, SmtpReply

# One path without its angle brackets: nothing in it can end the command or add a parameter.
_PATH = re.compile(
    r'(?:[^\x00-\x20\x7f<>"]+|"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*")@[^\x00-\x20\x7f<>"@]+\Z'
)
_HOST = re.compile(r"[A-Za-z0-9_.\-:\[\]]+\Z")


class UnfitError(ValueError):
    """An address or message that no SMTP transaction can carry.

    `reply` is the refusal any server would have to give.
    """

    def __init__(self, reply: SmtpReply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def wire_form(message: bytes) -> bytes:
    """Return `message` as it follows DATA: dots stuffed (RFC 5321 section 4.5.2), final dot added.

    Raises UnfitError for bare CR or LF: changing them would break the signature, passing them
    on would let a message smuggle another one.
    """
    try:
        require_crlf(message)
    except ValueError as problem:
        raise UnfitError(SmtpReply(554, f"5.6.0 {problem}", Phase.DATA)) from None
    stuffed = message.replace(b"\r\n.", b"\r\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    return stuffed + (b".\r\n" if stuffed.endswith(b"\r\n") or not stuffed else b"\r\n.\r\n")


def greeting_command(verb: str, name: str) -> bytes:
    """Return the EHLO or HELO command line. Raises ValueError for a name that is no host."""
    if not _HOST.match(name):
        raise ValueError(f"{name!r} is not a host name to greet with")
    return f"{verb} {name}\r\n".encode("ascii")


def envelope_commands(
    return_path: str,
    recipient: str,
    message: bytes,
    extensions: Mapping[str, str],
    *,
    utf8: bool = False,
) -> tuple[bytes, bytes] | SmtpReply:
    """Return the MAIL and RCPT command lines, or the refusal the server would have to give.

    `extensions` is what EHLO offered, keywords in lower case. Parameters: SIZE (RFC 1870),
    BODY=8BITMIME (RFC 6152) for 8-bit content, SMTPUTF8 (RFC 6531) for a non-ASCII local part
    or, where the submitter asked for it with `utf8`, for header fields in UTF-8 (other mail
    with 8-bit fields always went through, and still does). 8-bit content goes to a server
    without 8BITMIME all the same: nearly every server is 8-bit clean, and re-encoding would
    break the signature. Raises UnfitError for a path that could break out of its command.
    """
    limit = extensions.get("size", "").split(" ")[0]
    if limit.isascii() and limit.isdigit() and 0 < int(limit[:18]) < len(message):
        text = f"5.3.4 the message has {len(message)} octets, the server takes {limit[:18]}"
        return SmtpReply(552, text, Phase.MAIL)
    sender, to = _path(return_path), _path(recipient)
    utf8 = not (sender + to).isascii() or (utf8 and _has_utf8_fields(message))
    if utf8 and "smtputf8" not in extensions:
        text = "5.6.7 the server takes no addresses or header fields outside ASCII"
        return SmtpReply(553, text, Phase.MAIL)
    mail = f"MAIL FROM:<{sender}>"
    if "size" in extensions:
        mail += f" SIZE={len(message)}"
    if "8bitmime" in extensions and not message.isascii():
        mail += " BODY=8BITMIME"
    if utf8:
        mail += " SMTPUTF8"
    return f"{mail}\r\n".encode(), f"RCPT TO:<{to}>\r\n".encode()


def _has_utf8_fields(message: bytes) -> bool:
    end = message.find(b"\r\n\r\n")
    return not message[: end if end >= 0 else None].isascii()


def _path(address: str) -> str:
    if not address:
        return ""  # the null return path of a bounce
    if not _PATH.match(address):
        text = f"5.1.3 {address!r} cannot stand in an SMTP command"
        raise UnfitError(SmtpReply(553, text, Phase.RCPT))
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    try:
        return f"{local}@{a_label(domain)}"
    except ValueError as problem:
        raise UnfitError(SmtpReply(553, f"5.1.3 {problem}", Phase.RCPT)) from None
