"""Small parts of a sender that need nothing but its settings."""

import time
from collections.abc import Callable
from ipaddress import ip_network

from egress.connecting import TlsPolicy, tls_context
from egress.core.mx import AddressGuard
from egress.relays import KeptRoutes, Router
from egress.resolver import MxResolver, ResolverSettings
from egress.sender.host import Host
from egress.sender.limits import ServerLimits
from egress.sender.tenants import Tenants
from mailroom.adapters.clients import client
from mailroom.adapters.dynamo_directory import DynamoDirectory
from mailroom.adapters.dynamo_limits import DynamoLimits, bound_limits
from mailroom.adapters.dynamo_relays import RelayRows
from mailroom.adapters.dynamo_server_facts import DynamoServerFacts
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.system import SystemClock
from mailroom.adapters.tables import DirectoryRow, ServerFactRow, bound
from mailroom.domain.limit_fact import limit_fact
from mailroom.domain.sending.source import HOST_POOL, SourceAddress
from mailroom.settings import Settings


def steady_clock() -> Callable[[], float]:
    """Return a clock of Unix seconds that never jumps: the time of day of now, then monotonic."""
    offset = time.time() - time.monotonic()
    return lambda: time.monotonic() + offset


def own_source(host: Host) -> SourceAddress | None:
    """Return the address in a host's own settings, None if it sends from leased ones only."""
    if not host.own_address:
        return None
    return SourceAddress(
        f"host-{host.name}",
        HOST_POOL,
        host.ehlo_name,
        private=host.source_address or "",
        ipv6=host.source_address6 or "",
    )


def resolver_of(host: Host) -> MxResolver:
    """Return what looks up where mail goes."""
    return MxResolver(
        ResolverSettings(
            name_servers=host.name_servers,
            guard=AddressGuard(allowed=tuple(map(ip_network, host.networks))),
            port=host.mx_port,
            ipv6=host.source_address6 is not None,
        ),
        clock=time.monotonic,
    )


def tenants_of(settings: Settings, rows: type[DirectoryRow]) -> Tenants:
    """Return who knows the tenants and their keys."""
    keyring = KmsKeyring(client("kms"))
    return Tenants(
        DynamoDirectory(rows, SystemClock(), keyring),
        keyring,
        platform_return_path=settings.return_path_domain,
        clock=time.monotonic,
    )


def limits_of(settings: Settings) -> ServerLimits:
    """Return the send limits of servers."""
    facts = DynamoServerFacts(bound(ServerFactRow, settings.resource("table", "mail")))
    return ServerLimits(
        DynamoLimits(bound_limits(settings.resource("table", "counters"))),
        now=time.time,
        notify=lambda server, told: facts.tell(limit_fact(server, told, time.time())),
    )


def router_of(host: Host, resolver: MxResolver, rows: type[DirectoryRow]) -> Router:
    """Return who says which way mail goes. Raises OSError if the authorities cannot be read."""
    tls_context(TlsPolicy.VERIFIED, host.authorities)
    read = RelayRows(rows, KmsKeyring(client("kms"))).relays
    return Router(resolver, KeptRoutes(read, clock=time.monotonic, host=host.routes))
