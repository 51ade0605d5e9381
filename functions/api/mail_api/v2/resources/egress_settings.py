"""What holds for a path: its effective settings, and the layer that each comes from."""

from dataclasses import fields
from enum import StrEnum
from typing import Any

from mail_api.v2.models.egress import EgressSettings
from mail_api.v2.operation import ApiError, Call, Operation
from mail_api.v2.resources.egress_calls import all_addresses, paths_of, views_of
from mail_api.v2.resources.egress_documents import in_use
from mailroom.domain.provider import OTHER
from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import PathSettings
from mailroom.domain.shaping.layers import Effective, ShapingSet, address_limits_for, effective
from mailroom.domain.shaping.loading import ShapingError, load
from mailroom.domain.tenancy.access import Scope
from mailroom.errors import NotFoundError
from mailroom.usecases.published import Kind


def read(call: Call) -> Any:
    """Show what holds for a path, and which layer of the shaping in use says so."""
    address, site = call.path["address"], call.path["site"]
    pool = next((p for a, p in _known(call) if a == address), None)
    if pool is None:
        raise NotFoundError("there is no source address with that id, and no host shows it")
    shaping, version = _in_use(call)
    found = _effective(shaping, call, address=address, site=site, pool=pool)
    limits = address_limits_for(shaping, pool=pool, address=address)
    return {
        "address": address,
        "site": site,
        "pool": pool,
        "provider": _provider(shaping, call, site),
        "version": version,
        "settings": rows_of(found),
        "warmup": found.warmup,
        "retry": found.retry,
        "address_connections": limits.connections,
        "address_message_rate": str(limits.message_rate) if limits.message_rate else None,
    }


def settings_of(call: Call, *, address: str, site: str, provider: str, pool: str) -> Any:
    """Return the settings of a path as a flat object, None if the shaping cannot be read."""
    try:
        shaping, _ = _in_use(call)
    except ApiError:
        return None
    found = effective(shaping, provider=provider, site=site, pool=pool, address=address)
    return {row["name"]: row["value"] for row in rows_of(found)}


def rows_of(found: Effective) -> list[dict[str, Any]]:
    """Return settings one by one with their origins."""
    plain = [(each.name, each.name) for each in fields(PathSettings) if each.name != "backoff"]
    twin = [(f"backoff.{each.name}", each.name) for each in fields(found.settings.backoff)]
    return [
        {
            "name": name,
            "value": _plain(
                getattr(found.settings.backoff if name.startswith("backoff.") else found.settings,
                        attribute)
            ),
            "origin": found.origin.get(name, ""),
        }
        for name, attribute in (*plain, *twin)
    ]  # fmt: skip


def _effective(shaping: ShapingSet, call: Call, *, address: str, site: str, pool: str) -> Effective:
    provider = _provider(shaping, call, site)
    return effective(shaping, provider=provider, site=site, pool=pool, address=address)


def _in_use(call: Call) -> tuple[ShapingSet, int | None]:
    version, document = in_use(Kind.SHAPING, call)
    try:
        return load(document), version.number if version else None
    except ShapingError as error:
        # Published by an earlier release whose checks were others.
        text = f"the shaping in use cannot be read: {error}"[:500]
        raise ApiError(422, "document_not_valid", text) from error


def _provider(shaping: ShapingSet, call: Call, site: str) -> str:
    """Return the provider of a site: a provider's site has its name; of others hosts know it."""
    name = site.partition(":")[0]  # of a region, or of another port
    if any(rule.id == name for rule in shaping.rules):
        return name
    shown = (path.provider for _, path in paths_of(views_of(call)) if path.site == site)
    return next(shown, OTHER)


def _known(call: Call) -> Any:
    for each in all_addresses(call):
        yield each.id, each.parent.partition("#")[2]
    for view in views_of(call):
        for path in view.paths:
            yield path.address, path.pool


def _plain(value: Any) -> Any:
    if isinstance(value, Rate | StrEnum):
        return str(value)
    return value


OPERATIONS = (
    Operation("egress.settings", "GET", "/egress/settings/{address}/{site}",
              "Show what holds for a path", read, Scope.PLATFORM, answer=EgressSettings),
)  # fmt: skip
