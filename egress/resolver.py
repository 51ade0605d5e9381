"""Looks up where mail for a domain goes: dnspython, a cache, and one question for many askers."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.MX import MX
from dns.rrset import RRset

from egress.core import mx
from egress.core.mx import Addresses, AddressGuard, Lookup, Mx, MxAnswer, MxRecords, MxTarget
from egress.core.routes import NextHop, StaticRoutes, parse_next_hop

MAX_ALIASES = 8  # CNAME hops followed
_TRIES = 2  # a name is believed not to exist when two questions say so


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """How names are looked up. Times in seconds.

    `name_servers` are `address:port`, tried in order. `port` is where mail exchangers listen
    (25 in the world). `ipv6` is for hosts that have IPv6 addresses to send from.
    """

    name_servers: tuple[str, ...]
    guard: AddressGuard = field(default_factory=AddressGuard)
    routes: StaticRoutes = field(default_factory=lambda: StaticRoutes({}))
    port: int = 25
    ipv6: bool = False
    timeout: float = 3.0
    lifetime: float = 10.0
    cached_domains: int = 10_000


class MxResolver:
    """Answers where mail for a domain goes. Failures are answers too, never exceptions."""

    def __init__(
        self,
        settings: ResolverSettings,
        *,
        clock: Callable[[], float],
        chance: mx.Chance = random.random,
    ) -> None:
        """Take a monotonic `clock` in seconds. Raises ValueError for a bad name server."""
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._dns = _Dns(settings)
        self._kept: dict[str, tuple[float, MxAnswer]] = {}
        self._asking: dict[str, asyncio.Task[MxAnswer]] = {}

    async def hosts(self, domain: str) -> MxAnswer:
        """Return the targets for mail to `domain`, or the refusal that says why there are none.

        Callers asking for the same domain at the same time share one look-up; one of them being
        cancelled does not disturb the others.
        """
        kept = self._kept.get(domain)
        if kept and kept[0] > self._clock():
            return mx.shuffled(kept[1], self._chance)
        asking = self._asking.get(domain)
        if asking is None:
            asking = asyncio.create_task(self._ask(domain), name=f"mx-{domain}")
            self._asking[domain] = asking
            asking.add_done_callback(lambda _: self._asking.pop(domain, None))
        return mx.shuffled(await asyncio.shield(asking), self._chance)

    async def close(self) -> None:
        """Stop the look-ups still running."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, domain: str) -> MxAnswer:
        answer = await self._look_up(domain)
        if len(self._kept) >= self._settings.cached_domains:
            del self._kept[next(iter(self._kept))]  # the one kept longest
        self._kept.pop(domain, None)
        self._kept[domain] = (self._clock() + answer.ttl, answer)
        return answer

    async def _look_up(self, domain: str) -> MxAnswer:
        try:
            name = mx.a_label(domain)
        except ValueError:
            return mx.refused(553, f"5.1.2 {domain!a} is not a domain name")
        hop = self._settings.routes.find(name)
        if hop:
            return await self._routed(hop)
        records = await self._dns.mx(name)
        chosen = mx.exchangers(name, records)
        if isinstance(chosen, MxAnswer):
            return chosen
        found = await asyncio.gather(*(self._dns.addresses(each.host) for each in chosen))
        return mx.decide(
            name,
            chosen,
            {each.host: addresses for each, addresses in zip(chosen, found, strict=True)},
            guard=self._settings.guard,
            port=self._settings.port,
            ttl=mx.TTL_CEILING if records.lookup is Lookup.EMPTY else records.ttl,
        )

    async def _routed(self, hop: NextHop) -> MxAnswer:
        """Follow a static route. Its host may be private: an operator wrote it down."""
        if hop.is_address:
            return MxAnswer((MxTarget(hop.host, hop.host, hop.port),), ttl=mx.TTL_CEILING)
        found = await self._dns.addresses(hop.host)
        if not found.addresses:
            return mx.refused(451, f"4.4.4 the next hop {hop.host} could not be looked up")
        targets = tuple(MxTarget(hop.host, address, hop.port) for address in found.addresses)
        return MxAnswer(targets, ttl=max(found.ttl, mx.TTL_FLOOR))


