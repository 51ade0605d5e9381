"""How much a key or credential is in use, in Postal's words."""

from enum import StrEnum

_DAY = 86_400.0
_MONTH, _HALF_YEAR, _YEAR = 30 * _DAY, 182 * _DAY, 365 * _DAY


class Usage(StrEnum):
    """Postal's labels; people look for what can be deleted."""

    UNUSED = "Unused"  # never
    ACTIVE = "Active"  # within a month
    QUIET = "Quiet"  # within half a year
    DORMANT = "Dormant"  # within a year
    INACTIVE = "Inactive"


def usage_of(last_used_at: float | None, now: float) -> Usage:
    """Return the label of what was last used then (Unix seconds; None: never)."""
    if last_used_at is None:
        return Usage.UNUSED
    age = now - last_used_at
    if age < _MONTH:
        return Usage.ACTIVE
    if age <= _HALF_YEAR:
        return Usage.QUIET
    return Usage.DORMANT if age <= _YEAR else Usage.INACTIVE
