"""The submission server's composition root: environment in, running process out."""

import asyncio
import json
import os
import secrets
import signal
import ssl
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from egress.core.smtp_limits import Limits
from egress.core.smtp_trace import MAX_OCTETS as TRACE_OCTETS
from egress.log import log_as_json
from egress.submission.acceptance import Acceptance
from egress.submission.auth import Accounts
from egress.submission.limits import Admission, HeldOctets
from egress.submission.office import Office
from egress.submission.server import SubmissionServer
from mailroom.adapters.clients import client
from mailroom.adapters.dynamo_directory import DynamoDirectory
from mailroom.adapters.dynamo_ledger import DynamoLedger
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.names import body_key
from mailroom.adapters.s3_bodies import S3Bodies
from mailroom.adapters.sqs_lane import SqsLane
from mailroom.adapters.system import SystemChance, SystemClock
from mailroom.adapters.tables import DirectoryRow, WatchRow, bound, mail_tables
from mailroom.domain.message import Server
from mailroom.ports import Directory
from mailroom.settings import Settings, SettingsError, load_settings
from mailroom.usecases.accept import Accepted, AcceptPorts, Parcel, accept

_RETENTION_DAYS = 30
_LOOKUP_THREADS = 4


@dataclass(frozen=True, slots=True)
class Host:
    """What only a submission host is told. `threads` bounds acceptances, `grace` is seconds."""

    addresses: tuple[str, ...]
    ports: tuple[int, ...]
    name: str
    certificate: Path
    key: Path
    ready_file: Path | None
    grace: float
    threads: int


def read_host(environment: Mapping[str, str]) -> Host:
    """Read a host's settings (docs/settings.md). Raises SettingsError naming the one at fault."""
    ready = environment.get("MAILROOM_READY_FILE")
    ports = _list(environment.get("MAILROOM_SUBMISSION_PORTS") or "587,2525")
    return Host(
        addresses=_list(environment.get("MAILROOM_LISTEN_HOST") or "127.0.0.1"),
        ports=tuple(_number("MAILROOM_SUBMISSION_PORTS", port, 65_535) for port in ports),
        name=_needed(environment, "MAILROOM_SMTP_HOSTNAME"),
        certificate=Path(_needed(environment, "MAILROOM_TLS_CERT")),
        key=Path(_needed(environment, "MAILROOM_TLS_KEY")),
        ready_file=Path(ready) if ready else None,
        grace=_from(environment, "MAILROOM_GRACE_SECONDS", default=30, ceiling=3600),
        threads=max(1, _from(environment, "MAILROOM_SUBMISSION_THREADS", default=16, ceiling=256)),
    )


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the server's TLS settings. Raises SettingsError if the files cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"MAILROOM_TLS_CERT and MAILROOM_TLS_KEY cannot be used: {error} (docs/smtp.md)"
        ) from error
    return context


def office(
    host: Host, limits: Limits, directory: Directory, accepting: Callable[[Parcel], Accepted]
) -> Office:
    """Plug together what the sessions share."""
    held = HeldOctets(limits.held_octets)
    new_id = partial(secrets.token_hex, 4)
    return Office(
        name=host.name,
        limits=limits,
        tls=tls_context(host.certificate, host.key),
        accounts=Accounts(directory, ThreadPoolExecutor(_LOOKUP_THREADS, "look-up")),
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
    )


def accept_ports(settings: Settings) -> AcceptPorts:
    """Return the world on AWS. Raises SettingsError for a resource this process was not given."""
    directory = DynamoDirectory(
        bound(DirectoryRow, settings.resource("table", "directory")),
        SystemClock(),
        KmsKeyring(client("kms")),
    )
    return AcceptPorts(
        directory=directory,
        ledger=DynamoLedger(
            mail_tables(settings), bound(WatchRow, settings.resource("table", "due"))
        ),
        bodies=S3Bodies(client("s3"), settings.resource("bucket", "bodies")),
        lane=SqsLane(client("sqs"), settings.resource("queue", "lane")),
        clock=SystemClock(),
        chance=SystemChance(),
        # Our Received field must not push a message over the limit that EHLO announced.
        max_message_size=settings.max_message_size + TRACE_OCTETS,
        body_key=_body_key,
        delay_divisor=settings.delay_divisor,
    )


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    log_as_json()
    try:
        settings, host = load_settings(os.environ), read_host(os.environ)
        ports = accept_ports(settings)
        limits = Limits(message_size=settings.max_message_size)
        shared = office(host, limits, ports.directory, partial(accept, ports=ports))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(serve(SubmissionServer(shared), host))


async def serve(server: SubmissionServer, host: Host) -> int:
    """Listen, say so, and stop gracefully when asked to; return the exit code."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    try:
        await server.start(host.addresses, host.ports)
    except OSError as error:
        sys.stderr.write(f"cannot listen: {error.strerror or error}\n")
        return 1
    if host.ready_file:
        _write_ready(host.ready_file, server.ports)
    await stop.wait()
    await server.stop(host.grace)
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _write_ready(path: Path, ports: list[int]) -> None:
    """Write the file whole or not at all: whoever waits for it may read it at first sight."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({"pid": os.getpid(), "ports": ports}))
    draft.replace(path)


def _body_key(server: Server, number: int, chance: int) -> str:
    return body_key(server.id, number, chance, server.organisation, _RETENTION_DAYS)


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set (docs/smtp.md)")
    return value


def _from(environment: Mapping[str, str], name: str, *, default: int, ceiling: int) -> int:
    return _number(name, environment.get(name) or str(default), ceiling)


def _number(name: str, text: str, ceiling: int) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= ceiling):
        raise SettingsError(f"{name}: {text!r} is no number up to {ceiling} (docs/smtp.md)")
    return int(text)


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
