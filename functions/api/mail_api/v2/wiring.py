"""Composition of the management API: made at its first request."""

import os
from functools import cache, partial
from typing import TYPE_CHECKING

from mail_api.v2.desk import Desk, Rates
from mail_api.wiring import Api, last_use, webhook_calls
from mailroom.settings import load_settings
from mailroom.usecases.registrar import Registrar

if TYPE_CHECKING:
    from collections.abc import Callable

    from mail_api.v2.resources.egress_calls import EgressArea
    from mail_api.v2.resources.statistics import StatisticsArea
    from mailroom.adapters.dynamo_directory import DynamoDirectory
    from mailroom.adapters.dynamo_search import DynamoSearch
    from mailroom.adapters.dynamo_suppressions import DynamoSuppressions
    from mailroom.adapters.s3_files import S3Files
    from mailroom.ports.app_mail import AppMail
    from mailroom.usecases.domain_checks import DomainPorts
    from mailroom.usecases.jobs import JobPorts
    from mailroom.usecases.recipients import RecipientPorts


def desk_of(api: "Callable[[], Api]") -> Desk:
    """Build the desk from environment variables. Raises SettingsError if one is missing."""
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_registry import DynamoRegistry
    from mailroom.adapters.dynamo_requests import DynamoAnswers, DynamoRequestLimits, RequestRow
    from mailroom.adapters.kms_keyring import KmsKeyring
    from mailroom.adapters.system import SystemChance, SystemClock
    from mailroom.adapters.tables import DirectoryRow, bound

    settings = load_settings(os.environ)
    registry = DynamoRegistry(bound(DirectoryRow, settings.resource("table", "directory")))
    requests = bound(RequestRow, settings.resource("table", "requests"))
    return Desk(
        registrar=Registrar(registry, SystemClock(), SystemChance(), settings.environment),
        registry=registry,
        keyring=KmsKeyring(client("kms"), settings.resource("key", "secrets")),
        answers=DynamoAnswers(requests),
        limits=DynamoRequestLimits(requests),
        api=api,
        rates=Rates(limit=settings.api_rate),
        last_use=last_use(),
        tracking_url=settings.tracking_url,
        large_url=settings.large_api_url,
        areas={
            "webhook_calls": webhook_calls,
            "search": search,
            "jobs": jobs,
            "suppressions": suppressions,
            "files": files,
            "recipients": recipients,
            "domains": domain_ports,
            "invitations": invitations,
            "statistics": partial(statistics, api),
            "egress": egress,
        },
    )


@cache
def statistics(api: "Callable[[], Api]") -> "StatisticsArea":
    """Return the counters, limits and brakes of servers. Raises SettingsError."""
    from mail_api.v2.resources.statistics import StatisticsArea
    from mailroom.adapters.dynamo_brakes import DirectoryBrakeFlags, DynamoBrakes
    from mailroom.adapters.dynamo_limits import DynamoLimits, bound_limits
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

    settings = load_settings(os.environ)
    counters = settings.resource("table", "counters")
    brakes = BrakePorts(
        statistics=DynamoStatistics(bound(CounterRow, counters), bound(CounterNamesRow, counters)),
        watchlist=DynamoWatchlist(bound(WatchedServerRow, counters)),
        brakes=DynamoBrakes(bound(BrakeRow, counters)),
        flags=DirectoryBrakeFlags(bound(DirectoryRow, settings.resource("table", "directory"))),
        facts=DynamoServerFacts(bound(ServerFactRow, settings.resource("table", "mail"))),
        directory=api().ports.directory,
        policy=BrakePolicy(settings.brake_complaint_rate, settings.brake_bounce_rate),
    )
    return StatisticsArea(brakes, DynamoLimits(bound_limits(counters)))


@cache
def egress() -> "EgressArea":
    """Return what hosts, the API and the scheduler share. Raises SettingsError."""
    from mail_api.v2.resources.egress_calls import EgressArea
    from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
    from mailroom.adapters.tables import bound

    rows = bound(ControlRow, load_settings(os.environ).resource("table", "control"))
    return EgressArea(DynamoControl(rows))


@cache
def invitations() -> "tuple[AppMail, str]":
    """Return the platform's own mail, and where its console answers."""
    from mailroom.adapters.smtp_app_mail import NoAppMail, SmtpAppMail

    settings = load_settings(os.environ)
    server = settings.app_mail
    return SmtpAppMail(server) if server else NoAppMail(), settings.console_url