class _Dns:
    """Asks dnspython and turns every ending into a `Lookup`."""

    def __init__(self, settings: ResolverSettings) -> None:
        hops = [parse_next_hop(text) for text in settings.name_servers]
        if not hops or not all(hop.is_address for hop in hops):
            raise ValueError("name servers are given as address:port")
        self._ipv6 = settings.ipv6
        servers = [dns.nameserver.Do53Nameserver(hop.host, hop.port) for hop in hops]
        # The second question starts at the second server, so one confused server cannot
        # declare a domain dead.
        self._resolvers = [_resolver(servers[turn:] + servers[:turn], settings) for turn in (0, 1)]

    async def mx(self, name: str) -> MxRecords:
        lookup, rrset = await self._records(name, dns.rdatatype.MX)
        if rrset is None:
            return MxRecords(lookup)
        records = tuple(
            Mx(each.preference, each.exchange.to_text(omit_final_dot=True).lower().rstrip("."))
            for each in rrset
            if isinstance(each, MX)
        )
        return MxRecords(lookup, records, rrset.ttl)

    async def addresses(self, host: str) -> Addresses:
        kinds = [dns.rdatatype.A, dns.rdatatype.AAAA] if self._ipv6 else [dns.rdatatype.A]
        answers = await asyncio.gather(*(self._records(host, kind) for kind in kinds))
        sets = [rrset for _, rrset in answers if rrset is not None]
        if sets:
            texts = tuple(each.to_text() for rrset in sets for each in rrset)
            return Addresses(Lookup.FOUND, texts, min(rrset.ttl for rrset in sets))
        failed = any(lookup is Lookup.FAILED for lookup, _ in answers)
        return Addresses(Lookup.FAILED if failed else Lookup.EMPTY)

    async def _records(
        self, name: str, kind: dns.rdatatype.RdataType
    ) -> tuple[Lookup, RRset | None]:
        lookup, rrset = Lookup.FAILED, None
        for resolver in self._resolvers[:_TRIES]:
            lookup, rrset = await _follow(resolver, name, kind)
            if lookup is not Lookup.ABSENT:
                break
        return lookup, rrset


def _resolver(
    servers: Sequence[dns.nameserver.Nameserver], settings: ResolverSettings
) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = list(servers)
    resolver.timeout = settings.timeout
    resolver.lifetime = settings.lifetime
    return resolver


async def _follow(
    resolver: dns.asyncresolver.Resolver, name: str, kind: dns.rdatatype.RdataType
) -> tuple[Lookup, RRset | None]:
    """Ask, and ask again where a server names an alias without resolving it."""
    for _ in range(MAX_ALIASES):
        try:
            answer = await resolver.resolve(
                f"{name}.", kind, search=False, raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN:
            return Lookup.ABSENT, None
        except (dns.exception.DNSException, OSError, ValueError):
            return Lookup.FAILED, None
        if answer.rrset is not None:
            return Lookup.FOUND, answer.rrset
        alias = _alias(answer)
        if alias is None or alias == name:
            return Lookup.EMPTY, None
        name = alias
    return Lookup.FAILED, None


def _alias(answer: dns.resolver.Answer) -> str | None:
    """Return the name the asked one is an alias of, if the answer ends there."""
    last = answer.canonical_name.to_text(omit_final_dot=True).lower()
    asked = answer.qname.to_text(omit_final_dot=True).lower()
    if last != asked:
        return last
    for rrset in answer.response.answer:
        for each in rrset:
            if isinstance(each, CNAME) and rrset.name == answer.qname:
                return each.target.to_text(omit_final_dot=True).lower()
    return None
