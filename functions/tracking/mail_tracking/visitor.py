"""Who asks for a link or pixel, as far as the request can be believed."""

import ipaddress
from collections.abc import Mapping

from mailroom.usecases.track import Visit

_MAX_HEADER = 2_000
_PREFETCH = frozenset({"prefetch", "prerender", "preview"})
_PURPOSES = ("purpose", "sec-purpose", "x-purpose", "x-moz")


def visit(method: str, headers: Mapping[str, str], source_ip: str, *, hops: int) -> Visit:
    """Describe a request; `headers` have lower-case names.

    `hops` is how many proxies of ours stand before the gateway: that many entries at the end of
    X-Forwarded-For are ours to believe, the one before them is the visitor. With 0 it is
    `source_ip`, the address the gateway saw.
    """
    return Visit(
        ip_address=_address(headers.get("x-forwarded-for", ""), source_ip, hops),
        user_agent=headers.get("user-agent", ""),
        head=method == "HEAD",
        ahead=_is_prefetch(headers),
    )


def _is_prefetch(headers: Mapping[str, str]) -> bool:
    """Say whether a browser fetches ahead (`Sec-Purpose: prefetch;anonymous-client-ip`)."""
    said = ";".join(headers.get(name, "") for name in _PURPOSES)[:_MAX_HEADER].lower()
    return any(word.strip() in _PREFETCH for word in said.replace(",", ";").split(";"))


def _address(forwarded: str, source_ip: str, hops: int) -> str:
    passed = [part.strip() for part in forwarded[-_MAX_HEADER:].split(",")]
    if passed and passed[-1] == source_ip:
        passed.pop()  # the gateway has added what it saw
    if not 0 < hops <= len(passed):
        return source_ip
    try:
        return str(ipaddress.ip_address(passed[-hops]))
    except ValueError:
        return source_ip
