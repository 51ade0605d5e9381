"""The AuthoritativeDns port: asks the servers of a name's own zone, so no cache stands between.

Resolvers are only asked where a zone begins and which servers it has. When none of those can be
reached, or none of them has the zone after all, the resolvers' own answer has to do.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from dns.name import Name
from dns.rdatatype import RdataType

from mailroom.adapters.dns_wire import Reply, exchange, spelled
from mailroom.domain.destination import is_reachable
from mailroom.domain.dns.answers import DnsAnswer, Lookup, Question
from mailroom.domain.relay import parse_host_port

MAX_ALIASES = 8  # CNAME hops followed from zone to zone
MAX_SERVERS = 4  # of a zone that are tried
ZONE_SECONDS = 60.0  # how long a zone's servers are remembered
_MAX_ZONES = 1_000
_LEAST = 0.05  # seconds; below that asking makes no sense

Server = tuple[str, int]


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """How the DNS is asked. Times in seconds.

    `resolvers` are `address:port`; `port` is where authoritative servers listen; those at private
    addresses are asked inside `networks` (CIDR) only. Without `direct` resolvers answer
    everything. `timeout` is for one server, `lifetime` for one whole question.
    """

    resolvers: tuple[str, ...]
    port: int = 53
    networks: tuple[str, ...] = ()
    direct: bool = True
    timeout: float = 2.0
    lifetime: float = 8.0


@dataclass(frozen=True, slots=True)
class _Zone:
    apex: Name
    servers: tuple[Server, ...]


class DnsRecords:
    """Asks over UDP, and over TCP what does not fit."""

    def __init__(self, settings: DnsSettings, *, clock: Callable[[], float] = monotonic) -> None:
        """Take a monotonic `clock` in seconds. Raises ValueError for a bad resolver."""
        self._settings = settings
        self._clock = clock
        self._resolvers = tuple(parse_host_port(text) for text in settings.resolvers)
        if not self._resolvers:
            raise ValueError("at least one resolver is needed")
        self._zones: dict[Name, tuple[float, _Zone | None]] = {}

    def ask(self, question: Question) -> DnsAnswer:
        """See AuthoritativeDns.ask."""
        deadline = self._clock() + self._settings.lifetime
        try:
            name = dns.name.from_text(question.name)
        except (dns.exception.DNSException, UnicodeError):
            return DnsAnswer(Lookup.FAILED, problem="it is no name the DNS could have")
        kind = dns.rdatatype.from_text(question.kind)
        aliases: list[str] = []
        for _ in range(MAX_ALIASES):
            reply = self._asked(name, kind, deadline)
            aliases += map(spelled, reply.chain)
            if reply.lookup is not Lookup.EMPTY or not reply.chain or reply.name == name:
                return _answer(reply, aliases)
            if reply.apex is not None:  # the server has the target's zone too, and nothing there
                return _answer(reply, aliases)
            name = reply.name
        return DnsAnswer(Lookup.FAILED, aliases=tuple(aliases), problem="too many aliases")

    def _asked(self, name: Name, kind: RdataType, deadline: float) -> Reply:
        zone = self._zone(name, deadline) if self._settings.direct else None
        if zone is not None:
            reply = self._first(
                zone.servers, name, kind, deadline, recursive=False, within=zone.apex
            )
            if reply.lookup is not Lookup.FAILED or reply.in_trouble:
                return reply
        return self._first(self._resolvers, name, kind, deadline)

    def _first(
        self,
        servers: Sequence[Server],
        name: Name,
        kind: RdataType,
        deadline: float,
        *,
        recursive: bool = True,
        within: Name = dns.name.root,
    ) -> Reply:
        """Return the first usable reply. That there is nothing is believed of two servers only:
        one that lags behind must not unmake what the others have."""
        nothing: Reply | None = None
        failed = Reply(Lookup.FAILED, name, problem="there was no time to ask")
        for server in servers:
            left = deadline - self._clock()
            if left < _LEAST:
                break
            timeout = min(self._settings.timeout, left)
            reply = exchange(
                name, kind, server, timeout=timeout, recursive=recursive, within=within
            )
            if reply.lookup is Lookup.FAILED:
                failed = failed if failed.in_trouble else reply
            elif reply.lookup is Lookup.FOUND or reply.chain or nothing is not None:
                return reply
            else:
                nothing = reply
        return nothing or failed

    def _zone(self, name: Name, deadline: float) -> _Zone | None:
        """Return the zone that has `name`, None if its servers cannot be found."""
        for apex in self._apexes(name, deadline):
            kept = self._zones.get(apex)
            if kept is not None and kept[0] > self._clock():
                zone = kept[1]
            else:
                zone = self._servers(apex, deadline)
                self._keep(apex, zone)
            if zone is not None:
                return zone
        return None

    def _apexes(self, name: Name, deadline: float) -> Iterator[Name]:
        """Yield where the zone may begin: as the resolvers say, else label by label upwards."""
        reply = self._first(self._resolvers, name, dns.rdatatype.NS, deadline)
        if reply.lookup is Lookup.FOUND and reply.name == name:
            yield name
        elif reply.apex is not None:
            yield reply.apex
        else:
            yield from _upwards(name.parent())

    def _servers(self, apex: Name, deadline: float) -> _Zone | None:
        reply = self._first(self._resolvers, apex, dns.rdatatype.NS, deadline)
        if reply.lookup is not Lookup.FOUND or reply.name != apex:
            return None
        addresses: list[Server] = []
        for host in sorted(reply.values):
            if len(addresses) >= MAX_SERVERS:
                break
            found = self._first(
                self._resolvers, dns.name.from_text(host), dns.rdatatype.A, deadline
            )
            usable = [each for each in found.values if is_reachable(each, self._settings.networks)]
            addresses += [(each, self._settings.port) for each in usable[:2]]
        return _Zone(apex, tuple(addresses[:MAX_SERVERS])) if addresses else None

    def _keep(self, apex: Name, zone: _Zone | None) -> None:
        if len(self._zones) >= _MAX_ZONES:
            self._zones.clear()
        self._zones[apex] = (self._clock() + ZONE_SECONDS, zone)


def system_resolvers() -> tuple[str, ...]:
    """Return the resolvers the operating system is set up with, as `address:port`."""
    found = [str(each) for each in dns.resolver.Resolver().nameservers]
    return tuple(f"[{each}]:53" if ":" in each else f"{each}:53" for each in found)


def _upwards(name: Name) -> Iterator[Name]:
    while name != dns.name.root:
        yield name
        name = name.parent()


def _answer(reply: Reply, aliases: Sequence[str]) -> DnsAnswer:
    return DnsAnswer(reply.lookup, reply.values, tuple(aliases), reply.problem)
