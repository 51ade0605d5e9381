"""Elastic IPs follow their leases: the process that has the lease brings the address to itself.

Moving it cuts whoever had it off, even one that does not know yet; what was under way towards the
old place needs a while to be forgotten, so the address is left quiet after a move.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from egress.binding import can_bind
from egress.leases import Bound
from mailroom.domain.sending.source import SourceAddress
from mailroom.ports.elastic_ips import ElasticIps, PrivateIp

log = logging.getLogger(__name__)

QUIET_SECONDS = 60.0
_ASK_AGAIN_SECONDS = 600.0  # about addresses that were no Elastic IPs of ours


class ElasticBinder:
    """The Binder of a machine with one network interface (`eni-...`) for public addresses.

    An address that is no Elastic IP of the account is one of this machine's own, or none.
    """

    def __init__(
        self,
        elastic: ElasticIps,
        interface: str,
        *,
        clock: Callable[[], float],
        can_bind: Callable[[str], bool] = can_bind,
        quiet: float = QUIET_SECONDS,
    ) -> None:
        """Take a monotonic `clock` in seconds, and for how many of them an address is `quiet`."""
        self._elastic = elastic
        self._interface = interface
        self._clock = clock
        self._can_bind = can_bind
        self._quiet = quiet
        self._one_at_a_time = asyncio.Lock()  # two addresses must not choose the same place
        self._ours: set[str] = set()  # public addresses that are Elastic IPs of the account
        self._asked: dict[str, float] = {}  # those that were not, and when that was

    async def reach(self, addresses: Iterable[SourceAddress]) -> frozenset[str] | None:
        """See Binder.reach. EC2 is asked about addresses that are not known to be there."""
        return await asyncio.to_thread(self._reach, tuple(addresses))

    async def bind(self, source: SourceAddress) -> Bound | None:
        """See Binder.bind. Trouble with EC2 is logged, and the address cannot be had."""
        async with self._one_at_a_time:
            try:
                return await asyncio.to_thread(self._bind, source)
            except Exception:
                log.exception("the Elastic IP %s could not be brought here", source.ipv4)
                return None

    async def missing(self, sources: Iterable[SourceAddress]) -> frozenset[str]:
        """See Binder.missing: another machine, or a person, may have moved an Elastic IP away."""
        return await asyncio.to_thread(self._missing, tuple(sources))

    def _reach(self, addresses: Sequence[SourceAddress]) -> frozenset[str]:
        now = self._clock()
        late = {ip for ip, at in self._asked.items() if now - at >= _ASK_AGAIN_SECONDS}
        known = self._ours | (self._asked.keys() - late)
        unknown = {each.ipv4 for each in addresses if each.ipv4} - known
        if unknown:
            found = self._elastic.find(unknown).keys()
            self._ours |= found
            self._asked |= dict.fromkeys(unknown - found, now)
        return frozenset(
            each.id for each in addresses if each.ipv4 in self._ours or self._can_bind(each.binding)
        )

    def _missing(self, sources: Sequence[SourceAddress]) -> frozenset[str]:
        found = self._elastic.find([each.ipv4 for each in sources])
        places = {each.public: (each.interface, each.private) for each in found.values()}
        return frozenset(
            each.id
            for each in sources
            if places.get(each.ipv4, (self._interface, each.private))
            != (self._interface, each.private)
            or not self._can_bind(each.binding)
        )

    def _bind(self, source: SourceAddress) -> Bound | None:
        elastic = self._elastic.find([source.ipv4]).get(source.ipv4)
        if elastic is None:
            return Bound(self._here(source)) if self._can_bind(source.binding) else None
        if elastic.interface == self._interface:
            return self._bound(source, elastic.private, 0.0)
        place = self._place(source, self._elastic.private_ips(self._interface))
        if place is None:
            log.error("no private address is left on %s for %s", self._interface, source.ipv4)
            return None
        self._elastic.associate(elastic, self._interface, place)
        return self._bound(source, place, self._quiet)

    def _place(self, source: SourceAddress, here: Sequence[PrivateIp]) -> str | None:
        """Return a private address nothing leads to: the one asked for, or any but the first.

        The first is how the machine itself is reached.
        """
        free = [each for each in here if not each.public and self._can_bind(each.address)]
        asked = (each.address for each in free if each.address == source.private)
        others = (each.address for each in free if not each.primary)
        return next(asked, None) or next(others, None)

    def _bound(self, source: SourceAddress, private: str, quiet: float) -> Bound | None:
        if not self._can_bind(private):
            log.error("%s of %s is not configured on this machine", private, self._interface)
            return None
        return Bound(self._here(replace(source, private=private)), quiet)

    def _here(self, source: SourceAddress) -> SourceAddress:
        has_ipv6 = source.ipv6 and self._can_bind(source.ipv6)
        return source if has_ipv6 else replace(source, ipv6="")
