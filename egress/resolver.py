"""Looks up where mail for a domain goes: dnspython, a cache, and one question for many askers."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import dns.asyncresolver
import dns.exception
import dns.inet
import dns.nameserver
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT
from dns.rrset import RRset

from egress.core import mx
from egress.core.mx import (
    Addresses,
    AddressGuard,
    Lookup,
    Mx,
    MxAnswer,
    MxRecords,
    MxTarget,
    Texts,
)
from mailroom.domain.relay import Relay, parse_host_port

MAX_ALIASES = 8  # CNAME hops followed
MAX_TEXTS = 20  # TXT records read of one name
_Ask = Callable[[], Awaitable[MxAnswer]]
_TRIES = 2  # a name is believed not to exist when two questions say so


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """How names are looked up. Times in seconds.

    `name_servers` are `address:port`, tried in order. `port` is where mail exchangers listen
    (25 in the world). `ipv6` is for hosts that have IPv6 addresses to send from.
    """

    name_servers: tuple[str, ...]
    guard: AddressGuard = field(default_factory=AddressGuard)
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
        answer = await self._answer(domain, lambda: self._look_up(domain))
        return mx.shuffled(answer, self._chance)

    async def relay(self, relay: Relay, *, trusted: bool) -> MxAnswer:
        """Return the targets for mail by way of `relay`, or a temporary refusal.

        The host of a `trusted` relay may be private, because an operator wrote it down; any
        other is held to the guard at each look-up, so a name that changes its address is too.
        Whatever is wrong with a relay is no fault of the recipient: mail waits.
        """
        if relay.is_address:
            found = MxAnswer((MxTarget(relay.host, relay.host),), ttl=mx.TTL_CEILING)
        else:
            # A space is in no domain: it keeps the two kinds of question apart.
            found = await self._answer(f"relay {relay.host}", lambda: self._addresses(relay.host))
        if found.refusal:
            return found
        permits = self._settings.guard.permits
        targets = tuple(
            MxTarget(relay.host, each.address, relay.port)
            for each in found.targets
            if trusted or permits(each.address)
        )
        if not targets:
            return mx.refused(451, f"4.4.4 the relay {relay.host} has no address it may have")
        return mx.shuffled(MxAnswer(targets, ttl=found.ttl, relay=relay), self._chance)

    async def texts(self, name: str) -> Texts:
        """Return the TXT records of `name` (A-labels), at most 20. They are not cached."""
        return await self._dns.texts(name)

    async def addresses(self, host: str) -> Addresses:
        """Return the addresses of `host` (A-labels), whoever may be behind them. Not cached."""
        return await self._dns.addresses(host)

    async def close(self) -> None:
        """Stop the look-ups still running."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, question: str, ask: _Ask) -> MxAnswer:
        kept = self._kept.get(question)
        if kept and kept[0] > self._clock():
            return kept[1]
        asking = self._asking.get(question)
        if asking is None:
            asking = asyncio.create_task(self._ask(question, ask), name=f"mx-{question}")
            self._asking[question] = asking
            asking.add_done_callback(lambda _: self._asking.pop(question, None))
        return await asyncio.shield(asking)

    async def _ask(self, question: str, ask: _Ask) -> MxAnswer:
        answer = await ask()
        if len(self._kept) >= self._settings.cached_domains:
            del self._kept[next(iter(self._kept))]  # the one kept longest
        self._kept.pop(question, None)
        self._kept[question] = (self._clock() + answer.ttl, answer)
        return answer

    async def _look_up(self, domain: str) -> MxAnswer:
        try:
            name = mx.a_label(domain)
        except ValueError:
            return mx.refused(553, f"5.1.2 {domain!a} is not a domain name")
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

    async def _addresses(self, host: str) -> MxAnswer:
        found = await self._dns.addresses(host)
        if not found.addresses:
            return mx.refused(451, f"4.4.4 the relay {host} could not be looked up")
        targets = tuple(MxTarget(host, address) for address in found.addresses[: mx.MAX_ADDRESSES])
        return MxAnswer(targets, ttl=min(max(found.ttl, mx.TTL_FLOOR), mx.TTL_CEILING))


class _Dns:
    """Asks dnspython and turns every ending into a `Lookup`."""

    def __init__(self, settings: ResolverSettings) -> None:
        places = [parse_host_port(text) for text in settings.name_servers]
        if not places or not all(dns.inet.is_address(host) for host, _ in places):
            raise ValueError("name servers are given as address:port")
        self._ipv6 = settings.ipv6
        servers = [dns.nameserver.Do53Nameserver(host, port) for host, port in places]
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

    async def texts(self, name: str) -> Texts:
        lookup, rrset = await self._records(name, dns.rdatatype.TXT)
        if rrset is None:
            return Texts(lookup)
        found = [b"".join(each.strings) for each in rrset if isinstance(each, TXT)]
        texts = tuple(each.decode("ascii", "replace") for each in found[:MAX_TEXTS])
        return Texts(lookup, texts, rrset.ttl)

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
