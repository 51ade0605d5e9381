"""Composition: made at the first tick, so that importing needs no environment."""

import os
from collections.abc import Mapping, Sequence
from email.utils import parseaddr
from functools import cache, partial
from typing import TYPE_CHECKING

from mail_scheduler.braking import brake
from mail_scheduler.domain_watch import watch_domains
from mail_scheduler.warming import judge_warm_up
from mail_scheduler.working import revive
from mailroom.settings import Settings, load_settings
from mailroom.usecases.tls_reports import send_reports

if TYPE_CHECKING:
    from mail_scheduler.ticking import Task
    from mailroom.adapters.dynamo_control import DynamoControl
    from mailroom.adapters.dynamo_directory import DynamoDirectory
    from mailroom.adapters.dynamo_ledger import DynamoDueWork
    from mailroom.adapters.xray import Tracing
    from mailroom.ports.files import Files
    from mailroom.ports.registry import Registry
    from mailroom.ports.suppressions import Suppressions
    from mailroom.usecases.brakes import BrakePorts
    from mailroom.usecases.domain_checks import DomainPorts
    from mailroom.usecases.jobs import JobPorts, Step
    from mailroom.usecases.parked_care import ParkedPorts
    from mailroom.usecases.reconcile import ReconcilePorts
    from mailroom.usecases.tls_reports import TlsReportPorts
    from mailroom.usecases.warmup_care import WarmUpCarePorts


@cache
def tracing() -> "Tracing":
    """Return what follows invocations."""
    from mailroom.adapters.xray import tracing_of

    return tracing_of(_settings(), lambda: os.environ.get("_X_AMZN_TRACE_ID", ""))


@cache
def ports() -> "ReconcilePorts":
    """Return what the scheduler needs."""
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_ledger import DynamoLedger
    from mailroom.adapters.sqs_lane import SqsLane
    from mailroom.adapters.tables import WatchRow, bound, mail_tables
    from mailroom.usecases.leases import last_beat
    from mailroom.usecases.reconcile import ReconcilePorts

    settings = _settings()
    watches = bound(WatchRow, settings.resource("table", "due"))
    return ReconcilePorts(
        work=_due_work(),
        ledger=DynamoLedger(mail_tables(settings), watches),
        lane=SqsLane(client("sqs"), settings.resource("queue", "lane")),
        retry=settings.retry,
        beat_of=partial(last_beat, _control()),
    )


@cache
def _due_work() -> "DynamoDueWork":
    from mailroom.adapters.dynamo_ledger import DynamoDueWork
    from mailroom.adapters.names import SHARDS
    from mailroom.adapters.tables import WatchRow, bound, mail_tables

    settings = _settings()
    watches = bound(WatchRow, settings.resource("table", "due"))
    return DynamoDueWork(mail_tables(settings), watches, SHARDS)


@cache
def _control() -> "DynamoControl":
    from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
    from mailroom.adapters.tables import bound

    return DynamoControl(bound(ControlRow, _settings().resource("table", "control")))


@cache
def parked_ports() -> "ParkedPorts":
    """Return what looking after parked mail needs."""
    from mailroom.usecases.parked_care import ParkedPorts

    return ParkedPorts(ports(), _control(), _due_work().between)


@cache
def tasks() -> "Sequence[Task]":
    """Return what every tick looks after besides mail."""
    from mailroom.usecases.parked_care import look_after_parked

    reports = tls_report_ports()
    return (
        partial(look_after_parked, ports=parked_ports()),
        partial(revive, job_ports()),
        partial(brake, brake_ports()),
        partial(watch_domains, domain_ports()),
        partial(judge_warm_up, warm_up_ports()),
        *([partial(send_reports, ports=reports)] if reports else []),
    )


