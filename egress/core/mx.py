"""Where mail for a domain goes: decisions over DNS answers (RFC 5321 section 5.1, RFC 7505)."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import idna

from mailroom.domain.relay import Relay
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.settings import IpUse

MAX_HOSTS = 10  # mail exchangers looked up for one domain
MAX_ADDRESSES = 8  # addresses kept of one mail exchanger
TTL_FLOOR = 60.0
TTL_CEILING = 3600.0
NEGATIVE_TTL = 60.0

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Chance = Callable[[], float]  # a random number from 0 up to 1


class Lookup(StrEnum):
    """How one DNS question ended."""

    FOUND = "found"
    EMPTY = "empty"  # the name exists, without records of this type
    ABSENT = "absent"  # NXDOMAIN
    FAILED = "failed"  # SERVFAIL, time-out, nonsense: nothing is known


@dataclass(frozen=True, slots=True)
class Mx:
    """One MX record; `host` has no final dot, so the null MX has an empty one."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class MxRecords:
    """The answer to an MX question; `ttl` in seconds."""

    lookup: Lookup
    records: tuple[Mx, ...] = ()
    ttl: float = NEGATIVE_TTL


@dataclass(frozen=True, slots=True)
class Addresses:
    """The answers to A and AAAA questions about one host, together; `ttl` in seconds."""

    lookup: Lookup
    addresses: tuple[str, ...] = ()
    ttl: float = NEGATIVE_TTL


@dataclass(frozen=True, slots=True)
class Texts:
    """The answer to a TXT question, the strings of each record joined; `ttl` in seconds."""

    lookup: Lookup
    texts: tuple[str, ...] = ()
    ttl: float = NEGATIVE_TTL


@dataclass(frozen=True, slots=True)
class MxTarget:
    """One address to connect to. `host` is the name its certificate would carry."""

    host: str
    address: str
    port: int = 25
    preference: int = 0


@dataclass(frozen=True, slots=True)
class MxAnswer:
    """Targets in the order to try them, or the refusal that stands in for a server's reply.

    Exactly one of `targets` and `refusal` is filled. `ttl` is how long, in seconds, the answer
    may be kept. `best` names the mail exchangers of the lowest preference, whether or not they
    have addresses. `relay` is set if a route leads there, and says how to speak to the targets.
    """

    targets: tuple[MxTarget, ...] = ()
    refusal: SmtpReply | None = None
    ttl: float = NEGATIVE_TTL
    best: tuple[str, ...] = ()
    relay: Relay | None = None

    @property
    def site(self) -> str:
        """The set of hosts as text: domains with the same one share connections."""
        return ",".join(sorted({f"{t.host}:{t.port}" for t in self.targets}))


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Which addresses may be connected to.

    Refused are `own` ones and all that are not public, unless a network in `allowed` has them.
    """

    allowed: tuple[IpNetwork, ...] = ()
    own: frozenset[str] = frozenset()

    def permits(self, address: str) -> bool:
        """Say whether mail may be sent to `address`; what is no address is refused."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        if str(ip) in self.own:
            return False
        if any(ip in network for network in self.allowed):
            return True
        return all(each.is_global and not each.is_multicast for each in _reached(ip))


def _reached(ip: IpAddress) -> Iterable[IpAddress]:
    """Return `ip` and the IPv4 address it may stand for (mapped, 6to4, NAT64)."""
    yield ip
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            yield inner


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def a_label(domain: str) -> str:
    """Return `domain` as ASCII (RFC 5891), lower case, without a final dot.

    Raises ValueError for a name that has no such form.
    """
    name = domain.removesuffix(".").lower()
    if not name.isascii():
        name = idna.encode(name, uts46=True).decode("ascii")
    if not name or len(name) > 253 or any(not 0 < len(part) < 64 for part in name.split(".")):
        raise ValueError(f"{domain!r} is not a domain name")
    return name


def refused(code: int, text: str) -> MxAnswer:
    """Return an answer without targets, with `code` and `text` as its reply."""
    return MxAnswer(refusal=SmtpReply(code, text, Phase.DNS))


def exchangers(domain: str, answer: MxRecords) -> tuple[Mx, ...] | MxAnswer:
    """Decide which hosts may take mail for `domain`, best first, or why none does.

    No MX means the domain itself (implicit MX). MX records that are there but useless never
    fall back to it.
    """
    if answer.lookup is Lookup.FAILED:
        return refused(451, f"4.4.3 the MX records of {domain} could not be looked up")
    if answer.lookup is Lookup.ABSENT:
        return refused(550, f"5.1.2 the domain {domain} does not exist")
    if answer.lookup is Lookup.EMPTY:
        return (Mx(0, domain),)
    named = [mx for mx in answer.records if mx.host]
    if not named:
        return refused(556, f"5.1.10 the domain {domain} accepts no mail (null MX)")
    return tuple(sorted(named, key=lambda mx: mx.preference)[:MAX_HOSTS])


def decide(
    domain: str,
    mxs: tuple[Mx, ...],
    found: Mapping[str, Addresses],
    *,
    guard: AddressGuard,
    port: int,
    ttl: float,
) -> MxAnswer:
    """Turn the addresses `found` of each of `mxs` into targets, or into the reason for none.

    `mxs` come from `exchangers`, best first; `ttl` is that of the MX records. One failed look-up
    among the hosts makes "no target" temporary: the missing one might have been the good one.
    """
    best = tuple(mx.host for mx in mxs if mx.preference == mxs[0].preference)
    targets = tuple(
        MxTarget(mx.host, address, port, mx.preference)
        for mx in mxs
        for address in found[mx.host].addresses[:MAX_ADDRESSES]
        if guard.permits(address)
    )
    lookups = [found[mx.host] for mx in mxs]
    if targets:
        keep = min([ttl, *(each.ttl for each in lookups if each.addresses)])
        return MxAnswer(targets, ttl=min(max(keep, TTL_FLOOR), TTL_CEILING), best=best)
    if any(each.lookup is Lookup.FAILED for each in lookups):
        refusal = refused(451, f"4.4.3 no mail exchanger of {domain} could be looked up")
    elif any(each.addresses for each in lookups):
        refusal = refused(550, f"5.4.4 {domain} has only private, reserved or our own addresses")
    else:
        refusal = refused(550, f"5.4.4 no mail exchanger of {domain} has a usable address")
    return replace(refusal, best=best)


def by_family(
    targets: Iterable[MxTarget], use: IpUse, *, ipv4: bool, ipv6: bool
) -> tuple[MxTarget, ...]:
    """Return those of `targets` that `use` and the families we have allow, best first.

    Preference goes before family, and equals keep their order.
    """
    ipv4 = ipv4 and use is not IpUse.IPV6_ONLY
    ipv6 = ipv6 and use is not IpUse.IPV4_ONLY
    usable = [each for each in targets if (ipv6 if ":" in each.address else ipv4)]
    six_last = use is not IpUse.IPV6_FIRST
    usable.sort(key=lambda each: (each.preference, (":" in each.address) is six_last))
    return tuple(usable)


def shuffled(answer: MxAnswer, chance: Chance) -> MxAnswer:
    """Return `answer` with targets of equal preference in a fresh random order."""
    if len(answer.targets) < 2:
        return answer
    targets = sorted(answer.targets, key=lambda target: (target.preference, chance()))
    return replace(answer, targets=tuple(targets))
