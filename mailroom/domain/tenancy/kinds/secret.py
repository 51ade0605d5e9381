"""Secrets as resources keep them: hashed, with the one before them while a rotation lasts.

A secret itself is shown once and stored nowhere. The fields of a resource with one are
`secret_hash` (SHA-256 in hex), `hint` (its last characters), and after a rotation
`old_secret_hash` with `old_until`, when the old one ends (Unix seconds).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.tenancy.spelling import hash_pk, secret_hash

HINT = 4  # characters
PRIVATE = frozenset({"secret_hash", "old_secret_hash"})
MAX_OVERLAP = 7 * 86_400
DEFAULT_OVERLAP = 86_400


def sealed(secret: str) -> dict[str, Any]:
    """Return the fields of a resource's first secret."""
    return {
        "secret_hash": secret_hash(secret),
        "hint": secret[-HINT:],
        "old_secret_hash": None,
        "old_until": None,
        "rotated_at": None,
    }


def rotated(
    fields: Mapping[str, Any], secret: str, *, now: float, overlap: float
) -> dict[str, Any]:
    """Return `fields` with a new secret; the one there was works for `overlap` seconds more.

    Of an earlier rotation that still lasts, the older secret ends at once.
    """
    old = {"old_secret_hash": fields["secret_hash"], "old_until": now + overlap} if overlap else {}
    return {**fields, **sealed(secret), **old, "rotated_at": now}


def opened(fields: Mapping[str, Any], body: Mapping[str, Any]) -> Iterable[Record]:
    """Yield the runtime rows that the secrets open: `body`, for an old one with its own end."""
    expires_at = body.get("expires_at")
    yield Record(Place(hash_pk(fields["secret_hash"])), body, exclusive=True)
    old, until = fields.get("old_secret_hash"), fields.get("old_until")
    if old and until is not None:
        end = until if expires_at is None else min(until, expires_at)
        row = {**body, "expires_at": end}
        yield Record(Place(hash_pk(old)), row, expires_at=until, exclusive=True)
