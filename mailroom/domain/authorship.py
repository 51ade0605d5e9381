"""Who a message says it is from, and whether that may be said.

The rule is Postal's: every From header must name an address at a verified domain, or, where a
server allows it, every Sender header; MAIL FROM is never looked at. Unlike Postal, several
mailboxes in one field are each checked, and a From that cannot be read is refused in any case.
"""

from collections.abc import Callable, Sequence

from mailroom.domain.address import Address, MalformedAddressError, parse_mailboxes
from mailroom.domain.headers import Field


def authors(header: Sequence[Field]) -> tuple[Address, ...]:
    """Return the mailboxes of all From fields, in order; empty if any of them is unreadable."""
    return _mailboxes(header, "from")


def signing_domain(
    header: Sequence[Field], verified: Callable[[str], bool], *, allow_sender: bool = False
) -> str | None:
    """Return the domain that signs: the first author's, if all authors' domains are verified.

    With `allow_sender` the Sender may vouch instead, whoever the authors are.
    """
    found = authors(header)
    if not found:
        return None
    if all(verified(author.domain) for author in found):
        return found[0].domain
    senders = _mailboxes(header, "sender") if allow_sender else ()
    if senders and all(verified(sender.domain) for sender in senders):
        return senders[0].domain
    return None


def _mailboxes(header: Sequence[Field], name: str) -> tuple[Address, ...]:
    texts = [f.value.decode("utf-8", "replace") for f in header if f.name == name]
    try:
        return tuple(address for text in texts for _, address in parse_mailboxes(text))
    except MalformedAddressError:
        return ()
