"""Patterns of reply codes (`421|55x`) and of enhanced codes (`x.7.26|4.7.500-699`)."""

import re
from collections.abc import Callable

MAX_CODES = 200  # characters of one pattern
_CODE = re.compile(r"[0-9x]{3}")
_ENHANCED = re.compile(r"([245x])\.(?:([0-9]{1,3})|(x))\.(?:([0-9]{1,3})(?:-([0-9]{1,3}))?|(x))")

Enhanced = tuple[int, int, int]


def parse_codes(source: str) -> Callable[[int], bool]:
    """Return a test of reply codes; `x` is any digit. Raises ValueError."""
    parts = _parts(source)
    if not all(_CODE.fullmatch(part) for part in parts):
        raise ValueError(f"{source[:40]!r} is no pattern of codes: write it like 421|55x")
    compiled = re.compile("|".join(part.replace("x", "[0-9]") for part in parts))
    return lambda code: compiled.fullmatch(f"{code:03d}") is not None


def parse_enhanced(source: str) -> Callable[[Enhanced | None], bool]:
    """Return a test of enhanced codes; `x` is any number, `500-699` a span. Raises ValueError."""
    ranges = [_range(part, source) for part in _parts(source)]

    def test(enhanced: Enhanced | None) -> bool:
        return enhanced is not None and any(
            all(low <= number <= high for number, (low, high) in zip(enhanced, spans, strict=True))
            for spans in ranges
        )

    return test


def _range(part: str, source: str) -> tuple[tuple[int, int], ...]:
    found = _ENHANCED.fullmatch(part)
    if not found:
        raise ValueError(
            f"{source[:40]!r} is no pattern of enhanced codes: write it like x.7.26|4.7.500-699"
        )
    kind, subject, _, detail, last, _ = found.groups()
    low = int(detail or 0)
    return (
        (2, 5) if kind == "x" else (int(kind), int(kind)),
        (int(subject), int(subject)) if subject else (0, 999),
        (low, int(last or detail)) if detail else (0, 999),
    )


def _parts(source: str) -> list[str]:
    if not source or len(source) > MAX_CODES:
        raise ValueError(f"a pattern of codes has 1 to {MAX_CODES} characters")
    return source.split("|")
