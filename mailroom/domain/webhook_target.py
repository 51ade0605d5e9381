"""What a webhook may name: the URLs that can be called, an organisation's topic, the events."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit

from mailroom.domain.message import Webhook
from mailroom.domain.postal_words import WEBHOOK_EVENTS

MAX_URL = 2048
_PATH_SAFE = "!$%&'()*+,/:;=?@[]~|"
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\Z")
_BRACKETS = re.compile(r"\[[^\[\]]+\](?::[0-9]*)?\Z")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
# Below 1024 a web server is on 80 and 443; what else answers there could take an HTTP request for
# something worse (SMTP on 25 for mail). Above, the ports that browsers refuse for that reason
# (WHATWG Fetch, "bad port") and databases that read lines.
_OPEN_LOW = frozenset({80, 443})
_CLOSED = frozenset(
    {
        1719, 1720, 1723, 2049, 2525, 3306, 3659, 4045, 4190, 5060, 5061, 5432, 6000, 6379, 6566,
        6665, 6666, 6667, 6668, 6669, 6679, 6697, 9200, 10080, 11211, 27017,
    }
)  # fmt: skip
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}\Z")
_ORGANISATION = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class UnfitTargetError(ValueError):
    """Nothing may be called there; the message is for the tenant."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a call goes. `host` is what is resolved, asked for in TLS and named in `Host`."""

    scheme: str
    host: str
    port: int
    path: str  # with the query, fit for a request line
    user: str | None = None
    password: str = ""


def parse_target(url: str) -> Target:
    """Read an http or https URL.

    Raises UnfitTargetError for anything else, and for a host or port that is not called. Hosts are
    IDNA names (RFC 3490), dotted IPv4 addresses or IPv6 addresses in brackets: other spellings of
    an address (decimal, octal, hexadecimal, short) and zone ids are refused, not guessed at.
    """
    parts = _parts(url)
    return Target(
        scheme=parts.scheme,
        host=_host(parts),
        port=_port(parts),
        path=quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), _PATH_SAFE),
        user=None if parts.username is None else unquote(parts.username),
        password=unquote(parts.password or ""),
    )


def is_topic(url: str) -> bool:
    """Say whether a webhook's URL is the ARN of a topic."""
    return url.startswith("arn:")


def organisation_topic(family: str, organisation: str) -> str:
    """Return the ARN of an organisation's topic; `family` is what such ARNs begin with.

    Raises ValueError for an organisation that no topic can be named after.
    """
    if not _ORGANISATION.match(organisation):
        raise ValueError(f"no topic can be named after the organisation {organisation!r}")
    return family + organisation


def check_webhook(webhook: Webhook) -> None:
    """Raise ValueError for a webhook that could never be called or asks for no known event."""
    if is_topic(webhook.url):
        if not _TOPIC.match(webhook.url):
            raise UnfitTargetError("the URL is neither http, https nor the ARN of a topic")
    else:
        parse_target(webhook.url)
    unknown = sorted(webhook.events - WEBHOOK_EVENTS)
    if unknown:
        raise ValueError(f"there is no event {unknown[0]!r}")


def _parts(url: str) -> SplitResult:
    if len(url) > MAX_URL or any(c <= " " or c == "\x7f" for c in url):
        raise UnfitTargetError("the URL is not an http or https URL")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UnfitTargetError("the URL is not an http or https URL") from None
    if parts.scheme not in ("http", "https") or "\\" in parts.netloc:
        raise UnfitTargetError("the URL is not an http or https URL")
    return parts


def _host(parts: SplitResult) -> str:
    try:
        name = (parts.hostname or "").removesuffix(".")
    except ValueError:
        name = ""
    if not name:
        raise UnfitTargetError("the URL is not an http or https URL")
    if ":" in name or "[" in parts.netloc or "]" in parts.netloc:
        if not _BRACKETS.match(parts.netloc.rpartition("@")[2]):
            raise UnfitTargetError("the host name is malformed")
        return _address(name, ipaddress.IPv6Address)
    try:
        name = name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise UnfitTargetError("the host name is malformed") from None
    if _NUMBER.match(name.rpartition(".")[2]):
        return _address(name, ipaddress.IPv4Address)
    if len(name) > 253 or not _NAME.match(name):
        raise UnfitTargetError("the host name is malformed")
    return name


def _address(name: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> str:
    try:
        address = kind(name.partition("%")[0])
    except ValueError:
        address = None
    if address is None or "%" in name:
        raise UnfitTargetError("the host is an address in a spelling that is not used")
    return str(address)


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        raise UnfitTargetError("the URL is not an http or https URL") from None
    if port is None:
        return 443 if parts.scheme == "https" else 80
    if (port < 1024 and port not in _OPEN_LOW) or port in _CLOSED:
        raise UnfitTargetError(f"port {port} is not called")
    return port
