"""What a sending domain should publish: ready-to-paste records, as values."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from mailroom.domain.dns.answers import UNASKED, Answers, Kind, txt
from mailroom.domain.dns.dkim_record import KeyKind, Wording, dkim_value
from mailroom.domain.dns.dmarc import (
    DmarcPolicy,
    dmarc_names,
    dmarc_records,
    read_dmarc,
    suggested_dmarc,
)
from mailroom.domain.dns.spf import spf_records, suggested_spf

TTL = 3600  # seconds, of every record we suggest
MX_PREFERENCE = 10


class Purpose(StrEnum):
    """What a record is for. Values are stored; never rename them."""

    OWNERSHIP = "ownership"
    SPF = "spf"
    DKIM = "dkim"
    RETURN_PATH = "return_path"
    MX = "mx"
    DMARC = "dmarc"
    TRACKING = "tracking"


class Need(StrEnum):
    """How much a record is wanted. Values are stored; never rename them."""

    REQUIRED = "required"
    RECOMMENDED = "recommended"
    OPTIONAL = "optional"  # only for who wants what it makes possible


@dataclass(frozen=True, slots=True)
class Record:
    """One record to publish. `name` is absolute without its final dot; `ttl` is seconds.

    `value` is the plain text of a TXT (of any length, not split), the target of a CNAME, and
    `preference host` of an MX. `about` tells records of one purpose apart: a selector.
    """

    purpose: Purpose
    kind: Kind
    name: str
    value: str
    need: Need
    ttl: int = TTL
    about: str = ""

    @property
    def key(self) -> str:
        """What the record's state is kept under: its purpose, with the selector of a key."""
        return f"{self.purpose}:{self.about}" if self.about else str(self.purpose)


@dataclass(frozen=True, slots=True)
class PlatformNames:
    """The names the platform answers under, and its conventions.

    `verification_prefix` and `return_path_label` may be Postal's of an older installation
    (`postal-verification`, `psrp`). An empty name leaves its record out. `sending_addresses` are
    the IP addresses mail leaves from, for the evaluation of SPF.
    """

    spf_include: str = ""
    return_path: str = ""
    tracking: str = ""
    mx: tuple[str, ...] = ()
    verification_prefix: str = "mailroom-verification"
    return_path_label: str = "psrp"
    dmarc_reports: str = ""
    sending_addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A DKIM key as far as the DNS is concerned. A `pending` one signs nothing yet."""

    selector: str
    kind: KeyKind
    public: str
    wording: Wording = Wording.PLAIN
    pending: bool = False


@dataclass(frozen=True, slots=True)
class SendingDomain:
    """A domain and what is particular to it. Empty fields mean the platform's convention.

    Once a domain is `verified` its ownership record has done its work. `spf` and `dmarc` are the
    records that are published now, if that is known: what we ask for never weakens them.
    """

    name: str
    token: str
    keys: tuple[PublishedKey, ...] = ()
    verification_prefix: str = ""
    return_path_label: str = ""
    verified: bool = False
    receives: bool = False  # it has routes, so its MX is wanted
    spf: str = ""
    dmarc: str = ""


def ownership_value(domain: SendingDomain, platform: PlatformNames) -> str:
    """Return the whole text of the ownership TXT, as Postal words it."""
    return f"{domain.verification_prefix or platform.verification_prefix} {domain.token}"


def return_path_host(domain: SendingDomain, platform: PlatformNames) -> str:
    """Return the name that bounces of the domain's mail go to."""
    return f"{domain.return_path_label or platform.return_path_label}.{domain.name}"


def dkim_name(selector: str, domain: str) -> str:
    """Return the name of a key record (RFC 6376 section 3.6.2.1)."""
    return f"{selector}._domainkey.{domain}"


def expected_records(domain: SendingDomain, platform: PlatformNames) -> tuple[Record, ...]:
    """Return what the domain should publish, the most important first."""
    return (*_identity(domain, platform), *_receiving(domain, platform), _dmarc(domain, platform))


def tracking_record(name: str, platform: PlatformNames) -> Record:
    """Return the record of a tracking domain: a name of the tenant's that leads to ours."""
    return Record(Purpose.TRACKING, Kind.CNAME, name, platform.tracking, Need.REQUIRED)


def as_published(domain: SendingDomain, answers: Answers) -> SendingDomain:
    """Return the domain with the SPF and DMARC records that speak for it; several do not count.

    A policy that it inherits is kept too: a weaker one of its own would take its place.
    """
    spf = spf_records(answers.get(txt(domain.name), UNASKED).values)
    return replace(domain, spf=spf[0] if len(spf) == 1 else "", dmarc=_dmarc_of(domain, answers))


def _dmarc_of(domain: SendingDomain, answers: Answers) -> str:
    for name in dmarc_names(domain.name):
        records = dmarc_records(answers.get(txt(name), UNASKED).values)
        if records:
            at = name.removeprefix("_dmarc.")
            read = read_dmarc(records[0], at=at, domain=domain.name)
            return records[0] if isinstance(read, DmarcPolicy) and len(records) == 1 else ""
    return ""


def _identity(domain: SendingDomain, platform: PlatformNames) -> Iterable[Record]:
    proof = ownership_value(domain, platform)
    proven = Need.OPTIONAL if domain.verified else Need.REQUIRED
    yield Record(Purpose.OWNERSHIP, Kind.TXT, domain.name, proof, proven)
    for key in domain.keys:
        yield Record(
            Purpose.DKIM,
            Kind.TXT,
            dkim_name(key.selector, domain.name),
            dkim_value(key.kind, key.public, key.wording),
            Need.RECOMMENDED if key.pending else Need.REQUIRED,
            about=key.selector,
        )
    if platform.spf_include:
        value = suggested_spf(platform.spf_include, domain.spf)
        yield Record(Purpose.SPF, Kind.TXT, domain.name, value, Need.REQUIRED)
    if platform.return_path:
        name = return_path_host(domain, platform)
        need = Need.RECOMMENDED
        yield Record(Purpose.RETURN_PATH, Kind.CNAME, name, platform.return_path, need)


def _receiving(domain: SendingDomain, platform: PlatformNames) -> Iterable[Record]:
    need = Need.RECOMMENDED if domain.receives else Need.OPTIONAL
    for host in platform.mx:
        yield Record(Purpose.MX, Kind.MX, domain.name, f"{MX_PREFERENCE} {host}", need)


def _dmarc(domain: SendingDomain, platform: PlatformNames) -> Record:
    value = domain.dmarc or suggested_dmarc(platform.dmarc_reports)
    return Record(Purpose.DMARC, Kind.TXT, f"_dmarc.{domain.name}", value, Need.RECOMMENDED)