@cache
def domain_ports() -> "DomainPorts":
    """Return what the checks of domains need."""
    from mailroom.adapters.clients import client
    from mailroom.adapters.dkim_keys import CryptographyDkimKeys
    from mailroom.adapters.dns_records import DnsRecords, DnsSettings, system_resolvers
    from mailroom.adapters.dynamo_server_facts import DynamoServerFacts
    from mailroom.adapters.kms_keyring import KmsKeyring
    from mailroom.adapters.spf_check import PyspfChecker
    from mailroom.adapters.system import SystemChance, SystemClock
    from mailroom.adapters.tables import ServerFactRow, bound
    from mailroom.usecases.domain_checks import DomainPorts
    from mailroom.usecases.registrar import Registrar

    settings = _settings()
    dns = DnsRecords(
        DnsSettings(
            settings.name_servers or system_resolvers(),
            port=settings.name_server_port,
            networks=settings.endpoint_networks,
            direct=settings.dns_direct,
            lifetime=4.0,  # a tick has many to look at
        )
    )
    return DomainPorts(
        registrar=Registrar(_registry(), SystemClock(), SystemChance(), settings.environment),
        keyring=KmsKeyring(client("kms")),  # a check opens no key and wraps none
        dns=dns,
        spf=PyspfChecker(dns, seconds=10.0),
        keys=CryptographyDkimKeys(),
        facts=DynamoServerFacts(bound(ServerFactRow, settings.resource("table", "mail"))),
        platform=settings.names,
        delay_divisor=settings.delay_divisor,
    )


@cache
def tls_report_ports() -> "TlsReportPorts | None":
    """Return what TLS reports need; None for a platform without a name to report by."""
    from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
    from mailroom.adapters.http_endpoint import HttpEndpoint
    from mailroom.adapters.smtp_app_mail import SmtpAppMail
    from mailroom.adapters.system import SystemClock
    from mailroom.adapters.tables import bound
    from mailroom.domain.transport.tls_report import Submitter
    from mailroom.usecases.tls_reports import TlsReportPorts

    settings = _settings()
    server = settings.app_mail
    if server is None and not settings.return_path_domain:
        return None
    sender = server.sender if server else f"postmaster@{settings.return_path_domain}"
    contact = parseaddr(sender)[1]
    domain = contact.rpartition("@")[2]
    return TlsReportPorts(
        control=DynamoControl(bound(ControlRow, settings.resource("table", "control"))),
        letters=SmtpAppMail(server) if server else None,
        endpoint=HttpEndpoint(settings.endpoint_networks),
        clock=SystemClock(),
        submitter=Submitter(domain, domain, contact, sender),
    )


@cache
def warm_up_ports() -> "WarmUpCarePorts":
    """Return what looking after warm-up needs."""
    from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
    from mailroom.adapters.system import SystemChance, SystemClock
    from mailroom.adapters.tables import bound
    from mailroom.usecases.registrar import Registrar
    from mailroom.usecases.warmup_care import WarmUpCarePorts

    settings = _settings()
    return WarmUpCarePorts(
        control=DynamoControl(bound(ControlRow, settings.resource("table", "control"))),
        registrar=Registrar(_registry(), SystemClock(), SystemChance(), settings.environment),
    )


@cache
def brake_ports() -> "BrakePorts":
    """Return what brakes need."""
    from mailroom.adapters.dynamo_brakes import DirectoryBrakeFlags, DynamoBrakes
    from mailroom.adapters.dynamo_server_facts import DynamoServerFacts
    from mailroom.adapters.dynamo_statistics import DynamoStatistics, DynamoWatchlist
    from mailroom.adapters.tables import (
        BrakeRow,
        CounterNamesRow,
        CounterRow,
        DirectoryRow,
        ServerFactRow,
        WatchedServerRow,
        bound,
    )
    from mailroom.domain.brake import BrakePolicy
    from mailroom.usecases.brakes import BrakePorts

    settings = _settings()
    counters = settings.resource("table", "counters")
    return BrakePorts(
        statistics=DynamoStatistics(bound(CounterRow, counters), bound(CounterNamesRow, counters)),
        watchlist=DynamoWatchlist(bound(WatchedServerRow, counters)),
        brakes=DynamoBrakes(bound(BrakeRow, counters)),
        flags=DirectoryBrakeFlags(bound(DirectoryRow, settings.resource("table", "directory"))),
        facts=DynamoServerFacts(bound(ServerFactRow, settings.resource("table", "mail"))),
        directory=_directory(),
        policy=BrakePolicy(settings.brake_complaint_rate, settings.brake_bounce_rate),
    )


@cache
def job_ports() -> "JobPorts":
    """Return where jobs are kept and how they are woken."""
    from mailroom.adapters.clients import queue_client
    from mailroom.adapters.dynamo_jobs import DynamoJobs
    from mailroom.adapters.sqs_jobs import SqsJobs
    from mailroom.adapters.system import SystemClock
    from mailroom.usecases.jobs import JobPorts

    settings = _settings()
    queue = SqsJobs(queue_client(), settings.resource("queue", "jobs"))
    return JobPorts(DynamoJobs(settings), queue, SystemClock())


