"""Suppressions: addresses that get no mail any more, for whom, and why.

A row is found by a keyed hash of the address alone, so that an erased person stays suppressed
while nobody can read who that is. All times are Unix seconds.
"""

import hashlib
import hmac
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from mailroom.domain.address import MalformedAddressError, parse_address
from mailroom.domain.message import ServerId

MAX_DETAIL = 1_000  # characters of the reason's detail that are kept
SOFT_BOUNCE_DAYS = 30  # Postal's default for the removal of a suppression that bounces made
_DOT = "."


class Reason(StrEnum):
    """Why nothing is sent any more. Values are stored and shown; never rename them."""

    HARD_BOUNCE = "hard_bounce"
    SOFT_BOUNCES = "soft_bounces"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"
    IMPORT = "import"


# What a person asked for is stronger than what a machine saw.
_STRENGTH = (
    Reason.SOFT_BOUNCES,
    Reason.HARD_BOUNCE,
    Reason.IMPORT,
    Reason.MANUAL,
    Reason.UNSUBSCRIBE,
    Reason.COMPLAINT,
)


@dataclass(frozen=True, slots=True)
class Suppression:
    """One address in one scope; `address` is None once the person was erased.

    `expires_at` None means for good. `source` says who or what added it: a user, a key, a job
    or the rule that saw a bounce.
    """

    scope: str
    reason: Reason
    address: str | None
    created_at: float
    detail: str = ""
    expires_at: float | None = None
    source: str = ""

    def counts(self, now: float) -> bool:
        """Say whether it has not expired."""
        return self.expires_at is None or self.expires_at > now


def organisation_scope(organisation: str) -> str:
    """Return the scope of everything an organisation sends."""
    return f"organisation#{organisation}"


def server_scope(server: ServerId) -> str:
    """Return the scope of everything a server sends."""
    return f"server#{server}"


def stream_scope(server: ServerId, stream: str) -> str:
    """Return the scope of one stream of a server."""
    return f"stream#{server}#{stream}"


def scopes_of(organisation: str, server: ServerId, stream: str) -> tuple[str, ...]:
    """Return the scopes that apply to a message, widest first; an empty stream has none."""
    wide = (organisation_scope(organisation), server_scope(server))
    return (*wide, stream_scope(server, stream)) if stream else wide


def normal_address(text: str) -> str:
    """Return the one spelling under which an address is suppressed.

    All in lower case, the domain in its ASCII form (RFC 5890), needless quotes gone. Receivers
    may by RFC 5321 tell `Ann@` from `ann@`; none does, and Postal does not either. Raises
    MalformedAddressError for what is no address.
    """
    address = parse_address(text.strip())
    local = _lowered(_unquoted(address.local), "NFC")
    normal = f"{local}@{_DOT.join(map(_ascii_label, address.domain.split(_DOT)))}"
    parse_address(normal)  # a letter may stand for several, of which some are not allowed there
    return normal


def unicode_address(normal: str) -> str:
    """Return a normal address with its domain in Unicode, as people and old rows may have it."""
    local, _, domain = normal.rpartition("@")
    return f"{local}@{_DOT.join(map(_unicode_label, domain.split(_DOT)))}"


def recipient_hmac(secret: bytes, address: str) -> str:
    """Return the keyed hash (HMAC-SHA-256, hexadecimal) by which a recipient is found.

    The address is normalised first. Raises MalformedAddressError for what is none.
    """
    named = b"recipient:" + normal_address(address).encode()
    return hmac.digest(secret, named, hashlib.sha256).hex()


def merged(known: Suppression | None, new: Suppression) -> Suppression | None:
    """Return what to store when `new` comes to what is `known`, None if that says it all.

    The first stays, unless the new reason is stronger or lasts longer; then the stronger reason
    and the later end hold. One that has expired when `new` is made is as good as none.
    """
    if known is None or not known.counts(new.created_at):
        return new
    stronger, longer = _rank(new) > _rank(known), _end(new) > _end(known)
    if not (stronger or longer):
        return None
    kept = new if stronger else known
    return replace(kept, expires_at=new.expires_at if longer else known.expires_at)


def strongest(found: Iterable[Suppression]) -> Suppression | None:
    """Return the one to name: the strongest reason, and of equals the first (widest) of `found`."""
    return max(found, key=_rank, default=None)


def _rank(suppression: Suppression) -> int:
    return _STRENGTH.index(suppression.reason)


def _end(suppression: Suppression) -> float:
    return float("inf") if suppression.expires_at is None else suppression.expires_at


def _unquoted(local: str) -> str:
    """Return `"ann"` as `ann`: RFC 5321 section 4.1.2 has them name the same mailbox."""
    if not local.startswith('"'):
        return local
    bare = local[1:-1]
    try:
        parse_address(f"{bare}@x.invalid")
    except MalformedAddressError:
        return local
    return bare


def _lowered(text: str, form: Literal["NFC", "NFKC"]) -> str:
    """Return `text` in lower case and normal form; either step can undo the other once."""
    for _ in range(2):
        text = unicodedata.normalize(form, text).lower()
    return unicodedata.normalize(form, text)


def _unicode_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label.removeprefix("xn--").encode("ascii").decode("punycode")
    except UnicodeError:
        return label


def _ascii_label(label: str) -> str:
    found = _unicode_label(label)
    if label.startswith("xn--") and found == label:
        return label
    label = _lowered(found, "NFKC")
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
