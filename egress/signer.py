"""DKIM signing with RSA keys that are parsed once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from mailroom.domain import dkim

MIN_KEY_BITS = 1024  # verifiers must not accept less (RFC 8301 section 3.2)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Who signs: `private_key` is RSA in PEM or DER, PKCS#1 or PKCS#8, not encrypted."""

    domain: str
    selector: str
    private_key: bytes = field(repr=False)


class Signer:
    """Signs messages. Holds up to `keys` parsed keys: parsing costs more than signing."""

    def __init__(self, *, clock: Callable[[], float], keys: int = 4096) -> None:
        self._clock = clock
        self._key = lru_cache(maxsize=keys)(load_key)

    def sign(self, raw: bytes, key: SigningKey, *, body_hash: bytes | None = None) -> bytes:
        """Return `raw` with a DKIM-Signature field in front.

        `body_hash` is `dkim.body_hash(raw)` if the caller already has it. Raises ValueError for
        a message that cannot be signed (see `dkim.signing_input`) or a key that is no RSA key.
        """
        return self.header(raw, key, body_hash=body_hash) + raw

    def header(self, raw: bytes, key: SigningKey, *, body_hash: bytes | None = None) -> bytes:
        """Return the DKIM-Signature field alone, with its CRLF. Raises as `sign` does."""
        private = self._key(key.private_key)
        signing = dkim.signing_input(
            raw,
            domain=key.domain,
            selector=key.selector,
            timestamp=int(self._clock()),
            body_hash=body_hash,
        )
        signature = private.sign(signing.to_sign, PKCS1v15(), SHA256())
        return dkim.finished_header(signing, signature)


def load_key(private_key: bytes) -> RSAPrivateKey:
    """Parse an RSA private key in PEM or DER.

    The arithmetic of the key is not checked here: it was checked when the key was made or
    uploaded, and checking costs a hundred signatures. Raises ValueError for anything else.
    """
    load = load_pem_private_key if private_key.startswith(b"-----") else load_der_private_key
    try:
        key = load(private_key, password=None, unsafe_skip_rsa_key_validation=True)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("the DKIM key is encrypted or of an unknown kind") from error
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_KEY_BITS:
        raise ValueError(f"a DKIM key is RSA with at least {MIN_KEY_BITS} bits")
    return key
