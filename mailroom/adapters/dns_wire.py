"""One question to one name server, and what its answer says. dnspython does the protocol."""

from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.name import Name
from dns.rdata import Rdata
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.txtbase import TXTBase

from mailroom.domain.dns.answers import Lookup

MAX_VALUES = 50  # records of one answer that are looked at
MAX_TEXT = 8_192  # characters of one TXT
_PAYLOAD = 1232  # octets over UDP; more comes over TCP (DNS flag day 2020)
_USABLE = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


@dataclass(frozen=True, slots=True)
class Reply:
    """What one server said: the records of `name`, the last name of the chain it knows.

    `chain` are the targets of the aliases on the way; `apex` is the zone that a negative answer
    says it comes from. `in_trouble` is a server that has the zone and cannot read it (SERVFAIL).
    """

    lookup: Lookup
    name: Name
    values: tuple[str, ...] = ()
    chain: tuple[Name, ...] = ()
    apex: Name | None = None
    problem: str = ""
    in_trouble: bool = False


def exchange(
    name: Name,
    kind: RdataType,
    server: tuple[str, int],
    *,
    timeout: float,
    recursive: bool,
    within: Name = dns.name.root,
) -> Reply:
    """Ask one server and read its answer; whatever goes wrong is a FAILED reply.

    Not `recursive`, only an authoritative answer counts, and aliases are followed only inside
    `within`, its zone: about other zones it may say anything. `timeout` is in seconds.
    """
    query = dns.message.make_query(name, kind, use_edns=0, payload=_PAYLOAD)
    if not recursive:
        query.flags &= ~dns.flags.RD
    try:
        response, _ = dns.query.udp_with_fallback(
            query, server[0], timeout=timeout, port=server[1], ignore_unexpected=True
        )
    except dns.exception.Timeout:
        return _failed(name, "no answer in time")
    except (dns.exception.DNSException, OSError, EOFError, ValueError):
        return _failed(name, "the name server's answer cannot be used")
    if response.rcode() not in _USABLE:
        problem = f"the name server said {dns.rcode.to_text(response.rcode())}"
        in_trouble = response.rcode() == dns.rcode.SERVFAIL
        return Reply(Lookup.FAILED, name, problem=problem, in_trouble=in_trouble)
    if not recursive and not response.flags & dns.flags.AA:
        return _failed(name, "the name server does not have the zone")
    return _read(response, name, kind, within)


def _read(response: dns.message.Message, name: Name, kind: RdataType, within: Name) -> Reply:
    chain: list[Name] = []
    at = name
    while True:
        found = _rrset(response, at, kind)
        if found is not None:
            values = tuple(_text(each) for each in list(found)[:MAX_VALUES])
            return Reply(Lookup.FOUND, at, values, tuple(chain))
        target = _alias(response, at)
        if target is None or target in chain:
            break
        chain.append(target)
        at = target
        if not at.is_subdomain(within):
            return Reply(Lookup.EMPTY, at, chain=tuple(chain))
    absent = response.rcode() == dns.rcode.NXDOMAIN
    lookup = Lookup.ABSENT if absent else Lookup.EMPTY
    return Reply(lookup, at, chain=tuple(chain), apex=_apex(response, at))


def _rrset(response: dns.message.Message, name: Name, kind: RdataType) -> dns.rrset.RRset | None:
    for rrset in response.answer:
        if rrset.name == name and rrset.rdtype == kind:
            return rrset
    return None


def _alias(response: dns.message.Message, name: Name) -> Name | None:
    rrset = _rrset(response, name, dns.rdatatype.CNAME)
    target: Name | None = rrset[0].target if rrset else None
    return target


def _apex(response: dns.message.Message, name: Name) -> Name | None:
    for rrset in response.authority:
        if rrset.rdtype == dns.rdatatype.SOA and name.is_subdomain(rrset.name):
            return rrset.name
    return None


def _text(rdata: Rdata) -> str:
    if isinstance(rdata, TXTBase):
        return b"".join(rdata.strings).decode("utf-8", "replace")[:MAX_TEXT]
    if isinstance(rdata, MX):
        return f"{rdata.preference} {spelled(rdata.exchange)}"
    target = getattr(rdata, "target", None)
    return spelled(target) if isinstance(target, Name) else rdata.to_text()


def spelled(name: Name) -> str:
    """Return a name in lower case without its final dot; the root is `.`."""
    return name.to_text(omit_final_dot=True).lower()


def _failed(name: Name, problem: str) -> Reply:
    return Reply(Lookup.FAILED, name, problem=problem)
