"""Names of domains as the DNS has them: ASCII, lower case, no final dot."""

import re
from collections.abc import Iterator

MAX_NAME = 253  # octets of a name written without its final dot, RFC 1035 section 2.3.4
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_OWNER = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_DIGITS = re.compile(r"[0-9]+\Z")


def domain_name(text: str) -> str:
    """Return the A-label form of a domain that somebody may send from.

    International names are encoded (RFC 5891, with the UTS 46 mapping that browsers do). Raises
    ValueError, worded for the tenant, for what is no host name of at least two labels or looks
    like an address.
    """
    name = text.strip().rstrip(".").lower()
    if not name.isascii():
        name = _encoded(name)
    labels = name.split(".")
    if len(name) > MAX_NAME or len(labels) < 2 or not all(map(_LABEL.match, labels)):
        raise ValueError("a domain has two or more labels of letters, digits and hyphens")
    if _DIGITS.match(labels[-1]):
        raise ValueError("a domain is a name, not an IP address")
    return name


def label(text: str) -> str:
    """Return `text` as the first label of a name, `psrp` for instance.

    Raises ValueError for what is no label of a host name.
    """
    name = text.strip().lower()
    if not _LABEL.match(name):
        raise ValueError("a label has up to 63 letters, digits and hyphens")
    return name


def selector(text: str) -> str:
    """Return a DKIM selector in lower case (RFC 6376 section 3.1: labels with dots between).

    Case does not matter in the DNS. Raises ValueError for anything else.
    """
    name = text.strip().lower()
    if len(name) > 63 or not all(map(_OWNER.match, name.split("."))):
        raise ValueError("a selector has up to 63 letters, digits, hyphens and dots")
    return name


def same_name(one: str, other: str) -> bool:
    """Say whether two names are the same to the DNS (RFC 4343)."""
    return one.rstrip(".").lower() == other.rstrip(".").lower()


def shown_name(name: str) -> str:
    """Return a domain as people write it, with the letters of its own script."""
    if "xn--" not in name:
        return name
    import idna

    try:
        return idna.decode(name)
    except (idna.IDNAError, UnicodeError):
        return name


def parents(name: str) -> Iterator[str]:
    """Yield the names above `name`, nearest first, down to the top-level domain."""
    labels = name.split(".")
    for at in range(1, len(labels)):
        yield ".".join(labels[at:])


def _encoded(name: str) -> str:
    import idna  # its tables cost a cold start milliseconds, and few names need them

    try:
        return idna.encode(name, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise ValueError("the domain cannot be written in ASCII (IDNA 2008)") from None
