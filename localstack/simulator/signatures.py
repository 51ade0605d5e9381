"""Checks webhook signatures the way a customer of Postal does: RSA over the body as it came."""

import base64
import binascii
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SHA1_HEADER = "X-Postal-Signature"
SHA256_HEADER = "X-Postal-Signature-256"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """Which of the two signatures hold. Missing, malformed and wrong are all False."""

    sha1: bool
    sha256: bool

    @property
    def verified(self) -> bool:
        """Both hold."""
        return self.sha1 and self.sha256


class SignatureChecker:
    """Checks against the public key in a PEM file, which may appear or change at any time."""

    def __init__(self, key_file: Path | None) -> None:
        self._file = key_file
        self._read_at: int | None = None
        self._key: rsa.RSAPublicKey | None = None

    def check(self, headers: Mapping[str, str], body: bytes) -> SignatureCheck:
        """Check both signature headers over `body`. Without a usable key nothing verifies."""
        key = self._public_key()
        if key is None:
            return SignatureCheck(sha1=False, sha256=False)
        return SignatureCheck(
            # Postal signs with SHA-1 as well, and its oldest clients check only that one.
            sha1=_holds(key, headers.get(SHA1_HEADER, ""), body, hashes.SHA1()),  # noqa: S303
            sha256=_holds(key, headers.get(SHA256_HEADER, ""), body, hashes.SHA256()),
        )

    def _public_key(self) -> rsa.RSAPublicKey | None:
        if self._file is None:
            return None
        try:
            changed_at = self._file.stat().st_mtime_ns
            if changed_at != self._read_at:
                found = serialization.load_pem_public_key(self._file.read_bytes())
                self._key = found if isinstance(found, rsa.RSAPublicKey) else None
                self._read_at = changed_at
        except (OSError, ValueError, TypeError) as error:
            log.warning("no webhook public key yet: %s", error)
            self._key = self._read_at = None
        return self._key


def _holds(
    key: rsa.RSAPublicKey, signature: str, body: bytes, algorithm: hashes.HashAlgorithm
) -> bool:
    try:
        key.verify(
            base64.b64decode("".join(signature.split()), validate=True),
            body,
            padding.PKCS1v15(),
            algorithm,
        )
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
