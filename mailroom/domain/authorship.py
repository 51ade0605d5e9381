"""Who a message says it is from, and whether that may be said.

The rule is Postal's: every From header must name an address at a verified domain; MAIL FROM is
never looked at. Unlike Postal, several mailboxes in one From field are each checked.
"""

from collections.abc import Callable, Sequence

from mailroom.domain.address import Address, MalformedAddressError, parse_mailboxes
from mailroom.domain.headers import Field


def authors(header: Sequence[Field]) -> tuple[Address, ...]:
    """Return the mailboxes of all From fields, in order; empty if any of them is unreadable."""
    texts = [f.value.decode("utf-8", "replace") for f in header if f.name == "from"]
    if not texts:
        return ()
    try:
        return tuple(address for text in texts for _, address in parse_mailboxes(text))
    except MalformedAddressError:
        return ()


def signing_domain(header: Sequence[Field], verified: Callable[[str], bool]) -> str | None:
    """Return the domain that signs: the first author's, if all authors' domains are verified."""
    found = authors(header)
    if found and all(verified(author.domain) for author in found):
        return found[0].domain
    return None
