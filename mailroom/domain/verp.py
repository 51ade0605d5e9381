"""Return paths that say which delivery came back (VERP, signed and stateless).

`b+<kid><server><number and index><tag>@<return path domain>`: letters and digits of lower-case
base32 only, because some relays fold the case of local parts. 41 octets of the 64 allowed.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mailroom.domain.address import Address
from mailroom.domain.message import DeliveryKey, ServerId

_PREFIX = "b+"
_TAG_BYTES = 10  # 80 bits: forging one needs more tries than a listener would take
_LOCAL = re.compile(r"b\+([a-z0-9])([a-z2-7]{10})([a-z2-7]{12})([a-z2-7]{16})\Z")


@dataclass(frozen=True, slots=True)
class VerpKey:
    """A signing key for return paths; `kid` is one character of [a-z0-9]."""

    kid: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z0-9]", self.kid):
            raise ValueError("the id of a return-path key is one character of [a-z0-9]")


def return_path(key: DeliveryKey, *, domain: str, signer: VerpKey) -> Address:
    """Return the envelope sender of one delivery at `domain`."""
    payload = f"{signer.kid}{key.server}{_number(key.postal_id)}"
    return Address(f"{_PREFIX}{payload}{_tag(payload, signer.secret)}", domain)


def read_return_path(address: Address, keys: Mapping[str, VerpKey]) -> DeliveryKey | None:
    """Return the delivery `address` names, or None if we did not write it."""
    found = _LOCAL.match(address.local.lower())
    if found is None or found[1] not in keys:
        return None
    payload = f"{found[1]}{found[2]}{found[3]}"
    if not hmac.compare_digest(found[4], _tag(payload, keys[found[1]].secret)):
        return None
    number = int.from_bytes(base64.b32decode(found[3].upper() + "====")[:7], "big")
    try:
        return DeliveryKey.from_postal_id(ServerId(found[2]), number)
    except ValueError:
        return None


def _number(value: int) -> str:
    return base64.b32encode(value.to_bytes(7, "big")).decode().lower().rstrip("=")


def _tag(payload: str, secret: bytes) -> str:
    digest = hmac.digest(secret, b"verp:" + payload.encode(), hashlib.sha256)[:_TAG_BYTES]
    return base64.b32encode(digest).decode().lower()
