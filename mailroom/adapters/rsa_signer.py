"""Signs webhook bodies as Postal does.

A software key: KMS cannot sign SHA-1, and the oldest clients check nothing else.
"""

import base64

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mailroom.domain.jwks import key_id


class RsaSigner:
    """Holds one RSA private key (PKCS#8 DER).

    Raises ValueError for what is no key and TypeError for one that is not RSA.
    """

    def __init__(self, private_key: bytes) -> None:
        key = serialization.load_der_private_key(private_key, password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError("the webhook key is not an RSA key")
        numbers = key.public_key().public_numbers()
        self._key = key
        self.kid = key_id(numbers.n, numbers.e)

    def headers(self, body: bytes) -> dict[str, str]:
        """Return the three signature headers for exactly these octets."""
        return {
            # Not for security: django-anymail and others verify this header and no other.
            "X-Postal-Signature": self._signature(body, hashes.SHA1()),  # noqa: S303
            "X-Postal-Signature-256": self._signature(body, hashes.SHA256()),
            "X-Postal-Signature-KID": self.kid,
        }

    def _signature(self, body: bytes, algorithm: hashes.HashAlgorithm) -> str:
        return base64.b64encode(self._key.sign(body, padding.PKCS1v15(), algorithm)).decode()