@cache
def suppressions() -> "DynamoSuppressions":
    """Return who gets no mail any more. Raises SettingsError."""
    from mailroom.adapters.dynamo_suppressions import DynamoSuppressions
    from mailroom.adapters.system import SystemClock

    return DynamoSuppressions(load_settings(os.environ), SystemClock(), _recipients_secret)


@cache
def files() -> "S3Files":
    """Return the files of jobs. Raises SettingsError."""
    from mailroom.adapters.clients import file_client
    from mailroom.adapters.s3_files import S3Files

    return S3Files(file_client(), load_settings(os.environ).resource("bucket", "bodies"))


@cache
def recipients() -> "RecipientPorts":
    """Return where people's data lies. Raises SettingsError."""
    from mailroom.adapters.dynamo_erasure import DynamoErasure
    from mailroom.adapters.dynamo_ledger import DynamoLedger
    from mailroom.adapters.dynamo_registry import DynamoRegistry
    from mailroom.adapters.tables import DirectoryRow, WatchRow, bound, mail_tables
    from mailroom.domain.suppression import recipient_hmac
    from mailroom.usecases.recipients import RecipientPorts

    settings = load_settings(os.environ)
    tables = mail_tables(settings)
    return RecipientPorts(
        registry=DynamoRegistry(bound(DirectoryRow, settings.resource("table", "directory"))),
        search=search(),
        ledger=DynamoLedger(tables, bound(WatchRow, "unused")),
        suppressions=suppressions(),
        erasure=DynamoErasure(tables),
        files=files(),
        hashed=lambda address: recipient_hmac(_recipients_secret(), address),
    )


@cache
def _directory() -> "DynamoDirectory":
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_directory import DynamoDirectory
    from mailroom.adapters.kms_keyring import KmsKeyring
    from mailroom.adapters.system import SystemClock
    from mailroom.adapters.tables import DirectoryRow, bound

    rows = bound(DirectoryRow, load_settings(os.environ).resource("table", "directory"))
    return DynamoDirectory(rows, SystemClock(), KmsKeyring(client("kms")))


def _recipients_secret() -> bytes:
    return _directory().current_key("recipients").secret


@cache
def search() -> "DynamoSearch":
    """Return what finds messages. Raises SettingsError."""
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_search import DynamoSearch
    from mailroom.adapters.tables import mail_tables

    return DynamoSearch(mail_tables(load_settings(os.environ)), client("dynamodb"))


@cache
def jobs() -> "JobPorts":
    """Return where jobs are kept and how they are woken. Raises SettingsError."""
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_jobs import DynamoJobs
    from mailroom.adapters.sqs_jobs import SqsJobs
    from mailroom.adapters.system import SystemClock
    from mailroom.usecases.jobs import JobPorts

    settings = load_settings(os.environ)
    queue = SqsJobs(client("sqs"), settings.resource("queue", "jobs"))
    return JobPorts(DynamoJobs(settings), queue, SystemClock())


@cache
def domain_ports() -> "DomainPorts":
    """Return what domains need of the world. Raises SettingsError."""
    from mailroom.adapters.clients import client
    from mailroom.adapters.dkim_keys import CryptographyDkimKeys
    from mailroom.adapters.dns_records import DnsRecords, DnsSettings, system_resolvers
    from mailroom.adapters.dynamo_registry import DynamoRegistry
    from mailroom.adapters.dynamo_server_facts import DynamoServerFacts
    from mailroom.adapters.kms_keyring import KmsKeyring
    from mailroom.adapters.spf_check import PyspfChecker
    from mailroom.adapters.system import SystemChance, SystemClock
    from mailroom.adapters.tables import DirectoryRow, ServerFactRow, bound
    from mailroom.usecases.domain_checks import DomainPorts
    from mailroom.usecases.registrar import Registrar

    settings = load_settings(os.environ)
    dns = DnsRecords(
        DnsSettings(
            settings.name_servers or system_resolvers(),
            port=settings.name_server_port,
            networks=settings.endpoint_networks,
            direct=settings.dns_direct,
        )
    )
    registry = DynamoRegistry(bound(DirectoryRow, settings.resource("table", "directory")))
    return DomainPorts(
        registrar=Registrar(registry, SystemClock(), SystemChance(), settings.environment),
        keyring=KmsKeyring(client("kms"), settings.resource("key", "secrets")),
        dns=dns,
        spf=PyspfChecker(dns),
        keys=CryptographyDkimKeys(),
        facts=DynamoServerFacts(bound(ServerFactRow, settings.resource("table", "mail"))),
        platform=settings.names,
        delay_divisor=settings.delay_divisor,
    )
