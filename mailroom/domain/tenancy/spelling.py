"""How servers, credentials and webhooks are spelled in the directory's rows, and where those lie.

Readers accept rows written before a field existed: what is missing has its default.
"""

import hashlib
import ipaddress
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from mailroom.domain.message import (
    METADATA_DAYS,
    RAW_DAYS,
    SEND_SCOPE,
    Credential,
    Mode,
    OnSuppressed,
    Server,
    ServerId,
    Tracking,
    Views,
    Webhook,
)
from mailroom.domain.send_limit import LimitAction, Limits

# What every key could do before keys had scopes.
_FORMER_SCOPES = (SEND_SCOPE, "messages:read", "messages:write", "webhooks:read", "webhooks:write")
_SHORTEST = {4: 8, 6: 16}  # a network larger than that is a typing mistake, not a customer


def secret_hash(secret: str) -> str:
    """Return what is stored of a secret: its SHA-256 in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def hash_pk(digest: str) -> str:
    """Partition key of what the secret with this `secret_hash` opens."""
    return f"credential#{digest}"


def credential_pk(secret: str) -> str:
    """Partition key of a credential: the SHA-256 of its secret, which itself is not stored."""
    return hash_pk(secret_hash(secret))


def network_pk(network: str) -> str:
    """Partition key of an SMTP-IP credential: its network in its shortest spelling.

    Raises ValueError for what is no network, has bits behind its prefix, or is too large.
    """
    found = ipaddress.ip_network(network)
    if found.prefixlen < _SHORTEST[found.version]:
        raise ValueError(f"{network} is larger than a /{_SHORTEST[found.version]}")
    return f"network#{found}"


def networks_of(address: str) -> Iterator[str]:
    """Yield the partition keys of all networks that hold `address`, the most exact first.

    Yields nothing for what is no IP address.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    for length in range(found.max_prefixlen, _SHORTEST[found.version] - 1, -1):
        yield f"network#{ipaddress.ip_network((found, length), strict=False)}"


def login_pk(user: str) -> str:
    """Partition key of the user name `org/server`. Permalinks have no underscore, so the first
    one of `org_server` is the separator."""
    organisation, _, server = user.lower().replace("_", "/", 1).partition("/")
    return f"login#{organisation}/{server}"


def dump_server(server: Server) -> str:
    """Write a server row's JSON."""
    limits = {"complaints": server.complaint_limit, "hard_bounces": server.bounce_limit}
    brake = {rate: None if limit is None else limit * 100 for rate, limit in limits.items()}
    return json.dumps({k: v for k, v in asdict(server).items() if k != "id"} | {"brake": brake})


def load_server(id_: ServerId, stored: dict[str, Any]) -> Server:
    """Read what `dump_server` wrote."""
    tracking, limits = stored["tracking"], stored.get("limits")
    return Server(
        id=id_,
        organisation=stored["organisation"],
        name=stored["name"],
        permalink=stored["permalink"],
        token=stored["token"],
        tracking=Tracking(**tracking) if tracking else None,
        suspended=stored["suspended"],
        mode=Mode(stored.get("mode", "live")),
        send_limit=stored.get("send_limit"),
        privacy=stored.get("privacy", False),
        allow_sender=stored.get("allow_sender", False),
        resent_sender=stored.get("resent_sender", False),
        limits=_limits(limits) if limits else Limits(),
        time_zone=stored.get("time_zone", ""),
        retention_raw_days=stored.get("retention_raw_days", RAW_DAYS),
        retention_days=stored.get("retention_days", METADATA_DAYS),
        postmaster_address=stored.get("postmaster_address") or "",
        suppressed=OnSuppressed(stored.get("suppressed", "suppress")),
        complaint_limit=_share(stored, "complaints"),
        bounce_limit=_share(stored, "hard_bounces"),
    )


def _share(stored: dict[str, Any], rate: str) -> float | None:
    """Return the share above which a server's own brake works; its resource has per cent."""
    limit = (stored.get("brake") or {}).get(rate)
    return None if limit is None else limit / 100


def _limits(stored: dict[str, Any]) -> Limits:
    periods = (stored.get("hour"), stored.get("day"), stored.get("month"))
    return Limits(*periods, LimitAction(stored.get("action", "hold")))


def credential_body(credential: Credential) -> dict[str, Any]:
    """Return a credential row's values, fit for JSON."""
    listed = {"scopes": sorted(credential.scopes), "networks": list(credential.networks)}
    return {**asdict(credential), **listed}


def dump_credential(credential: Credential) -> str:
    """Write a credential row's JSON."""
    return json.dumps(credential_body(credential))


def load_credential(stored: dict[str, Any]) -> Credential:
    """Read what `dump_credential` wrote."""
    return Credential(
        id=stored["id"],
        server=ServerId(stored["server"]),
        kind=stored["kind"],
        name=stored["name"],
        hold=stored.get("hold", False),
        cram=stored.get("cram", False),
        scopes=frozenset(stored.get("scopes", _FORMER_SCOPES)),
        networks=tuple(stored.get("networks", ())),
        expires_at=stored.get("expires_at"),
        stream=stored.get("stream", ""),
    )


def dump_webhook(webhook: Webhook) -> str:
    """Write a webhook row's JSON."""
    return json.dumps(webhook_body(webhook))


def webhook_body(webhook: Webhook) -> dict[str, Any]:
    """Return what a webhook row says."""
    return {
        "url": webhook.url,
        "events": sorted(webhook.events),
        "enabled": webhook.enabled,
        "sign": webhook.sign,
        "views": str(webhook.views),
    }


def load_webhook(id_: str, server: ServerId, stored: dict[str, Any]) -> Webhook:
    """Read what `dump_webhook` wrote."""
    return Webhook(
        id=id_,
        server=server,
        url=stored["url"],
        events=frozenset(stored["events"]),
        enabled=stored["enabled"],
        sign=stored.get("sign", True),
        views=Views(stored.get("views", "all")),
    )
