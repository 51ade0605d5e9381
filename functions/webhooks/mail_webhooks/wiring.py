"""Composition: the ports of each function, made at its first invocation and kept.

Imports stand inside, so that a function loads only the libraries it uses.
"""

import os
from functools import cache
from typing import TYPE_CHECKING

from mailroom.settings import Settings, load_settings

if TYPE_CHECKING:
    from mailroom.adapters.dynamo_directory import DynamoDirectory
    from mailroom.adapters.dynamo_ledger import DynamoLedger
    from mailroom.adapters.dynamo_statistics import DynamoStatistics
    from mailroom.adapters.xray import Tracing
    from mailroom.ports import Facts, Notifications
    from mailroom.usecases.fan_out import FanOutPorts
    from mailroom.usecases.notify import NotifyPorts
    from mailroom.usecases.notify_sender import ReportPorts
    from mailroom.usecases.record import RecordPorts


@cache
def tracing() -> "Tracing":
    """Return what follows invocations."""
    from mailroom.adapters.xray import tracing_of

    return tracing_of(_settings(), lambda: os.environ.get("_X_AMZN_TRACE_ID", ""))


@cache
def facts() -> "Facts":
    """Return the topic."""
    from mailroom.adapters.clients import client
    from mailroom.adapters.sns_facts import SnsFacts

    return SnsFacts(client("sns"), _settings().resource("topic", "events"))


@cache
def ledger() -> "DynamoLedger":
    """Return the history of deliveries."""
    from mailroom.adapters.dynamo_ledger import DynamoLedger
    from mailroom.adapters.tables import WatchRow, bound, mail_tables

    settings = _settings()
    # Nothing is watched from here; the functions are not even given the table's name.
    return DynamoLedger(mail_tables(settings), bound(WatchRow, "unused"))


@cache
def statistics() -> "DynamoStatistics":
    """Return the live statistics."""
    from mailroom.adapters.dynamo_statistics import DynamoStatistics
    from mailroom.adapters.tables import CounterNamesRow, CounterRow, bound

    name = _settings().resource("table", "counters")
    return DynamoStatistics(bound(CounterRow, name), bound(CounterNamesRow, name))


@cache
def record_ports() -> "RecordPorts":
    """Return what `record` needs."""
    from mailroom.adapters.dynamo_mailings import DynamoMailings
    from mailroom.adapters.dynamo_statistics import DynamoWatchlist
    from mailroom.adapters.dynamo_views import DynamoFirstViews
    from mailroom.adapters.system import SystemClock
    from mailroom.adapters.tables import FirstViewRow, MailingRow, WatchedServerRow, bound
    from mailroom.usecases.record import RecordPorts

    settings = _settings()
    mail = settings.resource("table", "mail")
    return RecordPorts(
        ledger=ledger(),
        views=DynamoFirstViews(bound(FirstViewRow, mail)),
        mailings=DynamoMailings(bound(MailingRow, mail)),
        statistics=statistics(),
        watchlist=DynamoWatchlist(bound(WatchedServerRow, settings.resource("table", "counters"))),
        clock=SystemClock(),
    )


@cache
def fan_out_ports() -> "FanOutPorts":
    """Return what `fan_out` needs."""
    from mailroom.adapters.system import SystemClock
    from mailroom.usecases.fan_out import FanOutPorts

    directory = _directory()
    return FanOutPorts(
        directory, ledger(), SystemClock(), lambda: directory.current_key("token").secret
    )


@cache
def report_ports() -> "ReportPorts | None":
    """Return what delivery reports need; None for a platform without a mail server of its own."""
    from mailroom.adapters.system import SystemClock
    from mailroom.domain.address import MalformedAddressError, parse_mailbox
    from mailroom.domain.dsn import Reporter
    from mailroom.usecases.notify_sender import ReportPorts

    settings = _settings()
    if settings.app_mail is None:
        return None
    try:
        sender = parse_mailbox(settings.app_mail.sender)[1]
    except MalformedAddressError:  # webhooks must not wait for it to be put right
        return None
    reporter = Reporter(settings.smtp_hostname or sender.domain, sender)
    return ReportPorts(_directory(), ledger(), SystemClock(), reporter)


@cache
def notifications() -> "Notifications":
    """Return the webhook queue, to put into."""
    from mailroom.adapters.clients import queue_client
    from mailroom.adapters.queued_notifications import QueuedNotifications
    from mailroom.adapters.tables import NotificationRow, bound

    settings = _settings()
    return QueuedNotifications(
        queue_client(),
        settings.resource("queue", "webhooks"),
        bound(NotificationRow, settings.resources.get("MAILROOM_TABLE_NOTIFICATIONS", "unused")),
    )


@cache
def notify_ports() -> "NotifyPorts":
    """Return what `deliver` needs."""
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_breaker import DynamoGates
    from mailroom.adapters.http_endpoint import HttpEndpoint
    from mailroom.adapters.rsa_signer import RsaSigner
    from mailroom.adapters.smtp_app_mail import SmtpAppMail
    from mailroom.adapters.sns_topics import SnsTopic
    from mailroom.adapters.system import SystemChance, SystemClock
    from mailroom.adapters.tables import GateRow, bound
    from mailroom.domain.breaker import Policy
    from mailroom.domain.notify_retry import NotifyPolicy
    from mailroom.usecases.gatekeeper import Gatekeeper
    from mailroom.usecases.notify import NotifyPorts

    settings, directory = _settings(), _directory()
    gates = DynamoGates(bound(GateRow, settings.resource("table", "notifications")), SystemClock())
    divisor = settings.delay_divisor
    signer = cache(RsaSigner)  # reading a key costs more than signing with it
    return NotifyPorts(
        directory=directory,
        notifications=notifications(),
        endpoint=HttpEndpoint(settings.endpoint_networks, timeout=settings.webhook_timeout),
        topics=SnsTopic(client("sns")),
        gatekeeper=Gatekeeper(gates, SystemChance(), Policy(divisor=divisor)),
        clock=SystemClock(),
        chance=SystemChance(),
        signatures=lambda body: signer(directory.current_key("webhook").secret).headers(body),
        topic_family=settings.resources.get("MAILROOM_TOPIC_ORG", ""),
        policy=NotifyPolicy(hours=settings.webhook_retry_hours, divisor=divisor),
        letters=SmtpAppMail(settings.app_mail) if settings.app_mail else None,
    )


@cache
def _settings() -> Settings:
    return load_settings(os.environ)


@cache
def _directory() -> "DynamoDirectory":
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_directory import DynamoDirectory
    from mailroom.adapters.kms_keyring import KmsKeyring
    from mailroom.adapters.system import SystemClock
    from mailroom.adapters.tables import DirectoryRow, bound

    rows = bound(DirectoryRow, _settings().resource("table", "directory"))
    return DynamoDirectory(rows, SystemClock(), KmsKeyring(client("kms")))
