"""The wishes that an installation of Postal makes: one for each object, parents first.

Tokens, permalinks, selectors, keys and verification texts stay what they are, so that neither
DNS nor a client's configuration changes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cli.postal.model import (
    Address,
    Credential,
    Domain,
    Installation,
    Organisation,
    Pool,
    PoolRule,
    Server,
    TrackDomain,
    Webhook,
)
from cli.postal.plan_routes import endpoint_wish, route_wish
from cli.postal.time_zones import zone_of
from cli.postal.wish import Json, Wish

_API = "/api/v2"
_LONGEST = 400  # days: the longest retention there is
_TOKEN = re.compile(r"[a-z0-9]{6}\Z")
_VERIFICATION = re.compile(r"[A-Za-z0-9]{16,64}\Z")
_PERMALINK = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?\Z")
_MODES = {"live": "live", "development": "development"}
_KINDS = ("API", "SMTP", "SMTP-IP")
_API_SCOPES = ["messages:send", "messages:read"]
EVENTS = frozenset(
    {
        "MessageSent", "MessageDelayed", "MessageDeliveryFailed", "MessageHeld", "MessageBounced",
        "MessageLinkClicked", "MessageLoaded", "DomainDNSError", "SendLimitApproaching",
        "SendLimitExceeded",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Naming:
    """How this installation is told from others, and how it names its DNS records."""

    installation: str = "main"
    verification_prefix: str = "postal-verification"
    return_path_prefix: str = "psrp"

    def id(self, table: str, number: int) -> str:
        """Return the name of a row for ever."""
        return f"postal:{self.installation}:{table}:{number}"


def plan(postal: Installation, naming: Naming) -> list[Wish]:
    """Return all wishes, each behind what it belongs to or links to."""
    domains = {each.number: each for each in postal.domains}
    receiving = frozenset(each.domain for each in postal.routes if each.domain is not None)
    return [
        *(_organisation(each, naming) for each in postal.organisations),
        *(_pool(each, postal, naming) for each in postal.pools),
        *(_address(each, naming) for each in postal.addresses),
        *(_server(each, postal, naming) for each in postal.servers),
        *(_domain(each, receiving, naming) for each in postal.domains),
        *(_track_domain(each, domains, naming) for each in postal.track_domains),
        *_credentials(postal, naming),
        *(endpoint_wish(each, naming.id) for each in postal.endpoints),
        *(route_wish(each, domains, naming.id) for each in postal.routes),
        *(_webhook(each, naming) for each in postal.webhooks),
        *(_rule(each, naming) for each in postal.rules),
    ]


def _pool(pool: Pool, postal: Installation, naming: Naming) -> Wish:
    users = sorted({o for o, number in postal.shared_pools if number == pool.number})
    return Wish(
        kind="pools",
        external_id=naming.id("ip_pools", pool.number),
        label=pool.name,
        collection=f"{_API}/pools",
        item=f"{_API}/pools/{{id}}",
        # An empty list: nobody may send from it, as in Postal.
        fields={"name": pool.name, **({} if users else {"organisations": []})},
        once={"purpose": "mixed"},
        links={
            f"organisations.{place}": naming.id("organizations", number)
            for place, number in enumerate(users)
        },
    )


def _address(address: Address, naming: Naming) -> Wish:
    fields: dict[str, object] = {
        "hostname": address.hostname.lower(),
        "weight": min(max(address.priority, 0), 100),
    }
    if address.ipv6:
        fields["ipv6"] = address.ipv6
    return Wish(
        kind="addresses",
        external_id=naming.id("ip_addresses", address.number),
        label=address.ipv4 or address.ipv6,
        collection=f"{_API}/pools/{{parent}}/addresses",
        item=f"{_API}/pools/{{parent}}/addresses/{{id}}",
        parent=naming.id("ip_pools", address.pool),
        fields=fields,
        # Receivers know it: it has sent for Postal.
        once={"ipv4": address.ipv4, "state": "warm"},
        problem="" if address.ipv4 else "it has no IPv4 address",
    )


def _organisation(organisation: Organisation, naming: Naming) -> Wish:
    zone = zone_of(organisation.time_zone)
    return Wish(
        kind="organisations",
        external_id=naming.id("organizations", organisation.number),
        label=organisation.permalink,
        collection=f"{_API}/organisations",
        item=f"{_API}/organisations/{{id}}",
        fields={"name": organisation.name, "time_zone": zone or "UTC"},
        once={"permalink": organisation.permalink},
        suspended=organisation.suspended,
        notes=[] if zone else [f"nobody knows the time zone {organisation.time_zone!r}"],
        problem=_permalink_problem(organisation.permalink),
    )


def _server(server: Server, postal: Installation, naming: Naming) -> Wish:
    days, notes = _retention(server)
    # Postal tracks through tracking domains alone: without one there is none.
    tracks = [each for each in postal.track_domains if each.server == server.number]
    fields: dict[str, object] = {
        "name": server.name,
        "mode": _MODES.get(server.mode.lower(), "live"),
        "privacy": server.privacy,
        "allow_sender": server.allow_sender,
        "limits": {"hour": server.send_limit or None, "action": "hold"},
        "track_clicks": any(each.clicks for each in tracks),
        "track_opens": any(each.opens for each in tracks),
        **days,
    }
    if server.postmaster:
        fields["postmaster_address"] = server.postmaster
    problem = _permalink_problem(server.permalink)
    if not _TOKEN.match(server.token):
        problem = f"its token {server.token!r} is none: return paths of old mail would break"
    return Wish(
        kind="servers",
        external_id=naming.id("servers", server.number),
        label=server.permalink,
        collection=f"{_API}/organisations/{{parent}}/servers",
        item=f"{_API}/servers/{{id}}",
        parent=naming.id("organizations", server.organisation),
        fields=fields,
        once={"permalink": server.permalink, "token": server.token},
        essential=frozenset({"permalink", "token"}),
        links={} if server.pool is None else {"pool": naming.id("ip_pools", server.pool)},
        suspended=server.suspended,
        notes=notes,
        problem=problem,
    )


def _retention(server: Server) -> tuple[Json, list[str]]:
    """Return how long a server's mail is kept: Postal's days within ours."""
    days = server.message_days or _LONGEST
    raw = server.raw_days or _LONGEST
    kept = min(max(days, 1), _LONGEST)
    notes = [f"kept for {_LONGEST} days at most"] if max(days, raw) > _LONGEST else []
    if server.message_days is None or server.raw_days is None:
        notes.append(f"what Postal kept for ever is kept for {_LONGEST} days")
    return {"retention_days": kept, "retention_raw_days": min(max(raw, 1), kept)}, notes


def _permalink_problem(permalink: str) -> str:
    return "" if _PERMALINK.match(permalink) else f"its permalink {permalink!r} cannot be kept"


def _owner(server: int | None, organisation: int | None, naming: Naming) -> tuple[str, str]:
    """Return the path that what has such an owner hangs on, and the owner's external id."""
    if server is not None:
        return f"{_API}/servers/{{parent}}", naming.id("servers", server)
    return f"{_API}/organisations/{{parent}}", naming.id("organizations", organisation or 0)


