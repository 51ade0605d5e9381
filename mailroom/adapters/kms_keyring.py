"""Unwrapping secrets with KMS. The owner is in the encryption context, so a wrapped key moved
to another row does not open."""

import threading
from collections import OrderedDict
from typing import Any


class KmsKeyring:
    """Unwraps and wraps; keeps what it unwrapped in memory, newest 1,000."""

    def __init__(self, kms: Any, key_id: str = "", *, keep: int = 1_000) -> None:
        self._kms = kms
        self._key_id = key_id
        self._keep = keep
        self._opened: OrderedDict[tuple[bytes, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def unwrap(self, wrapped: bytes, owner: str) -> bytes:
        """Return the secret. Raises botocore's ClientError if `owner` is not the one it has."""
        with self._lock:
            if (wrapped, owner) in self._opened:
                self._opened.move_to_end((wrapped, owner))
                return self._opened[wrapped, owner]
        answer = self._kms.decrypt(CiphertextBlob=wrapped, EncryptionContext={"owner": owner})
        secret: bytes = answer["Plaintext"]
        with self._lock:
            self._opened[wrapped, owner] = secret
            while len(self._opened) > self._keep:
                self._opened.popitem(last=False)
        return secret

    def wrap(self, secret: bytes, owner: str) -> bytes:
        """Return `secret` encrypted for `owner` (at most 4,096 octets, KMS's limit)."""
        answer = self._kms.encrypt(
            KeyId=self._key_id, Plaintext=secret, EncryptionContext={"owner": owner}
        )
        wrapped: bytes = answer["CiphertextBlob"]
        return wrapped
