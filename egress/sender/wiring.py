"""The sender's composition root: environment in, running process out."""

import asyncio
import contextlib
import json
import logging
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from egress.aws.bodies import HostBodies
from egress.aws.deliveries import Deliveries
from egress.aws.lane import SenderLane
from egress.aws.suppressions import HostSuppressions
from egress.connecting import TlsPolicy, tls_context
from egress.connections import ConnectionPool, PoolSettings, Source
from egress.core.mx import AddressGuard
from egress.core.routes import Routes
from egress.faults import faults_of
from egress.journal import Journal, JournalError
from egress.limits import check_descriptors
from egress.log import log_as_json
from egress.relays import KeptRoutes, Router
from egress.resolver import MxResolver, ResolverSettings
from egress.sender.attempt import Desk
from egress.sender.copies import Copier
from egress.sender.exchange import Exchange
from egress.sender.following import follow, followed_desk
from egress.sender.limits import SharedLimits
from egress.sender.recorder import Recorder
from egress.sender.recovery import recover
from egress.sender.tenants import Tenants
from egress.sender.worker import Worker
from egress.signer import Signer
from mailroom.adapters.clients import client
from mailroom.adapters.dynamo_directory import DynamoDirectory
from mailroom.adapters.dynamo_limits import DynamoLimits, bound_limits
from mailroom.adapters.dynamo_relays import RelayRows
from mailroom.adapters.dynamo_server_facts import DynamoServerFacts
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.system import SystemClock
from mailroom.adapters.tables import DirectoryRow, ServerFactRow, bound
from mailroom.adapters.xray import tracing_of
from mailroom.domain.limit_fact import limit_fact
from mailroom.settings import Settings, load_settings

_AWS = AioConfig(
    connect_timeout=3,
    read_timeout=30,
    retries={"mode": "standard", "max_attempts": 4},
    max_pool_connections=64,
)
JOURNAL_EXIT = 74  # EX_IOERR of sysexits.h


@dataclass(frozen=True, slots=True)
class Host:
    """What only a host is told. `slots` bounds the attempts under way."""

    name_servers: tuple[str, ...]
    ehlo_name: str
    source_address: str | None
    source_address6: str | None
    mx_port: int
    networks: tuple[str, ...]
    routes: Routes
    authorities: Path | None
    journal: Path
    ready_file: Path | None
    fault_file: Path | None
    slots: int
    grace: float


def read_host(environment: Mapping[str, str]) -> Host:
    """Read a host's settings (docs/settings.md). Raises ValueError or KeyError naming one."""
    authorities = environment.get("MAILROOM_TLS_AUTHORITIES")
    ready, fault = environment.get("MAILROOM_READY_FILE"), environment.get("MAILROOM_FAULT_FILE")
    return Host(
        name_servers=_list(environment["MAILROOM_NAMESERVERS"]),
        ehlo_name=environment["MAILROOM_EHLO_NAME"],
        source_address=environment.get("MAILROOM_SOURCE_ADDRESS") or None,
        source_address6=environment.get("MAILROOM_SOURCE_ADDRESS6") or None,
        mx_port=int(environment.get("MAILROOM_MX_PORT", "25")),
        networks=_list(environment.get("MAILROOM_MX_NETWORKS", "")),
        routes=_routes(environment),
        authorities=Path(authorities) if authorities else None,
        journal=Path(environment["MAILROOM_JOURNAL_DIR"]) / "sender.journal",
        ready_file=Path(ready) if ready else None,
        fault_file=Path(fault) if fault else None,
        slots=int(environment.get("MAILROOM_SENDER_SLOTS", "200")),
        grace=float(environment.get("MAILROOM_GRACE_SECONDS", "600")),
    )


def _routes(environment: Mapping[str, str]) -> Routes:
    try:
        return Routes.parse(_list(environment.get("MAILROOM_STATIC_ROUTES", "")))
    except ValueError as problem:
        raise ValueError(f"MAILROOM_STATIC_ROUTES: {problem} (docs/settings.md)") from None


