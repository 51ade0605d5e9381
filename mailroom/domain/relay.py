"""Relays: hosts that take mail instead of a domain's own mail exchangers, and how they are named.

A route leads from a pattern of recipient domains to a relay, or says `direct`: the exception
from a wider route.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

EVERYTHING = "*"
SITE = "mx:"  # in front of a suffix of MX host names
MAX_USER = 255  # octets; RFC 4616 section 2
MAX_SECRET = 1024  # octets; API keys used as passwords are longer than RFC 4616's 255

_HOST_PORT = re.compile(
    r"(?:\[(?P<ip6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:\s]+)):(?P<port>[0-9]{1,5})\Z"
)
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.(?=.)|\Z)")


class TlsPolicy(StrEnum):
    """How far a connection must be protected before mail goes over it. Values are stored."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"  # if offered, any certificate; plain if the handshake fails
    REQUIRED = "required"  # STARTTLS with any certificate; never plain
    VERIFIED = "verified"  # STARTTLS with a trusted certificate for the host's name (RFC 7817)
    IMPLICIT = "implicit"  # TLS from the first octet (RFC 8314), verified as above


class Direct(StrEnum):
    """The route that is none: to the domain's own mail exchangers."""

    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Login:
    """How we prove to a relay who we are (RFC 4954).

    `cram` lets CRAM-MD5 be chosen when it is offered; `allow_plain` lets the password itself
    (PLAIN, LOGIN) go over a connection without TLS.
    """

    user: str
    secret: str = field(repr=False)
    cram: bool = True
    allow_plain: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for what fits in no SASL message (RFC 4616 section 2)."""
        for name, text, most in (
            ("user", self.user, MAX_USER),
            ("secret", self.secret, MAX_SECRET),
        ):
            if not 0 < len(text.encode()) <= most:
                raise ValueError(f"a relay's {name} has 1 to {most} octets")
            if any(char < " " or char == "\x7f" for char in text):
                raise ValueError(f"a relay's {name} has no control characters")


@dataclass(frozen=True, slots=True)
class Relay:
    """Where a route leads: a host name (its addresses are looked up, its MX not) or IP address."""

    host: str
    port: int = 25
    tls: TlsPolicy = TlsPolicy.OPPORTUNISTIC
    login: Login | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for what is no host, no port, or a login that could never be used."""
        if not self.is_address and not _is_name(self.host.lower()):
            raise ValueError(f"{self.host!r} is not a host name or IP address")
        if not 0 < self.port < 65536:
            raise ValueError(f"{self.port} is not a port")
        login = self.login
        if login and self.tls is TlsPolicy.NONE and not (login.cram or login.allow_plain):
            raise ValueError("without TLS a login needs CRAM-MD5 or leave to send its password")

    @property
    def is_address(self) -> bool:
        """Say whether `host` needs no look-up."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


Target = Relay | Direct


def parse_host_port(text: str) -> tuple[str, int]:
    """Read `host:port` or `[IPv6]:port`. Raises ValueError for anything else."""
    found = _HOST_PORT.match(text)
    if not found or not 0 < int(found["port"]) < 65536:
        raise ValueError(f"{text!r} is not host:port")
    if found["ip6"]:
        try:
            ipaddress.IPv6Address(found["ip6"])
        except ValueError:
            raise ValueError(f"{text!r} is not [IPv6]:port") from None
    return found["ip6"] or found["host"].lower(), int(found["port"])


def parse_target(text: str) -> Target:
    """Read `direct`, `host:port` or `smtp://host:port?tls=MODE`.

    A login is not read here: this form stands in environments and logs, where no secret may be.
    Raises ValueError for anything else.
    """
    if text == Direct.DIRECT:
        return Direct.DIRECT
    if "://" not in text:
        return Relay(*parse_host_port(text))
    url = urlsplit(text)
    if "@" in url.netloc:
        raise ValueError("a relay's login does not belong into its URL")
    options = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)))
    tls = options.pop("tls", TlsPolicy.OPPORTUNISTIC)
    if url.scheme != "smtp" or url.path not in ("", "/") or url.fragment or options:
        raise ValueError(f"{text!r} is not smtp://host:port?tls=MODE")
    return Relay(*parse_host_port(url.netloc), TlsPolicy(tls))


def parse_pattern(text: str) -> str:
    """Return a route's pattern in the form it is stored in.

    `example.org`, `*.example.org` (any name below it), `mx:google.com` (domains whose best mail
    exchangers have that name or are below it) or `*`. Names are ASCII (A-labels). Raises
    ValueError for anything else.
    """
    pattern = text.lower()
    name = pattern.removeprefix(SITE)
    if name == pattern:
        name = pattern.removeprefix("*.")
    if pattern != EVERYTHING and not _is_name(name):
        raise ValueError(f"{text!r} is no domain, *.domain, mx:domain or *")
    return pattern


def _is_name(text: str) -> bool:
    place, found = 0, _NAME.match(text)
    while found and found.end() < len(text):
        place = found.end()
        found = _NAME.match(text, place)
    return found is not None and len(text) <= 253
