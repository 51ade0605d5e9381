"""Whose hosts take a domain's mail: sites by its best mail exchangers, providers by their names.

`mailroom/domain/provider.py` goes by the recipient's domain and is for statistics; this goes by
the MX records, so that a company's own domain at a provider counts as that provider's. The ids
are the same in both. Names of mail exchangers are from the providers' own pages and from
published shaping files; a published shaping document may name others.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256

from mailroom.domain.provider import OTHER
from mailroom.domain.sending.path import Site

SMTP_PORT = 25
DOMAIN, MX = "domain", "mx"
RESERVED = frozenset({OTHER, DOMAIN, MX, "relay", "host"})  # no ids of providers
_READABLE = 64
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_")


class RollUp(StrEnum):
    """What of a provider is one site. Values are stored; never rename them."""

    PROVIDER = "provider"  # all of it
    MX_SET = "mx_set"  # domains with the same mail exchangers: regions, clusters, customers


# Told apart by identity: what is remembered for a set of rules is looked up for each message.
@dataclass(frozen=True, slots=True, eq=False)
class ProviderRule:
    """A provider and what the names of its mail exchangers end in.

    A suffix that begins with a dot is for names below it, one without for that name alone.
    """

    id: str
    suffixes: tuple[str, ...]
    roll_up: RollUp = RollUp.PROVIDER

    def longest(self, host: str) -> int:
        """Return the length of the longest suffix that a host has, 0 for none."""
        return max((len(each) for each in self.suffixes if _ends_in(host, each)), default=0)


def _ends_in(host: str, suffix: str) -> bool:
    return host.endswith(suffix) if suffix.startswith(".") else host == suffix


def _rule(id_: str, suffixes: str, roll_up: RollUp = RollUp.PROVIDER) -> ProviderRule:
    return ProviderRule(id_, tuple(suffixes.split()), roll_up)


BUILT_IN: tuple[ProviderRule, ...] = (
    # Gmail counts by receiving host, not by recipient's domain: Workspace is the same site.
    _rule("gmail", ".google.com .googlemail.com"),
    _rule("microsoft", ".olc.protection.outlook.com"),
    _rule("microsoft365", ".mail.protection.outlook.com .mail.eo.outlook.com .mx.microsoft"),
    _rule("yahoo", ".yahoodns.net"),
    _rule("yahoo-japan", ".yahoo.co.jp"),
    _rule("apple", ".mail.icloud.com"),
    _rule("united-internet", ".gmx.net .web.de .mail.com"),
    _rule("telekom", ".t-online.de"),
    _rule("orange", ".orange.fr .wanadoo.fr"),
    _rule("free", ".free.fr"),
    _rule("sfr", ".sfr.fr"),
    _rule("bouygues", ".bbox.fr"),
    _rule("laposte", ".laposte.net"),
    _rule("comcast", ".comcast.net"),
    _rule("charter", ".charter.net .spectrum.net"),
    _rule("cox", ".cox.net"),
    _rule("libero", ".libero.it"),
    _rule("seznam", ".seznam.cz"),
    _rule("wp", ".wp.pl"),
    _rule("onet", ".onet.pl"),
    _rule("mail-ru", ".mail.ru"),
    _rule("yandex", ".yandex.ru .yandex.net"),
    _rule("proton", ".protonmail.ch"),
    _rule("fastmail", ".messagingengine.com"),
    _rule("zoho", ".zoho.com .zoho.eu .zoho.in"),
    _rule("kpn", ".kpnmail.nl .kpnxchange.com"),
    _rule("ziggo", ".ziggo.nl"),
    _rule("tencent", ".qq.com"),
    _rule("netease", ".netease.com"),
    _rule("naver", ".naver.com"),
    _rule("netvigator", ".netvigator.com"),
    # Filters that stand before their customers' own hosts.
    _rule("mimecast", ".mimecast.com .mimecast.co.za .mimecast-offshore.com", RollUp.MX_SET),
    _rule("proofpoint", ".pphosted.com .ppe-hosted.com .gpphosted.com", RollUp.MX_SET),
    _rule("barracuda", ".barracudanetworks.com"),
    _rule("cisco", ".iphmx.com", RollUp.MX_SET),
    _rule("cloudmark", ".cloudfilter.net", RollUp.MX_SET),
    _rule("broadcom", ".messagelabs.com", RollUp.MX_SET),
    _rule("trendmicro", ".trendmicro.com .trendmicro.eu", RollUp.MX_SET),
    _rule("hornetsecurity", ".hornetsecurity.com .antispameurope.com", RollUp.MX_SET),
    _rule("amazon", ".amazonaws.com", RollUp.MX_SET),
    _rule("cloudflare", ".mx.cloudflare.net"),
)


def merged(
    base: Sequence[ProviderRule], own: Mapping[str, ProviderRule]
) -> tuple[ProviderRule, ...]:
    """Return the rules of `base`, with those of `own` in place of, or beside, them by id."""
    kept = [own.get(rule.id, rule) for rule in base]
    known = {rule.id for rule in base}
    return (*kept, *(rule for id_, rule in own.items() if id_ not in known))


def provider_rule(hosts: Collection[str], rules: Sequence[ProviderRule]) -> ProviderRule | None:
    """Return the rule that all of `hosts` match, None if one of them is foreign to it.

    Of several, the one whose suffixes match the hosts most exactly.
    """
    best, most = None, 0
    for rule in rules:
        length = min((rule.longest(host) for host in hosts), default=0)
        if length > most:
            best, most = rule, length
    return best


def site_of(
    domain: str,
    best: Sequence[str],
    targets: Sequence[str],
    rules: Sequence[ProviderRule],
    *,
    port: int = SMTP_PORT,
    own: Collection[str] = (),
) -> Site:
    """Return the site that takes the mail of `domain` (a lower-case A-label).

    `best` are its mail exchangers of the lowest preference, `targets` the hosts that can be
    reached, which count where there are no others. The key is the provider's id; the id with the
    mail exchangers where each set of them is a site; `mx:` with the mail exchangers where they
    belong to no provider; `domain:` for the domains in `own`, which have settings of their own.
    """
    site = _site_of_hosts(tuple(best or targets or (domain,)), tuple(rules))
    if domain in own:
        site = Site(f"{DOMAIN}:{domain}", site.provider)
    return site if port == SMTP_PORT else Site(f"{site.key}:{port}", site.provider)


@lru_cache(maxsize=16_384)
def _site_of_hosts(names: tuple[str, ...], rules: tuple[ProviderRule, ...]) -> Site:
    hosts = sorted({_tidy(name) for name in names})
    rule = provider_rule(hosts, rules)
    if rule is None:
        return Site(f"{MX}:{short(hosts)}")
    if rule.roll_up is RollUp.MX_SET:
        return Site(f"{rule.id}:{short(hosts)}", rule.id)
    return Site(rule.id, rule.id)


def domain_of(site: str) -> str:
    """Return the domain whose own site this is the key of, "" if it is no such site."""
    kind, _, rest = site.partition(":")
    return rest.partition(":")[0] if kind == DOMAIN else ""


def short(hosts: Sequence[str]) -> str:
    """Return sorted names as a short text that tells them from all others.

    One plain name is itself; others are what they have in common, with a digest after `~`.
    """
    if len(hosts) == 1 and len(hosts[0]) <= _READABLE and _PLAIN.issuperset(hosts[0]):
        return hosts[0]
    digest = sha256("\n".join(hosts).encode()).hexdigest()[:16]
    shown = "".join(each for each in _common(hosts) if each in _PLAIN)[-_READABLE:]
    return f"{shown or 'mx'}~{digest}"


def _common(hosts: Sequence[str]) -> str:
    """Return the labels that all names end in, or the first name if there are none."""
    shared: list[str] = []
    for labels in zip(*(reversed(host.split(".")) for host in hosts), strict=False):
        if len(set(labels)) > 1:
            break
        shared.insert(0, labels[0])
    return ".".join(shared) if len(shared) > 1 else hosts[0]


def _tidy(host: str) -> str:
    return host.lower().removesuffix(".")
