"""Two tenants with one of everything, for tests that go over all operations of the API."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mailroom.domain.lifecycle import State
from mailroom.domain.message import BodyRef, ServerId
from mailroom.domain.tenancy.record import Change, Place, Record
from tests.support.management import Management
from tests.support.many_messages import made_delivery, made_submission

# How one of each kind is made: path parameter, collection, body. What another area adds goes here.
MADE: list[tuple[str, str, dict[str, Any]]] = [
    ("user", "/users", {"email": "{tenant}@people.test", "name": "{tenant}"}),
    ("member", "/organisations/{organisation}/members", {"user": "{user}", "role": "owner"}),
    (
        "invitation",
        "/organisations/{organisation}/invitations",
        {"email": "new-{tenant}@people.test", "role": "developer"},
    ),
    ("key", "/organisations/{organisation}/keys", {"name": "Key", "scopes": ["servers:read"]}),
    ("credential", "/servers/{server}/credentials", {"type": "SMTP", "name": "{tenant}"}),
    ("stream", "/servers/{server}/streams", {"name": "news", "class": "broadcast"}),
    ("template", "/servers/{server}/templates", {"name": "Welcome", "alias": "welcome"}),
    (
        "endpoint",
        "/servers/{server}/endpoints",
        {"name": "In", "type": "address", "address": "in@example.org"},
    ),
    (
        "route",
        "/servers/{server}/routes",
        {"name": "help", "domain": "{tenant}.test", "mode": "accept"},
    ),
    ("domain", "/servers/{server}/domains", {"name": "news.{tenant}.test"}),
    ("tracking_domain", "/servers/{server}/tracking-domains", {"name": "click.{tenant}.test"}),
    ("webhook", "/servers/{server}/webhooks", {"name": "Main", "url": "https://example.org/hook"}),
    ("rule", "/servers/{server}/pool-rules", {"pool": "{pool}", "to": ["gmail.com"]}),
]


@dataclass
class Tenant:
    """An organisation with a server; `ids` are real values for path parameters."""

    name: str
    ids: dict[str, str]
    keys: dict[str, str] = field(default_factory=dict)


def furnish(platform: Management, name: str, pool: str) -> Tenant:
    """Make a tenant that has one of everything, and keys of each kind that may do all there."""
    organisation = platform.organisation(name)
    server = platform.server(organisation, f"{name} server")
    domain = Record(Place(f"domain#{name.lower()}.test", f"server#{server}"), {"verified": True})
    platform.registry.write([Change.put(domain)])
    tenant = Tenant(name, {"organisation": organisation, "server": server, "pool": pool})
    for parameter, path, body in MADE:
        filled = _filled(body, tenant)
        made = platform.made(path.format(**tenant.ids), filled)
        tenant.ids[parameter] = str(made["id"])
    tenant.ids["message"] = str(_message(platform, ServerId(server)))
    tenant.keys = {
        "organisation": platform.organisation_key(organisation),
        "server": platform.server_key(server),
    }
    return tenant


def _message(platform: Management, server: ServerId) -> int:
    """Store a held message with an attachment; return its id. No two tenants have the same."""
    ledger, at = platform.memory.ledger, platform.clock.at
    number = 5_000_000 + len(ledger.submissions)
    body = BodyRef(inline=zlib.compress(MESSAGE))
    made = made_submission(number, at, server=server, body=body, size=len(MESSAGE), tag="news")
    row = made_delivery(made, 0, "ann@people.test", state=State.HELD)
    ledger.reserve([row])
    ledger.commit(made)
    return row.key.postal_id


MESSAGE = (
    b'Subject: Hello\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nhello\r\n'
    b"--b\r\nContent-Disposition: attachment; filename=a.bin\r\n\r\nfile\r\n--b--\r\n"
)


def _filled(body: dict[str, Any], tenant: Tenant) -> dict[str, Any]:
    words = {**tenant.ids, "tenant": tenant.name.lower()}
    return {k: v.format(**words) if isinstance(v, str) else v for k, v in body.items()}


def furnished(platform: Management) -> tuple[Tenant, Tenant, str]:
    """Return two tenants and the pool both may use, whose address is real too."""
    pool = str(platform.made("/pools", {"name": "Shared"})["id"])
    address = {"ipv4": "192.0.2.9", "hostname": "mx.mail.test"}
    platform.made(f"/pools/{pool}/addresses", address)
    return furnish(platform, "Alpha", pool), furnish(platform, "Beta", pool), pool


Ask = Callable[..., Any]
