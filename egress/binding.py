"""Addresses that this machine has: what can be bound to, and nothing that would change it."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace

from egress.leases import Bound
from mailroom.domain.sending.source import SourceAddress


def can_bind(address: str) -> bool:
    """Say whether a socket of this machine can be bound to an address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


class LocalBinder:
    """The Binder of a machine whose addresses are its own for good."""

    def __init__(self, can_bind: Callable[[str], bool] = can_bind) -> None:
        self._can_bind = can_bind

    async def reach(self, addresses: Iterable[SourceAddress]) -> frozenset[str] | None:
        """See Binder.reach."""
        return await asyncio.to_thread(
            lambda: frozenset(each.id for each in addresses if self._can_bind(each.binding))
        )

    async def bind(self, source: SourceAddress) -> Bound | None:
        """See Binder.bind. An IPv6 address that is not here is done without."""
        if not self._can_bind(source.binding):
            return None
        has_ipv6 = source.ipv6 and self._can_bind(source.ipv6)
        return Bound(source if has_ipv6 else replace(source, ipv6=""))

    async def missing(self, sources: Iterable[SourceAddress]) -> frozenset[str]:
        """See Binder.missing."""
        return await asyncio.to_thread(
            lambda: frozenset(each.id for each in sources if not self._can_bind(each.binding))
        )