def _domain(domain: Domain, receiving: frozenset[int], naming: Naming) -> Wish:
    base, parent = _owner(domain.server, domain.organisation, naming)
    once: dict[str, object] = {
        "name": domain.name,
        "verified": domain.verified,
        "verification_prefix": naming.verification_prefix,
        "return_path_label": naming.return_path_prefix,
    }
    notes = []
    if _VERIFICATION.match(domain.verification_token):
        once["token"] = domain.verification_token
    else:
        notes.append("its ownership record changes")
    if domain.dkim_key and domain.selector:
        key = {"selector": domain.selector, "private_key": domain.dkim_key, "from_postal": True}
        once["key"] = key
    else:
        notes.append("it has no DKIM key in Postal; a new one is made")
    if domain.use_for_any:
        notes.append("sending from any address with it is not carried over")
    return Wish(
        kind="domains",
        external_id=naming.id("domains", domain.number),
        label=domain.name,
        collection=f"{base}/domains",
        item=f"{base}/domains/{{id}}",
        parent=parent,
        fields={"receives": domain.number in receiving},
        once=once,
        essential=frozenset({"key", "verified"}),
        notes=notes,
    )


def _track_domain(track: TrackDomain, domains: "dict[int, Domain]", naming: Naming) -> Wish:
    base, parent = _owner(track.server, None, naming)
    domain = domains.get(track.domain)
    name = f"{track.name}.{domain.name}" if domain else track.name
    notes = []
    if track.excluded:
        notes.append("hosts whose links it did not track are not carried over")
    return Wish(
        kind="tracking domains",
        external_id=naming.id("track_domains", track.number),
        label=name,
        collection=f"{base}/tracking-domains",
        item=f"{base}/tracking-domains/{{id}}",
        parent=parent,
        fields={"secure": track.ssl},
        once={"name": name},
        notes=notes,
        problem="" if domain else "its domain is not there",
    )


