"""What the local DNS server knows, and what it answers. No sockets and no files in here."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.rrset
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from dns.rrset import RRset

DEFAULT_TTL = 30  # seconds: a running stack changes its zone and is heard soon
NEGATIVE_TTL = 1  # seconds: a name that did not exist may be added at any moment
MAX_CHAIN = 8
KEYS = ("records", "servfail", "nodata", "silent", "changing")
MAX_STRING = 255  # octets in one TXT character-string, RFC 1035 section 3.3


class ZoneError(ValueError):
    """The zone file cannot be used; the text says which entry and why."""


@dataclass(frozen=True, slots=True)
class Zone:
    """Records by owner name and type, names that fail, and every name that exists. A changing
    name has its answers in the order in which queries get them, over and over; who asks for
    `silent` names or what lies below them gets no response at all.
    """

    rrsets: Mapping[Name, Mapping[RdataType, RRset]]
    servfail: frozenset[Name]
    existing: frozenset[Name]
    silent: frozenset[Name] = frozenset()
    changing: Mapping[Name, Mapping[RdataType, tuple[RRset, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a look-up: response code, answer section, authority section. With
    `is_silent` no response may be sent.
    """

    rcode: Rcode
    found: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    is_silent: bool = False


# How often a changing name was asked for this type before.
Turn: TypeAlias = Callable[[Name, RdataType], int]
_RRsets: TypeAlias = dict[Name, dict[RdataType, RRset]]


def parse_zone(text: str | bytes) -> Zone:
    """Read a zone: `{"records": [[name, type, value, ttl?], ...], "servfail": [], "nodata": [],
    "silent": [], "changing": [[name, type, [value or list of values, ...], ttl?], ...]}`.

    All names are absolute with or without their last dot; the value of a TXT is its plain text
    of any length. A changing name's ttl is 0 unless given. Raises ZoneError.
    """
    return build_zone(read_document(text))


def build_zone(document: Mapping[str, object]) -> Zone:
    """Build the zone of a document that `read_document` has read. Raises ZoneError."""
    rrsets: _RRsets = {}
    for number, entry in enumerate(_entries(document, "records")):
        try:
            _add(rrsets, entry)
        except (dns.exception.DNSException, ValueError, TypeError) as error:
            raise ZoneError(f"records[{number}] {json.dumps(entry)[:120]}: {error}") from error
    for name, owned in rrsets.items():
        if RdataType.CNAME in owned and (len(owned) > 1 or len(owned[RdataType.CNAME]) > 1):
            raise ZoneError(f"{name}: a CNAME must be the only record of its name")
    changing = _changing(document)
    for name, sequences in changing.items():
        if clash := set(rrsets.get(name, {})) & {*sequences, RdataType.CNAME}:
            raise ZoneError(f"{name} {min(clash).name} stands in records and in changing")
    nodata = _names(document, "nodata")
    existing = _with_ancestors([*rrsets, *changing, *nodata])
    servfail, silent = _names(document, "servfail"), _names(document, "silent")
    return Zone(rrsets, servfail, existing, silent, changing)


def _first_turn(_: Name, __: RdataType) -> int:
    return 0


def look_up(zone: Zone, name: Name, rdtype: RdataType, turn: Turn = _first_turn) -> Answer:
    """Answer one question: aliases followed inside the zone, RFC 2308 for what is not there.

    A loop of aliases is SERVFAIL. With an alias on the way, the code speaks of its last target
    (RFC 6604).
    """
    chain: list[RRset] = []
    for _ in range(MAX_CHAIN):
        if any(name.is_subdomain(broken) for broken in zone.servfail):
            return Answer(Rcode.SERVFAIL)
        if any(name.is_subdomain(mute) for mute in zone.silent):
            return Answer(Rcode.SERVFAIL, is_silent=True)
        owned = zone.rrsets.get(name, {})
        alias = owned.get(RdataType.CNAME)
        if alias is None or rdtype in {RdataType.CNAME, RdataType.ANY}:
            return _last_answer(zone, name, rdtype, chain, turn)
        chain.append(alias)
        name = alias[0].target
    return Answer(Rcode.SERVFAIL)


def _last_answer(
    zone: Zone, name: Name, rdtype: RdataType, chain: list[RRset], turn: Turn
) -> Answer:
    owned = dict(zone.rrsets.get(name, {}))
    for kind, sequence in zone.changing.get(name, {}).items():
        if rdtype in {kind, RdataType.ANY}:
            owned[kind] = sequence[turn(name, kind) % len(sequence)]
    if rdtype is RdataType.ANY:
        found = tuple(owned.values())
    else:
        found = (owned[rdtype],) if rdtype in owned else ()
    if found:
        return Answer(Rcode.NOERROR, (*chain, *found))
    rcode = Rcode.NOERROR if name in zone.existing else Rcode.NXDOMAIN
    return Answer(rcode, tuple(chain), (_authority(zone, name),))


