"""Stateless tracking tokens: which delivery was opened, or which of its links was clicked.

A token is `<key id>.<base64url(mac, ids, url)>` without padding: 12 octets of HMAC-SHA256, 13
octets that pack the kind (1 bit), server (50), submission number (43) and recipient index (10),
then the URL in UTF-8. It names the delivery, never an address, so it may stand in a log.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from mailroom.domain.message import MAX_RECIPIENTS, NUMBER_BITS, RECIPIENT_BITS, ServerId

# Octets in UTF-8, which for a URL in ASCII are its characters. Mail clients and gateways cut
# addresses of more than about 2,500 characters, and base64 makes four of three.
MAX_TRACKED_URL = 1800

_MAC = 12
_IDS = 13
_DOMAIN = b"mailroom tracking token 1\0"  # no other use of the secret can yield these MACs
_CLICK_BIT = 1 << 103
_SERVER_SHIFT = NUMBER_BITS + RECIPIENT_BITS
_SECRET_MIN = 16
_BLOCK = 64  # octets that SHA-256 works on at a time
_INNER = bytes(octet ^ 0x36 for octet in range(256))
_OUTER = bytes(octet ^ 0x5C for octet in range(256))

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_TO_DIGITS = str.maketrans(_BASE32, "0123456789abcdefghijklmnopqrstuv")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_KID = re.compile(r"[a-z0-9]{1,8}\Z")
_SERVER = re.compile(r"[a-z2-7]{10}\Z")
# 34 characters hold 25 octets, the smallest token; 2434 hold the longest tracked URL.
_TOKEN = re.compile(r"([a-z0-9]{1,8})\.([A-Za-z0-9_-]{34,2434})\Z")
# A backslash straight after the host is a slash to browsers and part of the host to RFC 3986
# parsers; such a URL could show one host to a block list and another to the reader.
_TRACKABLE = re.compile(
    r"[hH][tT][tT][pP][sS]?://(?=[^/?#]*\w)[^\x00-\x20\x7f-\x9f/?#\\<>\"|^`{}]+"
    r"(?:[/?#][^\x00-\x20\x7f-\x9f]*)?\Z"
)
_AUTHORITY = re.compile(r"([a-zA-Z]+://(?:[^/?#@]*@)?)([^/?#:]*)(.*)\Z", re.DOTALL)
_SAFE = "!#$%&'()*+,/:;=?@[]~|{}^"  # what Location may carry as it stands


@dataclass(frozen=True, slots=True)
class TrackingKey:
    """A signing secret and the short id that tokens name it by.

    Raises ValueError when `kid` is not 1 to 8 of `a-z0-9` or the secret has under 16 octets.
    """

    kid: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _KID.match(self.kid):
            raise ValueError("a tracking key id is 1 to 8 lower-case letters or digits")
        if len(self.secret) < _SECRET_MIN:
            raise ValueError("a tracking secret has at least 16 octets")


@dataclass(frozen=True, slots=True)
class Opened:
    """A genuine open token: the pixel of this delivery was fetched."""

    server: ServerId
    number: int
    index: int


@dataclass(frozen=True, slots=True)
class Clicked:
    """A genuine click token: a link of this delivery, and the http(s) URL it leads to."""

    server: ServerId
    number: int
    index: int
    url: str


def is_trackable(url: str) -> bool:
    """Say whether `url` is an absolute http(s) URL with a host and without blanks or controls.

    Characters RFC 3986 forbids but mail is full of (`|`, `{}`, non-ASCII) are accepted.
    Length is not looked at: see `is_too_long`.
    """
    return _TRACKABLE.match(url) is not None


def is_too_long(url: str) -> bool:
    """Say whether `url` takes more than MAX_TRACKED_URL octets in UTF-8."""
    size = len(url) if url.isascii() else len(url.encode("utf-8", "replace"))
    return size > MAX_TRACKED_URL


def click_token(key: TrackingKey, *, server: str, number: int, index: int, url: str) -> str:
    """Return the token of a link to `url` in the mail of recipient `index`.

    Raises ValueError for ids out of range and for a URL that is not trackable or too long.
    """
    if not is_trackable(url) or is_too_long(url):
        raise ValueError("only http and https URLs of up to 1,800 octets are tracked")
    return _token(key, _CLICK_BIT | _packed(server, number, index), url.encode())


def click_tokens(key: TrackingKey, *, server: str, number: int, index: int) -> Callable[[str], str]:
    """Return what makes the tokens of all links in the mail of recipient `index`.

    It is given URLs that are trackable and not too long, and does not look again. Raises
    ValueError for ids out of range.
    """
    ids = (_CLICK_BIT | _packed(server, number, index)).to_bytes(_IDS)
    inner, outer = _states(key.secret)
    inner.update(_DOMAIN + key.kid.encode() + b"\0" + ids)
    kid = key.kid

    def token(url: str) -> str:
        octets = url.encode()
        within, around = inner.copy(), outer.copy()
        within.update(octets)
        around.update(within.digest())
        signed = around.digest()[:_MAC] + ids + octets
        text = b2a_base64(signed, newline=False).translate(_URL_SAFE, b"=")
        return f"{kid}.{text.decode()}"

    return token


def open_token(key: TrackingKey, *, server: str, number: int, index: int) -> str:
    """Return the token of the pixel in the mail of recipient `index`.

    Raises ValueError for ids out of range.
    """
    return _token(key, _packed(server, number, index), b"")


def read_token(token: str, keys: Mapping[str, TrackingKey]) -> Opened | Clicked | None:
    """Return what `token` stands for, or None unless one of `keys` signed exactly this text.

    Total: any string at all yields an answer. MACs are compared in constant time.
    """
    found = _TOKEN.match(token)
    key = keys.get(found[1]) if found else None
    if found is None or key is None or len(found[2]) % 4 == 1:
        return None
    signed = urlsafe_b64decode(found[2] + "=" * (-len(found[2]) % 4))
    ids, url = signed[_MAC : _MAC + _IDS], signed[_MAC + _IDS :]
    # The last character may have spare bits; only the one spelling we wrote is ours.
    if not hmac.compare_digest(_token(key, int.from_bytes(ids), url), token):
        return None
    return _meaning(int.from_bytes(ids), url)


def redirect_location(url: str) -> str:
    """Return `url` in ASCII, fit for a Location header: IDNA host, the rest percent-encoded.

    Existing percent escapes stay as they are. Raises nothing; a host that IDNA refuses is
    percent-encoded like the rest.
    """
    found = _AUTHORITY.match(url)
    if found is None or url.isascii():
        return quote(url, safe=_SAFE, errors="replace")
    try:
        host = found[2].encode("idna").decode("ascii")
    except UnicodeError:
        host = found[2]
    return quote(f"{found[1]}{host}{found[3]}", safe=_SAFE, errors="replace")


def _packed(server: str, number: int, index: int) -> int:
    if not _SERVER.match(server):
        raise ValueError("a server id is ten characters of lower-case base32")
    if not (0 <= number < 1 << NUMBER_BITS and 0 <= index < MAX_RECIPIENTS):
        raise ValueError("no submission has that number or recipient index")
    server_bits = int(server.translate(_TO_DIGITS), 32)
    return server_bits << _SERVER_SHIFT | number << RECIPIENT_BITS | index


def _token(key: TrackingKey, ids: int, url: bytes) -> str:
    signed = ids.to_bytes(_IDS) + url
    mac = hmac.digest(key.secret, b"%b%b\0%b" % (_DOMAIN, key.kid.encode(), signed), "sha256")
    text = b2a_base64(mac[:_MAC] + signed, newline=False).translate(_URL_SAFE, b"=")
    return f"{key.kid}.{text.decode()}"


def _states(secret: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """Return both hashes of HMAC (RFC 2104 section 2) with the key in them.

    Many messages under one key are signed from their copies, at half the price.
    """
    key = (secret if len(secret) <= _BLOCK else hashlib.sha256(secret).digest()).ljust(
        _BLOCK, b"\0"
    )
    return hashlib.sha256(key.translate(_INNER)), hashlib.sha256(key.translate(_OUTER))


def _meaning(ids: int, url: bytes) -> Opened | Clicked | None:
    packed = (ids & (_CLICK_BIT - 1)) >> _SERVER_SHIFT
    server = ServerId("".join(_BASE32[packed >> shift & 31] for shift in range(45, -1, -5)))
    number = ids >> RECIPIENT_BITS & ((1 << NUMBER_BITS) - 1)
    index = ids & (MAX_RECIPIENTS - 1)
    if not ids & _CLICK_BIT:
        return None if url else Opened(server, number, index)
    # Unreachable for what click_token signed; it stays so that a leaked or reused secret does
    # not turn the redirect into one for any scheme.
    text = url.decode("utf-8", "replace")
    return Clicked(server, number, index, text) if is_trackable(text) else None
