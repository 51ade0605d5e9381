"""DKIM signing with keys that are parsed once: RSA, and Ed25519 beside it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from mailroom.domain import dkim

MIN_KEY_BITS = 1024  # verifiers must not accept less (RFC 8301 section 3.2)


PrivateKey = RSAPrivateKey | Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Who signs: `private_key` is RSA in PEM or DER, PKCS#1 or PKCS#8, or Ed25519 in PKCS#8, not
    encrypted."""

    domain: str
    selector: str
    private_key: bytes = field(repr=False)


class Signer:
    """Signs messages. Holds up to `keys` parsed keys: parsing costs more than signing."""

    def __init__(self, *, clock: Callable[[], float], keys: int = 4096) -> None:
        self._clock = clock
        self._key = lru_cache(maxsize=keys)(load_key)

    def sign(
        self, raw: bytes, key: SigningKey, *more: SigningKey, body_hash: bytes | None = None
    ) -> bytes:
        """Return `raw` with a DKIM-Signature field in front for each key, in their order.

        `body_hash` is `dkim.body_hash(raw)` if the caller already has it. Raises ValueError for
        a message that cannot be signed (see `dkim.signing_input`) or a key that cannot sign.
        """
        if not more:
            return self.header(raw, key, body_hash=body_hash) + raw
        # The message is read and hashed once, whoever signs it.
        common = dkim.prepared(raw, body_hash=body_hash)
        return b"".join([*(self.header(common, each) for each in (key, *more)), raw])

    def header(
        self, raw: bytes | dkim.Prepared, key: SigningKey, *, body_hash: bytes | None = None
    ) -> bytes:
        """Return the DKIM-Signature field alone, with its CRLF. Raises as `sign` does."""
        private = self._key(key.private_key)
        is_rsa = isinstance(private, RSAPrivateKey)
        signing = dkim.signing_input(
            raw,
            domain=key.domain,
            selector=key.selector,
            timestamp=int(self._clock()),
            body_hash=body_hash,
            algorithm=dkim.RSA_SHA256 if is_rsa else dkim.ED25519_SHA256,
        )
        return dkim.finished_header(signing, _signature(private, signing.to_sign))


def load_key(private_key: bytes) -> PrivateKey:
    """Parse an RSA or Ed25519 private key in PEM or DER.

    The arithmetic of the key is not checked here: it was checked when the key was made or
    uploaded, and checking costs a hundred signatures. Raises ValueError for anything else.
    """
    load = load_pem_private_key if private_key.startswith(b"-----") else load_der_private_key
    try:
        key = load(private_key, password=None, unsafe_skip_rsa_key_validation=True)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("the DKIM key is encrypted or of an unknown kind") from error
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_KEY_BITS:
        raise ValueError(f"a DKIM key is Ed25519, or RSA with at least {MIN_KEY_BITS} bits")
    return key


def _signature(key: PrivateKey, to_sign: bytes) -> bytes:
    if isinstance(key, RSAPrivateKey):
        return key.sign(to_sign, PKCS1v15(), SHA256())
    # RFC 8463 section 3: PureEdDSA over the SHA-256, not over the octets themselves.
    return key.sign(hashlib.sha256(to_sign).digest())
