"""DKIM signatures (RFC 6376): what is signed, in the relaxed/relaxed form, without the key.

Only arithmetic on bytes lives here; the RSA operation is the caller's. Input must have CRLF line
ends only, because a receiver hashes what travelled, and bare CR or LF do not travel unchanged.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

# Listed once more than present, so that nobody can add another one to a signed message
# (RFC 6376 section 8.15). Receivers show or act on each of these.
OVERSIGNED = (
    b"from",
    b"to",
    b"cc",
    b"subject",
    b"date",
    b"message-id",
    b"reply-to",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
)

# Signed as often as present only: forwarders and mailing lists add these in good faith.
SIGNED = (b"sender", b"in-reply-to", b"references", b"list-id", b"feedback-id")

_WANTED = frozenset(OVERSIGNED + SIGNED)
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\Z")
_LINE = 70  # octets of a folded line after its tab; RFC 5322 section 2.1.1 advises 78


RSA_SHA256 = b"rsa-sha256"
ED25519_SHA256 = b"ed25519-sha256"  # RFC 8463


@dataclass(frozen=True, slots=True)
class Prepared:
    """What all signatures of one message share: their h= and bh= tags and the signed fields."""

    h_and_bh: tuple[bytes, bytes]
    signed: bytes


@dataclass(frozen=True, slots=True)
class SigningInput:
    """A signature in the making.

    `header_without_b` is the DKIM-Signature field up to and including `b=`; `to_sign` is the
    octets whose SHA-256 the key signs: RSA with PKCS#1 v1.5, Ed25519 as RFC 8463 section 3 has it.
    """

    header_without_b: bytes
    to_sign: bytes


def require_crlf(raw: bytes) -> None:
    """Raise ValueError if `raw` has a CR or LF that is not part of a CRLF."""
    pairs = raw.count(b"\r\n")
    if raw.count(b"\n") != pairs or raw.count(b"\r") != pairs:
        raise ValueError("the message has a bare CR or LF; lines must end with CRLF")


def relaxed_body(body: bytes) -> bytes:
    """Return `body` in the relaxed form (RFC 6376 section 3.4.4).

    A missing final CRLF is added first, because SMTP adds it on the wire. `bytes.replace` does
    all the work: a regular expression for white space costs more than the RSA operation.
    """
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    body = _single_spaces(body).replace(b" \r\n", b"\r\n").rstrip(b"\r\n")
    return body + b"\r\n" if body else b""


def body_hash(raw: bytes) -> bytes:
    """Return the 32-octet SHA-256 of the body of `raw`, a whole message.

    Worth keeping by the caller when many messages share one body. Raises ValueError for bare
    CR or LF.
    """
    require_crlf(raw)
    return hashlib.sha256(relaxed_body(_parts(raw)[1])).digest()


def prepared(raw: bytes, *, body_hash: bytes | None = None) -> Prepared:
    """Do what all signatures of `raw` have in common.

    `body_hash` spares the hash of the body if it is known. Repeated fields are signed from the
    bottom up (RFC 6376 section 5.4.2). Raises ValueError for bare CR or LF and for a message
    without From.
    """
    require_crlf(raw)
    head, body = _parts(raw)
    fields = _wanted_fields(head)
    if b"from" not in fields:
        raise ValueError("a message without a From field cannot be signed (RFC 6376 section 5.4)")
    digest = body_hash or hashlib.sha256(relaxed_body(body)).digest()
    names, listed = _named(tuple((name, len(found)) for name, found in fields.items()))
    signed = [field for each in dict.fromkeys(names) for field in reversed(fields.get(each, ()))]
    return Prepared(
        h_and_bh=(listed, b"bh=" + b64encode(digest) + b";"),
        signed=b"".join(field + b"\r\n" for field in signed),
    )


def signing_input(
    raw: bytes | Prepared,
    *,
    domain: str,
    selector: str,
    timestamp: int,
    body_hash: bytes | None = None,
    algorithm: bytes = RSA_SHA256,
) -> SigningInput:
    """Prepare the signature of `raw` by `selector`._domainkey.`domain`, made at `timestamp`.

    `timestamp` is Unix seconds; `raw` is a message or what `prepared` made of one. Raises
    ValueError for a domain or selector that is no ASCII host name, and as `prepared` does.
    """
    if not (_NAME.match(domain) and _NAME.match(selector)):
        raise ValueError("a DKIM domain and selector are ASCII host names")
    common = raw if isinstance(raw, Prepared) else prepared(raw, body_hash=body_hash)
    header = b"\r\n\t".join(
        (
            b"DKIM-Signature: v=1; a=" + algorithm + b"; c=relaxed/relaxed;",
            f"d={domain};".encode(),
            f"s={selector}; t={timestamp};".encode(),
            *common.h_and_bh,
            b"b=",
        )
    )
    name, _, value = header.partition(b":")
    return SigningInput(header, common.signed + name.lower() + b":" + _relaxed_value(value))


def finished_header(signing: SigningInput, signature: bytes) -> bytes:
    """Return the complete DKIM-Signature field, CRLF included, for a raw `signature`."""
    text = b64encode(signature)
    first = _LINE - len("b=")
    lines = [text[:first], *(text[at : at + _LINE] for at in range(first, len(text), _LINE))]
    return signing.header_without_b + b"\r\n\t".join(lines) + b"\r\n"


def _parts(raw: bytes) -> tuple[bytes, bytes]:
    if raw.startswith(b"\r\n"):
        return b"", raw[2:]
    head, _, body = raw.partition(b"\r\n\r\n")
    return head, body


def _single_spaces(text: bytes) -> bytes:
    text = text.replace(b"\t", b" ")
    while b"  " in text:  # halves each run, so even a megabyte of spaces takes 20 rounds
        text = text.replace(b"  ", b" ")
    return text


def _relaxed_value(value: bytes) -> bytes:
    return _single_spaces(value.replace(b"\r\n", b"")).strip(b" ")


def _wanted_fields(head: bytes) -> dict[bytes, list[bytes]]:
    """Return the relaxed fields that get signed, by lower-case name, in message order."""
    found: dict[bytes, list[bytes]] = {}
    for field in _unfolded(head):
        name, colon, value = field.partition(b":")
        name = name.rstrip(b" \t").lower()
        if colon and name in _WANTED:
            found.setdefault(name, []).append(name + b":" + _relaxed_value(value))
    return found


def _unfolded(head: bytes) -> Iterable[bytes]:
    # A continuation line starts with white space (RFC 5322 section 2.2.3).
    return head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b"\t").split(b"\r\n")


@lru_cache(maxsize=256)
def _named(present: tuple[tuple[bytes, int], ...]) -> tuple[tuple[bytes, ...], bytes]:
    """Return the names to sign and their h= tag; most messages have the same few fields."""
    names = tuple(_listed(dict(present)))
    return names, _folded_names(names) + b";"


def _listed(present: dict[bytes, int]) -> Iterator[bytes]:
    for name in OVERSIGNED:
        yield from (name,) * (present.get(name, 0) + 1)
    for name in SIGNED:
        yield from (name,) * present.get(name, 0)


def _folded_names(names: tuple[bytes, ...]) -> bytes:
    """Return the h= tag, folded after colons (the only place where white space may stand)."""
    lines = [b"h=" + names[0]]
    for name in names[1:]:
        if len(lines[-1]) + 1 + len(name) >= _LINE:
            lines.append(name)
        else:
            lines[-1] += b":" + name
    return b":\r\n\t".join(lines)
