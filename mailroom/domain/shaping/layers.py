"""A shaping set: layers of settings, limits over addresses, provider rules; what holds for a path.

    effective            the settings of a path, and which layer each comes from
    address_limits_for   what an address may do over all sites
    shared_limits_for    the limits over several addresses that a message falls under
    plan_in, plan_name_for   warm-up plans, and which of them an address has for a provider

Layers, each narrower than the one before: defaults, the site's provider, the site, the domain
that has a site of its own. Each may be narrowed by pool, then by address; a wider destination
narrowed by an address still is wider than a narrower destination. Documents are read in
`loading.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, TypeVar

from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import (
    AddressLimits,
    BackoffSettings,
    PathSettings,
    SharedLimit,
    SharedScope,
)
from mailroom.domain.shaping.layer import Layer
from mailroom.domain.shaping.providers import BUILT_IN, ProviderRule, domain_of
from mailroom.domain.warmup.plan import Plan, plan_named

BUILT_IN_LAYER = "built-in"
ANY = "*"
MOST_REMEMBERED = 20_000

_NAMES = tuple(
    [each.name for each in fields(PathSettings) if each.name != "backoff"]
    + [f"backoff.{each.name}" for each in fields(BackoffSettings)]
)
SharedKey = tuple[SharedLimit, tuple[str, ...]]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Effective:
    """What holds for a path. `origin` names the layer of each setting, `backoff.<name>` included.

    `warmup` (of a plan) and `retry` (of a schedule) are names that the narrowest layer gives, ""
    for none.
    """

    settings: PathSettings
    origin: Mapping[str, str]
    warmup: str = ""
    retry: str = ""


class ShapingSet:
    """A document as it was read. Safe to share between threads: what it remembers saves work."""

    def __init__(
        self,
        *,
        defaults: Layer | None = None,
        providers: Mapping[str, Layer] | None = None,
        sites: Mapping[str, Layer] | None = None,
        domains: Mapping[str, Layer] | None = None,
        address: Layer | None = None,
        shared: Sequence[SharedLimit] = (),
        rules: Sequence[ProviderRule] = BUILT_IN,
        version: str = "",
        plans: Mapping[str, Plan] | None = None,
    ) -> None:
        self.defaults = defaults or Layer()
        self.providers = dict(providers or {})
        self.sites = dict(sites or {})
        self.domains = dict(domains or {})
        self.address = address or Layer()
        self.shared = tuple(shared)
        self.rules = tuple(rules)
        self.version = version
        self.plans = dict(plans or {})  # of warm-up, beside the built-in ones
        self.combined_memory: dict[tuple[str, ...], Effective] = {}
        self.effective_memory: dict[tuple[str, ...], Effective] = {}
        self.address_memory: dict[tuple[str, ...], AddressLimits] = {}
        self.shared_memory: dict[tuple[str, ...], tuple[SharedKey, ...]] = {}

    def layers(
        self, provider: str, site: str, domain: str, pool: str, address: str
    ) -> Iterator[tuple[str, Layer]]:
        """Yield the layers that a path falls under, with their names, the widest first."""
        yield from self.defaults.narrowed("defaults", pool, address)
        for group, layers, name in (
            ("providers", self.providers, provider),
            ("sites", self.sites, site),
            ("domains", self.domains, domain),
        ):
            if name in layers:
                yield from layers[name].narrowed(f"{group}.{name}", pool, address)


def effective(
    shaping: ShapingSet,
    *,
    provider: str,
    site: str,
    domain: str = "",
    pool: str = "",
    address: str = "",
) -> Effective:
    """Return what holds for a path from an address of a pool to a site.

    `domain` need not be given for a domain's own site. What contradicts each other across layers
    is resolved to the careful side: a start above the most, a twin for BACKOFF above the normal.
    """
    key = (provider, site, domain, pool, address)
    return _kept(shaping.effective_memory, key, partial(_effective, shaping, *key))


def address_limits_for(shaping: ShapingSet, *, pool: str = "", address: str = "") -> AddressLimits:
    """Return what an address may do over all sites."""
    key = (pool, address)
    return _kept(shaping.address_memory, key, partial(_address_limits, shaping, *key))


def shared_limits_for(
    shaping: ShapingSet,
    *,
    pool: str,
    provider: str,
    sign_domain: str,
    tenant: str,
    campaign: str = "",
) -> tuple[SharedKey, ...]:
    """Return the limits that a message falls under, each with what it counts.

    `*` in a limit stands for any, and each has a count of its own. Of every scope, the first
    limit that matches counts. `campaign` is the tag; mail without one is in no campaign.
    """
    if not shaping.shared:
        return ()
    key = (pool, provider, sign_domain, tenant, campaign)
    return _kept(shaping.shared_memory, key, partial(_shared, shaping, *key))


def plan_in(shaping: ShapingSet, name: str) -> Plan:
    """Return a warm-up plan by its name; a name that nobody knows means `gentle`."""
    return plan_named(name, shaping.plans)


def plan_name_for(shaping: ShapingSet, *, group: str, pool: str = "", address: str = "") -> str:
    """Return the name of the plan that a group of providers has for an address.

    "" leaves it to the address. `group` is as `mailroom.domain.warmup.plan.group_of` gives it.
    """
    return effective(shaping, provider=group, site="", pool=pool, address=address).warmup


def combined(layers: Sequence[tuple[str, Layer]]) -> Effective:
    """Return layers laid over each other, the narrowest last."""
    values, origin = _built_in(), dict.fromkeys(_NAMES, BUILT_IN_LAYER)
    warmup = retry = ""
    for name, layer in layers:
        if layer.replace:
            values, warmup, retry = _built_in(), "", ""
            origin = dict.fromkeys(_NAMES, f"{BUILT_IN_LAYER} ({name} replaces)")
        values |= layer.values
        origin |= dict.fromkeys(layer.values, name)
        warmup, retry = layer.warmup or warmup, layer.retry or retry
    _be_careful(values, origin)
    twin = {n.partition(".")[2]: v for n, v in values.items() if "." in n}
    plain = {n: v for n, v in values.items() if "." not in n}
    return Effective(PathSettings(**plain, backoff=BackoffSettings(**twin)), origin, warmup, retry)


def is_above(rate: Rate | None, normal: Rate | None) -> bool:
    """Say whether a rate lets more through than another; None is without limit."""
    if rate is None or normal is None:
        return rate is None and normal is not None
    return rate.per_second > normal.per_second


def _effective(
    shaping: ShapingSet, provider: str, site: str, domain: str, pool: str, address: str
) -> Effective:
    layers = list(shaping.layers(provider, site, domain or domain_of(site), pool, address))
    # Most paths fall under the same few layers: what comes of them is kept once for all.
    names = tuple(name for name, _ in layers)
    return _kept(shaping.combined_memory, names, partial(combined, layers))


def _built_in() -> dict[str, Any]:
    settings = PathSettings()
    values = {name: getattr(settings, name) for name in _NAMES if "." not in name}
    twin = settings.backoff
    return values | {f"backoff.{each.name}": getattr(twin, each.name) for each in fields(twin)}


def _be_careful(values: dict[str, Any], origin: dict[str, str]) -> None:
    for small in ("start_connections", "backoff.connections"):
        if values[small] > values["connections"]:
            values[small] = values["connections"]
            origin[small] = origin["connections"]
    for name in ("message_rate", "connection_rate"):
        if is_above(values[f"backoff.{name}"], values[name]):
            values[f"backoff.{name}"] = values[name]
            origin[f"backoff.{name}"] = origin[name]


def _address_limits(shaping: ShapingSet, pool: str, address: str) -> AddressLimits:
    limits = AddressLimits()
    for _, layer in shaping.address.narrowed("address", pool, address):
        limits = replace(AddressLimits() if layer.replace else limits, **layer.values)
    return limits


def _shared(
    shaping: ShapingSet, pool: str, provider: str, sign_domain: str, tenant: str, campaign: str
) -> tuple[SharedKey, ...]:
    parts = {
        SharedScope.POOL_PROVIDER: (pool, provider),
        SharedScope.DKIM_PROVIDER: (sign_domain, provider),
        SharedScope.TENANT_PROVIDER: (tenant, provider),
        SharedScope.TENANT: (tenant,),
        SharedScope.CAMPAIGN: (tenant, campaign),
    }
    found: dict[SharedScope, SharedKey] = {}
    for limit in shaping.shared:
        key = parts[limit.scope]
        if limit.scope not in found and all(key) and _matches(limit.match, key):
            found[limit.scope] = (limit, key)
    return tuple(found.values())


def _matches(match: Sequence[str], key: Sequence[str]) -> bool:
    pairs = zip(match, key, strict=True)
    return all(wanted in (ANY, given) for wanted, given in pairs)


def _kept(memory: dict[K, V], key: K, make: "partial[V]") -> V:
    found = memory.get(key)
    if found is None:
        found = make()
        if len(memory) >= MOST_REMEMBERED:
            memory.clear()  # cheaper than keeping an order, and as good for what repeats
        memory[key] = found
    return found
