"""Whether a credential that was found may be used: until when, from where, for what."""

from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from mailroom.domain.message import Credential

ALL_SCOPES = "*"


class Refusal(StrEnum):
    """Why a credential opens nothing. Values appear in logs and answers; never rename them."""

    EXPIRED = "expired"
    ADDRESS = "address"  # it may not be used from there
    SCOPE = "scope"  # it may be used, but not for that


def refusal(
    credential: Credential, *, address: str, now: float, scope: str | None = None
) -> Refusal | None:
    """Say why `credential` may not be used now (Unix seconds) from an IP address, or None.

    `scope` is what it is used for; None asks about time and place only. An `address` that is
    unknown ("") is at no network, so a credential with networks is refused then.
    """
    refused = refusal_now(credential.expires_at, credential.networks, address=address, now=now)
    if refused is not None:
        return refused
    if scope is not None and not credential.scopes & {scope, ALL_SCOPES}:
        return Refusal.SCOPE
    return None


def refusal_now(
    expires_at: float | None, networks: tuple[str, ...], *, address: str, now: float
) -> Refusal | None:
    """Say why what ends at `expires_at` (Unix seconds) and may be used from `networks` (CIDR; none
    is everywhere) may not be used now from an IP address, or None."""
    if expires_at is not None and expires_at <= now:
        return Refusal.EXPIRED
    if networks and not _lies_in(address, networks):
        return Refusal.ADDRESS
    return None


def _lies_in(address: str, networks: tuple[str, ...]) -> bool:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return any(found in network for network in _parsed(networks))


@lru_cache(maxsize=1_000)
def _parsed(networks: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read networks; what is none opens nothing, since it was checked when it was written."""
    parsed: list[IPv4Network | IPv6Network] = []
    for text in networks:
        try:
            parsed.append(ip_network(text, strict=False))
        except ValueError:
            continue
    return tuple(parsed)