def main() -> None:
    """Run the sender until SIGTERM or SIGINT."""
    log_as_json()
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        settings, host = load_settings(os.environ), read_host(os.environ)
        check_descriptors(host.slots, "MAILROOM_SENDER_SLOTS")
        asyncio.run(run(settings, host))
    except JournalError:
        logging.getLogger(__name__).exception("the journal cannot be used: the sender ends")
        sys.exit(JOURNAL_EXIT)


async def run(settings: Settings, host: Host) -> None:
    """Recover, then work until a signal asks to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        desk, lane, deliveries, pool = await _desk(settings, host, stack)
        await recover(desk.journal.replay, desk, deliveries)
        if host.ready_file:
            host.ready_file.write_text(json.dumps({"pid": os.getpid()}))
        try:
            spans = tracing_of(settings)
            worker = Worker(
                lane, followed_desk(desk, spans), slots=host.slots, follow=follow(spans)
            )
            await worker.run(stop, grace=host.grace)
        finally:
            await asyncio.gather(lane.drain(), deliveries.drain())
            await pool.close()
            await desk.journal.close()


async def _desk(
    settings: Settings, host: Host, stack: AsyncExitStack
) -> tuple[Desk, SenderLane, Deliveries, ConnectionPool]:
    async def aws(service: str) -> Any:
        return await stack.enter_async_context(get_session().create_client(service, config=_AWS))

    dynamodb = await aws("dynamodb")
    deliveries = Deliveries(dynamodb, settings.resource("table", "mail"))
    lane = SenderLane(await aws("sqs"), settings.resource("queue", "lane"))
    bodies = HostBodies(await aws("s3"), settings.resource("bucket", "bodies"))
    journal = Journal(host.journal)
    pool = ConnectionPool(PoolSettings(authorities=host.authorities), clock=time.monotonic)
    source = Source(host.ehlo_name, host.source_address, host.source_address6)
    desk = Desk(
        book=deliveries,
        journal=journal,
        copier=Copier(
            submissions=deliveries,
            bodies=bodies,
            tenants=_tenants(settings),
            signer=Signer(clock=time.time),
            limits=_limits(settings),
            blocked=HostSuppressions(
                dynamodb, settings.resource("table", "suppressions"), time.time
            ),
        ),
        resolve=_router(settings, host).hosts,
        exchange=Exchange(pool, source),
        wake=lane.wake,
        settled=Recorder(deliveries, journal, lane.wake, time.time),
        policy=settings.retry,
        faults=faults_of(host.fault_file),
        now=time.time,
        monotonic=time.monotonic,
        jitter=lambda: random.uniform(-1, 1),  # noqa: S311 - spreads retries, guards nothing
        new_id=lambda: secrets.token_hex(16),
        hold_seconds=settings.hold_seconds,
    )
    return desk, lane, deliveries, pool


def _router(settings: Settings, host: Host) -> Router:
    tls_context(TlsPolicy.VERIFIED, host.authorities)  # a file that cannot be read stops us now
    rows = bound(DirectoryRow, settings.resource("table", "directory"))
    read = RelayRows(rows, KmsKeyring(client("kms"))).relays
    resolver = MxResolver(
        ResolverSettings(
            name_servers=host.name_servers,
            guard=AddressGuard(allowed=tuple(map(ip_network, host.networks))),
            port=host.mx_port,
            ipv6=host.source_address6 is not None,
        ),
        clock=time.monotonic,
    )
    return Router(resolver, KeptRoutes(read, clock=time.monotonic, host=host.routes))


def _tenants(settings: Settings) -> Tenants:
    keyring = KmsKeyring(client("kms"))
    rows = bound(DirectoryRow, settings.resource("table", "directory"))
    return Tenants(
        DynamoDirectory(rows, SystemClock(), keyring),
        keyring,
        platform_return_path=settings.return_path_domain,
        clock=time.monotonic,
    )


def _limits(settings: Settings) -> SharedLimits:
    facts = DynamoServerFacts(bound(ServerFactRow, settings.resource("table", "mail")))
    return SharedLimits(
        DynamoLimits(bound_limits(settings.resource("table", "counters"))),
        now=time.time,
        notify=lambda server, told: facts.tell(limit_fact(server, told, time.time())),
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
