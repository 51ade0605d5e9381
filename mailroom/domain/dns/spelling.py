"""How a sending domain is spelled in the row that the sending path reads, and where that lies.

A row of a release before return paths had names and domains more than one key is read as what it
meant then.
"""

from base64 import b64decode, b64encode
from typing import Any

from mailroom.domain.dns.names import domain_name
from mailroom.domain.message import Domain, DomainKey


def domain_pk(name: str) -> str:
    """Partition key of a domain; its owner is the sort key. Names of international domains are
    kept as the DNS has them."""
    name = name.lower()
    if not name.isascii():
        try:
            name = domain_name(name)
        except ValueError:  # no row has it, then
            return f"domain#{name}"
    return f"domain#{name}"


def dump_domain(domain: Domain) -> dict[str, Any]:
    """Return a domain as its row's JSON; the first key stands beside it."""
    more = [
        {"selector": key.selector, "wrapped": b64encode(key.wrapped_key).decode()}
        for key in domain.more_keys
    ]
    return {
        "verified": domain.verified,
        "selector": domain.selector,
        "return_path_ok": domain.return_path_ok,
        "return_path_label": domain.return_path_label,
        **({"more_keys": more} if more else {}),
    }


def load_domain(name: str, owner: str, stored: dict[str, Any], wrapped: bytes) -> Domain:
    """Read what `dump_domain` wrote; `wrapped` is the first key."""
    return Domain(
        name=name,
        owner=owner,
        verified=stored["verified"],
        selector=stored["selector"],
        wrapped_key=wrapped,
        return_path_ok=stored["return_path_ok"],
        return_path_label=stored.get("return_path_label", "psrp"),
        more_keys=tuple(
            DomainKey(key["selector"], b64decode(key["wrapped"]))
            for key in stored.get("more_keys", ())
        ),
    )