@cache
def kinds() -> "Mapping[str, Step]":
    """Return the steps of every kind of job."""
    return {
        **_suppression_kinds(),
        **_message_kinds(),
        **_recipient_kinds(),
        **_organisation_kinds(),
    }


def _recipient_kinds() -> "Mapping[str, Step]":
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_erasure import DynamoErasure
    from mailroom.adapters.dynamo_ledger import DynamoLedger
    from mailroom.adapters.dynamo_search import DynamoSearch
    from mailroom.adapters.tables import WatchRow, bound, mail_tables
    from mailroom.domain.suppression import recipient_hmac
    from mailroom.usecases.recipients import ERASE, EXPORT, RecipientPorts, erase_step, export_step

    tables, directory = mail_tables(_settings()), _directory()
    ports = RecipientPorts(
        registry=_registry(),
        search=DynamoSearch(tables, client("dynamodb")),
        ledger=DynamoLedger(tables, bound(WatchRow, "unused")),
        suppressions=suppressions(),
        erasure=DynamoErasure(tables),
        files=files(),
        hashed=lambda address: recipient_hmac(directory.current_key("recipients").secret, address),
    )
    return {EXPORT: partial(export_step, ports=ports), ERASE: partial(erase_step, ports=ports)}


def _organisation_kinds() -> "Mapping[str, Step]":
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_removal import DynamoRemoval
    from mailroom.domain.tenancy.kinds.every import KINDS
    from mailroom.usecases.organisation_removal import DELETE, RemovalPorts, delete_step

    removal = DynamoRemoval(_settings(), client("dynamodb"))
    ports = RemovalPorts(_registry(), removal, suppressions(), files(), KINDS)
    return {DELETE: partial(delete_step, ports=ports)}


@cache
def _registry() -> "Registry":
    from mailroom.adapters.dynamo_registry import DynamoRegistry
    from mailroom.adapters.tables import DirectoryRow, bound

    return DynamoRegistry(bound(DirectoryRow, _settings().resource("table", "directory")))


def _message_kinds() -> "Mapping[str, Step]":
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_ledger import DynamoDueWork, DynamoLedger
    from mailroom.adapters.dynamo_search import DynamoSearch
    from mailroom.adapters.names import SHARDS
    from mailroom.adapters.sqs_lane import both_lanes
    from mailroom.adapters.system import SystemClock
    from mailroom.adapters.tables import WatchRow, bound, mail_tables
    from mailroom.usecases.bulk import KIND, actions_of, bulk_step
    from mailroom.usecases.release import HoldPorts

    settings = _settings()
    # Nothing is watched from here; the worker is not even given the table's name.
    tables, watches = mail_tables(settings), bound(WatchRow, "unused")
    moving = HoldPorts(
        DynamoLedger(tables, watches),
        DynamoDueWork(tables, watches, SHARDS),
        both_lanes(settings, client("sqs")),
        SystemClock(),
        settings.delay_divisor,
    )
    found = DynamoSearch(tables, client("dynamodb"))
    return {KIND: bulk_step(found, actions_of(moving))}


def _suppression_kinds() -> "Mapping[str, Step]":
    from mailroom.usecases.suppression_import import (
        EXPORT,
        IMPORT,
        FilePorts,
        export_step,
        import_step,
    )

    ports = FilePorts(suppressions(), files())
    return {IMPORT: partial(import_step, ports=ports), EXPORT: partial(export_step, ports=ports)}


@cache
def suppressions() -> "Suppressions":
    """Return who gets no mail any more."""
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_suppressions import DynamoSuppressions
    from mailroom.adapters.system import SystemClock

    directory = _directory()
    return DynamoSuppressions(
        _settings(),
        SystemClock(),
        lambda: directory.current_key("recipients").secret,
        client("dynamodb"),
    )


@cache
def files() -> "Files":
    """Return the files of jobs."""
    from mailroom.adapters.clients import file_client
    from mailroom.adapters.s3_files import S3Files

    return S3Files(file_client(), _settings().resource("bucket", "bodies"))


@cache
def _directory() -> "DynamoDirectory":
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_directory import DynamoDirectory
    from mailroom.adapters.kms_keyring import KmsKeyring
    from mailroom.adapters.system import SystemClock
    from mailroom.adapters.tables import DirectoryRow, bound

    rows = bound(DirectoryRow, _settings().resource("table", "directory"))
    return DynamoDirectory(rows, SystemClock(), KmsKeyring(client("kms")))


@cache
def _settings() -> Settings:
    return load_settings(os.environ)
