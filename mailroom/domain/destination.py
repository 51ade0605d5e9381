"""Which addresses a tenant's URL may lead to: the public internet and nothing else."""

import ipaddress
from collections.abc import Iterable

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Listed rather than left to `is_global`, whose answer differs between releases of Python.
# IANA special-purpose registry of RFC 6890, multicast and the reserved block.
_REFUSED_V4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
# Only 2000::/3 is handed out as global unicast, which leaves mapped (::ffff:0:0/96), NAT64
# (64:ff9b::/96), unique local, link-local and multicast outside. Inside it, these are not hosts:
# Teredo and other protocol assignments, documentation, and 6to4, which smuggles an IPv4 address.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    ipaddress.IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)


def is_reachable(address: str, allowed: Iterable[str] = ()) -> bool:
    """Say whether a webhook may be sent to `address` (text of an IPv4 or IPv6 address).

    Networks in `allowed` (CIDR) may be reached although they are private: the local stack's
    receiver, or an organisation's own. What is no address is refused.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if any(ip in ipaddress.ip_network(network) for network in allowed):
        return True
    return _is_public(ip)


def _is_public(ip: _Address) -> bool:
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _REFUSED_V4)
    return ip in _GLOBAL_V6 and not any(ip in network for network in _REFUSED_V6)
