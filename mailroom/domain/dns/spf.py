"""SPF records (RFC 7208): what we suggest, how ours joins one that is there, what was found.

Evaluating a record is the work of a library behind a port (`mailroom.ports.dns.SpfChecker`). Here
is only the editing of text that a person will paste.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

_VERSION = re.compile(r"v=spf1(?: |\Z)", re.IGNORECASE)
_LAST = re.compile(r"(?:[+?~-]?all\Z|redirect=)", re.IGNORECASE)


class SpfResult(StrEnum):
    """Results of RFC 7208 section 2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105  # a result of SPF
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class SpfAnswer:
    """What an evaluation gave.

    `result` is the worst over the addresses asked for; `reached` says whether the evaluation came
    to our include; `lookups` is the number of terms that ask the DNS, at most 10 (RFC 7208
    section 4.6.4); `problem` is the library's word for an error.
    """

    result: SpfResult
    reached: bool = False
    lookups: int = 0
    problem: str = ""


def is_spf(text: str) -> bool:
    """Say whether a TXT is an SPF record (RFC 7208 section 4.5)."""
    return bool(_VERSION.match(text.strip()))


def spf_records(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of a name's TXT records that are SPF records."""
    return tuple(text for text in texts if is_spf(text))


def suggested_spf(include: str, existing: str = "") -> str:
    """Return the record to publish so that `include` is part of it.

    Without an `existing` record that is Postal's suggestion. With one its terms stay as they are,
    and ours goes before the `all` or the redirect that ends them. A record that has it already
    comes back as it is.
    """
    ours = f"include:{include}"
    if not existing:
        return f"v=spf1 a mx {ours} ~all"
    terms = existing.split()
    if any(term.lstrip("+").lower() == ours.lower() for term in terms):
        return existing
    at = next((n for n, term in enumerate(terms) if _LAST.match(term)), len(terms))
    return " ".join([*terms[:at], ours, *terms[at:]])
