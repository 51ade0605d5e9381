"""Permalinks: short names of organisations and servers, as they stand in SMTP logins."""

import re
from collections.abc import Collection

MAX_PERMALINK = 50
_OTHER = re.compile(r"[^a-z0-9]+")


def permalink_of(name: str, *, reserved: Collection[str]) -> str:
    """Return the permalink a name gives; `-x` follows one that is reserved or would be empty.

    Of letters, digits and hyphens only: an underscore separates the two in a login.
    """
    made = _OTHER.sub("-", name.lower()).strip("-")[:MAX_PERMALINK].rstrip("-")
    if not made:
        return "x"
    return f"{made[: MAX_PERMALINK - 2]}-x" if made in reserved else made
