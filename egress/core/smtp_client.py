"""Whom a connection counts for."""

from ipaddress import IPv6Address, ip_address

_SITE_BITS = 64  # one IPv6 customer has that many bits of addresses to connect from


def client_of(address: str) -> str:
    """Return the IPv4 address, also of one written as IPv6, or a name for the IPv6 /64."""
    try:
        number = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(number, IPv6Address):
        return str(number)
    return str(number.ipv4_mapped or int(number) >> _SITE_BITS)
