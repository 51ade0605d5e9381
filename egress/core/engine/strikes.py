"""How long trouble is waited out: longer each time, and forgiven with clean hours."""

from mailroom.domain.sending.judgement import Category

DECAY_SECONDS = 6 * 3_600.0
RATE_CAP = 4 * 3_600.0
BLOCK_CAP = 24 * 3_600.0
_MOST = 100
_BLOCKS = frozenset(
    each.value
    for each in (
        Category.SPAM_RELATED,
        Category.POLICY_RELATED,
        Category.VIRUS_RELATED,
        Category.CONTENT_RELATED,
        Category.AUTHENTICATION,
        Category.BAD_CONFIGURATION,
        Category.INVALID_SENDER,
        Category.RELAYING_ISSUES,
    )
)


def penalty(base: float, strikes: int, category: str) -> float:
    """Return the seconds for a number of strikes: base times their square (as OpenSMTPD).

    At most 24 hours for what reads as a block and 4 for the rest, but never below `base`.
    """
    cap = BLOCK_CAP if category in _BLOCKS else RATE_CAP
    return max(base, min(cap, base * max(1, strikes) ** 2))


def decayed(strikes: int, clean_since: float, now: float) -> int:
    """Return what is left of the strikes: each clean six hours take one away."""
    return min(_MOST, max(0, strikes - max(0, int((now - clean_since) // DECAY_SECONDS))))
