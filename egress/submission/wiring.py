"""The submission server's composition root: environment in, running process out."""

import asyncio
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from egress.core.smtp_limits import Limits
from egress.core.smtp_trace import MAX_OCTETS as TRACE_OCTETS
from egress.faults import faults_of
from egress.limits import check_descriptors
from egress.listening import load_certificate_again, loop_factory, write_ready
from egress.log import log_as_json
from egress.submission.acceptance import Acceptance
from egress.submission.auth import Accounts
from egress.submission.brakes import LoginBrakes
from egress.submission.faults import FaultyLane, faulty
from egress.submission.host import Host, tls_context
from egress.submission.host import read_host as read_host
from egress.submission.limits import Admission, HeldOctets
from egress.submission.office import Office
from egress.submission.server import SubmissionServer
from mailroom.adapters.clients import client
from mailroom.adapters.dynamo_directory import DynamoDirectory
from mailroom.adapters.dynamo_last_use import DynamoLastUse
from mailroom.adapters.dynamo_ledger import DynamoDueWork
from mailroom.adapters.dynamo_requests import RequestRow
from mailroom.adapters.gathered_ledger import GatheredLane, GatheredLedger
from mailroom.adapters.gathered_suppressions import GatheredSuppressions
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.names import SHARDS, body_key
from mailroom.adapters.s3_bodies import S3Bodies
from mailroom.adapters.sqs_lane import both_lanes
from mailroom.adapters.system import SystemChance, SystemClock
from mailroom.adapters.tables import DirectoryRow, WatchRow, bound, mail_tables
from mailroom.adapters.telling_limits import telling_limits
from mailroom.adapters.xray import Tracing, traced, tracing_of
from mailroom.domain.message import Server
from mailroom.ports import Directory
from mailroom.ports.last_use import LastUse
from mailroom.settings import Settings, SettingsError, load_settings
from mailroom.usecases.accept import Accepted, AcceptPorts, Parcel, accept

log = logging.getLogger(__name__)

_LOOKUP_THREADS = 4


def office(
    host: Host,
    limits: Limits,
    directory: Directory,
    accepting: Callable[[Parcel], Accepted],
    last_use: LastUse | None = None,
) -> Office:
    """Plug together what the sessions share."""
    held = HeldOctets(limits.held_octets)
    new_id = partial(secrets.token_hex, 4)
    return Office(
        name=host.name,
        limits=limits,
        tls=tls_context(host.certificate, host.key),
        accounts=Accounts(
            directory,
            ThreadPoolExecutor(_LOOKUP_THREADS, "look-up"),
            now=SystemClock().now,
            last_use=last_use,
        ),
        acceptance=Acceptance(
            accepting,
            ThreadPoolExecutor(host.threads, "accept"),
            host=host.name,
            held=held,
            now=SystemClock().now,
            new_id=partial(secrets.token_hex, 8),
        ),
        admission=Admission(limits),
        held=held,
        new_id=new_id,
        brakes=LoginBrakes(limits, time.monotonic),
        new_nonce=partial(secrets.token_hex, 16) if host.cram else None,
        proxies=host.proxies,
    )


def traced_accept(ports: AcceptPorts, spans: Tracing) -> Callable[[Parcel], Accepted]:
    """Return the use case, each call of it a segment."""

    def accepting(parcel: Parcel) -> Accepted:
        with spans.segment("mailroom-submission", server=parcel.server.id) as span:
            accepted = accept(parcel, ports=ports)
            span.annotate(message=str(accepted.deliveries[0].key))
            return accepted

    return accepting


def accept_ports(settings: Settings, spans: Tracing) -> AcceptPorts:
    """Return the world on AWS. Raises SettingsError for a resource this process was not given."""
    directory = DynamoDirectory(
        bound(DirectoryRow, settings.resource("table", "directory")),
        SystemClock(),
        KmsKeyring(client("kms")),
    )
    watches = bound(WatchRow, settings.resource("table", "due"))
    tables = mail_tables(settings)
    dynamodb = client("dynamodb")
    ledger = GatheredLedger(tables, watches, dynamodb)
    suppressions = GatheredSuppressions(
        settings, SystemClock(), lambda: directory.current_key("recipients").secret, dynamodb
    )
    bodies = S3Bodies(client("s3"), settings.resource("bucket", "bodies"))
    lane = both_lanes(settings, client("sqs"), kind=GatheredLane, trace=spans.header)
    return AcceptPorts(
        directory=directory,
        ledger=traced(ledger, "ledger", spans),
        bodies=traced(bodies, "bodies", spans),
        lane=traced(lane, "lane", spans),
        clock=SystemClock(),
        chance=SystemChance(),
        # Our Received field must not push a message over the limit that EHLO announced.
        max_message_size=settings.max_message_size + TRACE_OCTETS,
        body_key=_body_key,
        delay_divisor=settings.delay_divisor,
        host_name=settings.smtp_hostname,
        work=traced(DynamoDueWork(tables, watches, SHARDS), "work", spans),
        suppressions=traced(suppressions, "suppressions", spans),
        limits=traced(telling_limits(settings, SystemClock()), "limits", spans),
    )


def limits_of(settings: Settings, host: Host) -> Limits:
    """Return what clients may do here. Raises SettingsError if this process cannot hold it."""
    check_descriptors(host.connections, "MAILROOM_SUBMISSION_CONNECTIONS")
    limits = Limits(message_size=settings.max_message_size, connections=host.connections)
    if not host.memory:
        return limits
    # A message stands in memory up to four times while it is accepted; the process needs some.
    held = host.memory // 6
    if held < limits.message_size * 2:
        raise SettingsError(
            f"MAILROOM_MAX_MEMORY_MB: {host.memory >> 20} is too little for messages of "
            f"{limits.message_size >> 20} MB (docs/settings.md)"
        )
    return replace(limits, held_octets=min(limits.held_octets, held))


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    log_as_json()
    try:
        settings, host = load_settings(os.environ), read_host(os.environ)
        spans = tracing_of(settings)
        ports = accept_ports(settings, spans)
        faults = faults_of(host.fault_file)
        mortal = replace(ports, lane=FaultyLane(ports.lane, faults))
        accepting = faulty(traced_accept(mortal, spans), faults)
        used = DynamoLastUse(bound(RequestRow, settings.resource("table", "requests")))
        shared = office(host, limits_of(settings, host), ports.directory, accepting, used)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(serve(SubmissionServer(shared), host))


async def serve(server: SubmissionServer, host: Host) -> int:
    """Listen, say so, and stop gracefully when asked to; return the exit code."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGHUP, load_certificate_again, server, host
    )
    try:
        await server.start(host.addresses, host.ports, host.tls_ports)
    except OSError as error:
        sys.stderr.write(f"cannot listen: {error.strerror or error}\n")
        return 1
    if host.ready_file:
        write_ready(host.ready_file, {"ports": server.ports, "tls_ports": server.tls_ports})
    await stop.wait()
    await server.stop(host.grace)
    return 0


def _body_key(server: Server, number: int, chance: int, days: int) -> str:
    return body_key(server.id, number, chance, server.organisation, days)
