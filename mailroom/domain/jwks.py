"""The public half of a signing key as a JSON Web Key (RFC 7517), as Postal publishes it.

Reads DER itself: a function that only publishes keys needs no cryptography library.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import Any

_SEQUENCE, _INTEGER, _BIT_STRING = 0x30, 0x02, 0x03
_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


def read_public_key(pem: str) -> tuple[int, int]:
    """Return (modulus, exponent) of an RSA public key in PEM (SubjectPublicKeyInfo).

    Raises ValueError for anything else.
    """
    text = "".join(pem.partition(_BEGIN)[2].partition(_END)[0].split())
    try:
        spki, _ = _content(base64.b64decode(text, validate=True), _SEQUENCE)
    except binascii.Error:
        raise ValueError("not a public key in PEM") from None
    _, rest = _content(spki, _SEQUENCE)  # the algorithm, which the numbers prove or not
    bits, _ = _content(rest, _BIT_STRING)
    numbers, _ = _content(bits[1:], _SEQUENCE)
    modulus, rest = _content(numbers, _INTEGER)
    exponent, _ = _content(rest, _INTEGER)
    return int.from_bytes(modulus), int.from_bytes(exponent)


def key_id(modulus: int, exponent: int) -> str:
    """Return the id of an RSA key: SHA-256 in hex over its PKCS #1 form.

    The same as ruby-jwt's default, which Postal's `X-Postal-Signature-KID` carries.
    """
    inner = _integer(modulus) + _integer(exponent)
    return hashlib.sha256(bytes([_SEQUENCE]) + _length(len(inner)) + inner).hexdigest()


def jwks(public_keys: Iterable[str]) -> dict[str, Any]:
    """Return the JWK set of PEM public keys, as served at `/.well-known/jwks.json`.

    Raises ValueError if one of them is not an RSA public key.
    """
    return {"keys": [_jwk(*read_public_key(pem)) for pem in public_keys]}


def _jwk(modulus: int, exponent: int) -> dict[str, str]:
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": key_id(modulus, exponent),
        "n": _base64url(modulus),
        "e": _base64url(exponent),
    }


def _content(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the element `der` begins with, and what follows it."""
    if len(der) < 2 or der[0] != tag:
        raise ValueError("not an RSA public key")
    start, size = 2, der[1]
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(der[2:start])
    if len(der) < start + size:
        raise ValueError("a public key is cut short")
    return der[start : start + size], der[start + size :]


def _integer(number: int) -> bytes:
    # One octet more than needed when the top bit is set: DER integers have a sign.
    octets = number.to_bytes(number.bit_length() // 8 + 1)
    return bytes([_INTEGER]) + _length(len(octets)) + octets


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([0x80 | len(octets)]) + octets


def _base64url(number: int) -> str:
    octets = number.to_bytes((number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
