"""DMARC policies: which record speaks for a domain (RFC 9989 section 4.10, RFC 7489 before it).

The organisation is found by walking up the tree, as RFC 9989 has it: no list of public suffixes
to keep current.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mailroom.domain.dns.names import parents
from mailroom.domain.dns.tags import TagListError, parse_tags

MAX_QUERIES = 8  # names asked for one domain, RFC 9989 section 4.10
_VERSION = re.compile(r"\s*v\s*=\s*DMARC1\s*(?:;|\Z)")
_POLICIES = frozenset({"none", "quarantine", "reject"})


@dataclass(frozen=True, slots=True)
class DmarcPolicy:
    """The policy for mail of a domain; `inherited` if it stands at a parent."""

    at: str
    policy: str
    inherited: bool


@dataclass(frozen=True, slots=True)
class DmarcFault:
    """Why receivers would ignore what is published at one name, in one sentence."""

    reason: str


def suggested_dmarc(report_address: str = "") -> str:
    """Return a record that changes nothing for anybody and asks for reports, if there is an
    address for them."""
    return "v=DMARC1; p=none" + (f"; rua=mailto:{report_address}" if report_address else "")


def dmarc_names(domain: str) -> Iterator[str]:
    """Yield the names of records that may speak for `domain`, nearest first.

    The domain's own, then its parents'; of a name with more than eight labels those in between
    are skipped, and a top-level domain is asked like any other (RFC 9989 section 4.10).
    """
    yield f"_dmarc.{domain}"
    for parent in list(parents(domain))[-(MAX_QUERIES - 1) :]:
        yield f"_dmarc.{parent}"


def dmarc_records(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of a name's TXT records that are DMARC records."""
    return tuple(text for text in texts if _VERSION.match(text))


def read_dmarc(text: str, *, at: str, domain: str) -> DmarcPolicy | DmarcFault:
    """Read one DMARC record published at `_dmarc.<at>` for `domain`.

    A sub-domain gets the parent's `sp` if there is one. A record without `p` but with `rua` means
    none (RFC 7489 section 6.6.3, kept by RFC 9989).
    """
    try:
        tags = parse_tags(text)
    except TagListError as error:
        return DmarcFault(f"The DMARC record cannot be read: {error}.")
    inherited = at != domain
    policy = tags.get("p", "none" if "rua" in tags else "").lower()
    if inherited and "sp" in tags:
        policy = tags["sp"].lower()
    if policy not in _POLICIES:
        return DmarcFault("The DMARC record has no policy p=none, p=quarantine or p=reject.")
    return DmarcPolicy(at, policy, inherited)
