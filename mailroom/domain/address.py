"""Mail addresses: what we accept as one, and how it is written on the wire."""

import re
from dataclasses import dataclass

MAX_LOCAL = 64  # octets, RFC 5321 section 4.5.3.1.1
MAX_ADDRESS = 254  # octets, RFC 5321 section 4.5.3.1.3 less the angle brackets

# Beyond ASCII (RFC 6531) all but the C1 controls and the halves of surrogate pairs, which JSON
# can spell and UTF-8 cannot.
_BEYOND = r"\u00a1-\ud7ff\ue000-\U0010ffff"
_ATOM = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~\-{_BEYOND}]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")
_QUOTED = re.compile(r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*"\Z')
_LABEL = re.compile(
    rf"[A-Za-z0-9{_BEYOND}](?:[A-Za-z0-9_\-{_BEYOND}]{{0,61}}[A-Za-z0-9{_BEYOND}])?\Z"
)

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|\\.|[(),<>]|[^"(),<>\\]+|.')
# Unquoted dots, colons and @ in a display name are wrong by RFC 5322 and common in real mail.
_PHRASE = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^"<>,;()\\]*)\Z')
_ESCAPED = re.compile(r"\\(.)")


class MalformedAddressError(ValueError):
    """The text is not one mail address."""


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox: `local` as given (RFC 5321 keeps its case), `domain` in lower case."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


def parse_address(text: str) -> Address:
    """Read one bare address (`local@domain`, no display name).

    Raises MalformedAddressError for anything RFC 5321 section 4.1.2 does not allow: control
    characters and so every CR or LF, an address literal, an over-long part, a one-label domain.
    """
    local, at, domain = text.rpartition("@")
    if not (at and local and domain):
        raise MalformedAddressError("an address is written local@domain")
    if len(local.encode("utf-8", "replace")) > MAX_LOCAL:
        raise MalformedAddressError("the part before @ is longer than 64 octets")
    if len(text.encode("utf-8", "replace")) > MAX_ADDRESS:
        raise MalformedAddressError("the address is longer than 254 octets")
    if not (_DOT_ATOM.match(local) or _QUOTED.match(local)):
        raise MalformedAddressError("the part before @ has characters that are not allowed there")
    return Address(local, parse_domain(domain))


def parse_domain(text: str) -> str:
    """Return `text` as a lower-case domain name without a final dot.

    Raises MalformedAddressError for what is no host name of at least two labels.
    """
    name = text.removesuffix(".").lower()
    labels = name.split(".")
    if len(name) > 253 or len(labels) < 2 or not all(_LABEL.match(part) for part in labels):
        raise MalformedAddressError("the part after @ is not a domain name")
    return name


def parse_mailbox(text: str) -> tuple[str, Address]:
    """Read `Display Name <local@domain>` or a bare address; return (display name, address).

    Exactly one mailbox: a list, a group or stray characters raise MalformedAddressError.
    """
    mailboxes = parse_mailboxes(text)
    if len(mailboxes) != 1:
        raise MalformedAddressError("not exactly one mail address")
    return mailboxes[0]


def parse_mailboxes(text: str) -> list[tuple[str, Address]]:
    """Read a comma-separated mailbox list (RFC 5322 section 3.4, without groups).

    The library's own reader is lenient in ways that let a header show one address and parse
    as another (CVE-2023-27043), and its strict mode is missing from older 3.11 releases.
    Raises MalformedAddressError for anything that is not a plain list.
    """
    if _CONTROL.search(text):
        raise MalformedAddressError("an address must not contain control characters")
    return [_mailbox(part) for part in _split_list(text) if part.strip()]


def _split_list(text: str) -> list[str]:
    """Cut at the commas outside quotes, comments and angle brackets; drop comments."""
    parts, current, depth, angle = [], "", 0, False
    for piece in _PIECE.findall(text):
        if piece in "()":
            depth += 1 if piece == "(" else -1
            if depth < 0:
                raise MalformedAddressError("a comment is closed that was not opened")
        elif depth:
            continue
        elif piece == "," and not angle:
            parts.append(current)
            current = ""
        else:
            angle = piece == "<" if piece in "<>" else angle
            current += piece
    if depth or angle:
        raise MalformedAddressError("a bracket is not closed")
    return [*parts, current]


def _mailbox(text: str) -> tuple[str, Address]:
    text = text.strip()
    if not text.endswith(">"):
        return "", parse_address(text)
    name, opened, bare = text[:-1].rpartition("<")
    name = name.strip()
    if not opened:
        raise MalformedAddressError("a bracket is closed that was not opened")
    if not _PHRASE.match(name):
        raise MalformedAddressError("the display name has characters that must be quoted")
    if name.startswith('"'):
        name = _ESCAPED.sub(r"\1", name[1:-1])
    return name, parse_address(bare.strip())
