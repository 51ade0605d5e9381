"""Mail addresses: what we accept as one, and how it is written on the wire."""

import re
from dataclasses import dataclass
from email.utils import getaddresses

MAX_LOCAL = 64  # octets, RFC 5321 section 4.5.3.1.1
MAX_ADDRESS = 254  # octets, RFC 5321 section 4.5.3.1.3 less the angle brackets

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")
_QUOTED = re.compile(r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*"\Z')
_LABEL = re.compile(
    r"[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9_\-\u0080-\U0010ffff]{0,61}"
    r"[A-Za-z0-9\u0080-\U0010ffff])?\Z"
)


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
    if "\r" in text or "\n" in text or "\0" in text:
        raise MalformedAddressError("an address must not contain line breaks")
    found = getaddresses([text], strict=True)
    if len(found) != 1 or not found[0][1]:
        raise MalformedAddressError("not exactly one mail address")
    name, bare = found[0]
    return name, parse_address(bare)
