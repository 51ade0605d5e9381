"""Who a request is from, through load balancers of ours and nobody else's."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from egress.submission.host import Network


def client_address(peer: str, forwarded: Iterable[str], proxies: Sequence[Network]) -> str:
    """Return the address of the client: the peer or, if that is a proxy of ours, who it names.

    `forwarded` are the X-Forwarded-For fields in order; each proxy adds who called it at the end.
    Read from the end, the first address that is no proxy of ours is the client: what stands
    before it is the client's own word. An entry that is no address ends the search.
    """
    found = _address(peer)
    if found is None:
        return peer
    for entry in reversed(",".join(forwarded).split(",")):
        before = _address(entry.strip())
        if before is None or not is_proxy(found, proxies):
            break
        found = before
    return str(found)


def is_proxy(address: str | IPv4Address | IPv6Address, proxies: Sequence[Network]) -> bool:
    """Say whether an address is in one of the networks."""
    found = _address(address) if isinstance(address, str) else address
    return found is not None and any(found in network for network in proxies)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket that listens for both kinds writes IPv4 like this.
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found
