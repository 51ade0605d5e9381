"""The 16-character token of a message on Postal's surface, derived from its id.

Postal stores a random token per message; ours is the id under a keyed 48-bit tag, so it needs
no row and no index. It identifies, it does not authorise.
"""

import base64
import hashlib
import hmac

from mailroom.domain.message import DeliveryKey


def message_token(key: DeliveryKey, secret: bytes) -> str:
    """Return the token of `key`: 16 characters of [A-Za-z2-7]."""
    digest = hmac.digest(secret, b"token:" + str(key).encode(), hashlib.sha256)
    return base64.b32encode(digest[:10]).decode()
