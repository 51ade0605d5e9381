"""Composition of the management API: made at its first request."""

import os
from functools import cache
from typing import TYPE_CHECKING

from mail_api.v2.desk import Desk
from mail_api.wiring import Api, webhook_calls
from mailroom.settings import load_settings
from mailroom.usecases.registrar import Registrar

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailroom.adapters.dynamo_search import DynamoSearch
    from mailroom.usecases.jobs import JobPorts


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
        tracking_url=settings.tracking_url,
        large_url=settings.large_api_url,
        areas={"webhook_calls": webhook_calls, "search": search, "jobs": jobs},
    )


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