def _authority(zone: Zone, name: Name) -> RRset:
    """The SOA that tells a resolver how long to remember that there was nothing."""
    apex = dns.name.root
    above = name
    while above != dns.name.root:
        if above in zone.rrsets or above in zone.changing:
            apex = above
        above = above.parent()
    server = dns.name.from_text("ns.localhost.")
    text = f"{server} hostmaster.localhost. 1 3600 600 86400 {NEGATIVE_TTL}"
    return dns.rrset.from_text(apex, NEGATIVE_TTL, "IN", "SOA", text)


def read_document(text: str | bytes) -> dict[str, object]:
    """Read the JSON of a zone as far as its keys. Raises ZoneError."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ZoneError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ZoneError("the zone must be a JSON object")
    unknown = sorted(set(document) - set(KEYS))
    if unknown:
        raise ZoneError(f"unknown key {unknown[0]!r}: use {', '.join(KEYS)}")
    return document


def _entries(document: Mapping[str, object], key: str) -> list[object]:
    entries = document.get(key, [])
    if not isinstance(entries, list):
        raise ZoneError(f"{key} must be a list")
    return entries


def _names(document: Mapping[str, object], key: str) -> frozenset[Name]:
    names = set()
    for entry in _entries(document, key):
        try:
            names.add(_name(entry))
        except (dns.exception.DNSException, ValueError) as error:
            raise ZoneError(f"{key}: {entry!r} is not a domain name: {error}") from error
    return frozenset(names)


def _name(text: object) -> Name:
    if not isinstance(text, str) or not text:
        raise ValueError("a name must be a non-empty text")
    return dns.name.from_text(text, dns.name.root)


def _changing(document: Mapping[str, object]) -> dict[Name, dict[RdataType, tuple[RRset, ...]]]:
    changing: dict[Name, dict[RdataType, tuple[RRset, ...]]] = {}
    for number, entry in enumerate(_entries(document, "changing")):
        try:
            name, rdtype, sequence = _sequence(entry)
        except (dns.exception.DNSException, ValueError, TypeError) as error:
            raise ZoneError(f"changing[{number}] {json.dumps(entry)[:120]}: {error}") from error
        changing.setdefault(name, {})[rdtype] = sequence
    return changing


def _sequence(entry: object) -> tuple[Name, RdataType, tuple[RRset, ...]]:
    if not isinstance(entry, list) or len(entry) not in {3, 4}:
        raise ValueError("a changing name is [name, type, [values]] or with a ttl as fourth")
    answers = entry[2]
    if not isinstance(answers, list) or not answers or [] in answers:
        raise ValueError("the answers must be a list of at least one value")
    sequence: list[RRset] = []
    for values in answers:
        once: _RRsets = {}
        for value in values if isinstance(values, list) else [values]:
            _add(once, [*entry[:2], value, *(entry[3:] or [0])])
        ((name, owned),) = once.items()
        sequence += owned.values()
    rdtype = sequence[0].rdtype
    if rdtype is RdataType.CNAME:
        raise ValueError("an alias cannot change")
    return name, rdtype, tuple(sequence)


def _add(rrsets: _RRsets, entry: object) -> None:
    if not isinstance(entry, list) or len(entry) not in {3, 4}:
        raise ValueError("a record is [name, type, value] or [name, type, value, ttl]")
    name = _name(entry[0])
    rdtype = dns.rdatatype.from_text(str(entry[1]))
    if dns.rdatatype.is_metatype(rdtype):
        raise ValueError(f"{entry[1]} is not a type of record")
    ttl = entry[3] if len(entry) == 4 else DEFAULT_TTL
    if isinstance(ttl, bool) or not isinstance(ttl, int) or not 0 <= ttl < 2**31:
        raise ValueError("the ttl must be whole seconds, 0 or more")
    if not isinstance(entry[2], str):
        raise TypeError("the value must be a text")
    owned = rrsets.setdefault(name, {})
    rrset = owned.setdefault(rdtype, RRset(name, dns.rdataclass.IN, rdtype))
    rrset.add(_rdata(rdtype, entry[2]), ttl)


def _rdata(rdtype: RdataType, value: str) -> dns.rdata.Rdata:
    if rdtype is not RdataType.TXT:
        return dns.rdata.from_text(
            dns.rdataclass.IN, rdtype, value, origin=dns.name.root, relativize=False
        )
    octets = value.encode("utf-8")
    strings = [octets[at : at + MAX_STRING] for at in range(0, len(octets), MAX_STRING)] or [b""]
    return dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, rdtype, strings)


def _with_ancestors(names: Iterable[Name]) -> frozenset[Name]:
    # RFC 8020: a name exists when anything exists below it.
    existing = {dns.name.root}
    for name in names:
        above = name
        while above not in existing:
            existing.add(above)
            above = above.parent()
    return frozenset(existing)