def _credentials(postal: Installation, naming: Naming) -> Iterator[Wish]:
    seen: dict[str, int] = {}
    for each in postal.credentials:
        twin = seen.setdefault(each.key.lower(), each.number)
        problem = f"its key is that of {twin} in other case" if twin != each.number else ""
        yield _credential(each, problem, naming)


def _credential(credential: Credential, problem: str, naming: Naming) -> Wish:
    base, parent = _owner(credential.server, None, naming)
    if credential.kind not in _KINDS:
        problem = f"{credential.kind!r} is no kind of credential"
    is_network = credential.kind == "SMTP-IP"
    # Postal's API keys could read messages too; ours can send alone unless that is said.
    scopes = {"scopes": _API_SCOPES} if credential.kind == "API" else {}
    secret = {"network" if is_network else "secret": credential.key}
    return Wish(
        kind="credentials",
        external_id=naming.id("credentials", credential.number),
        label=f"{credential.name} ({credential.kind})",
        collection=f"{base}/credentials",
        item=f"{base}/credentials/{{id}}",
        parent=parent,
        fields={"name": credential.name, "hold": credential.hold},
        once={"type": credential.kind, **secret, **scopes},
        essential=frozenset({"type", *secret}),
        problem=problem,
    )


def _webhook(webhook: Webhook, naming: Naming) -> Wish:
    base, parent = _owner(webhook.server, None, naming)
    events = [] if webhook.all_events else sorted(EVENTS.intersection(webhook.events))
    unknown = [] if webhook.all_events else sorted(set(webhook.events) - EVENTS)
    notes = [f"there is no event {', '.join(unknown)}"] if unknown else []
    enabled = webhook.enabled
    if not webhook.all_events and not events:
        # Without events it would hear of all; in Postal it heard of nothing.
        enabled = False
        notes.append("it has no events and is switched off")
    return Wish(
        kind="webhooks",
        external_id=naming.id("webhooks", webhook.number),
        label=webhook.name,
        collection=f"{base}/webhooks",
        item=f"{base}/webhooks/{{id}}",
        parent=parent,
        fields={"name": webhook.name, "url": webhook.url, "events": events, "enabled": enabled},
        notes=notes,
    )


def _rule(rule: PoolRule, naming: Naming) -> Wish:
    base, parent = _owner(rule.server, rule.organisation, naming)
    return Wish(
        kind="pool rules",
        external_id=naming.id("ip_pool_rules", rule.number),
        label=", ".join([*rule.senders, *rule.recipients])[:60],
        collection=f"{base}/pool-rules",
        item=f"{base}/pool-rules/{{id}}",
        parent=parent,
        fields={"from": list(rule.senders), "to": list(rule.recipients)},
        links={"pool": naming.id("ip_pools", rule.pool)},
    )
