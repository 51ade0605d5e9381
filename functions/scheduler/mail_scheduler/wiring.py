"""Composition: made at the first tick, so that importing needs no environment."""

import os
from functools import cache
from typing import TYPE_CHECKING

from mailroom.settings import load_settings

if TYPE_CHECKING:
    from mailroom.adapters.xray import Tracing
    from mailroom.usecases.reconcile import ReconcilePorts


@cache
def tracing() -> "Tracing":
    """Return what follows invocations."""
    from mailroom.adapters.xray import tracing_of

    return tracing_of(load_settings(os.environ), lambda: os.environ.get("_X_AMZN_TRACE_ID", ""))


@cache
def ports() -> "ReconcilePorts":
    """Return what the scheduler needs."""
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_ledger import DynamoDueWork, DynamoLedger
    from mailroom.adapters.names import SHARDS
    from mailroom.adapters.sqs_lane import SqsLane
    from mailroom.adapters.tables import WatchRow, bound, mail_tables
    from mailroom.usecases.reconcile import ReconcilePorts

    settings = load_settings(os.environ)
    tables = mail_tables(settings)
    watches = bound(WatchRow, settings.resource("table", "due"))
    return ReconcilePorts(
        work=DynamoDueWork(tables, watches, SHARDS),
        ledger=DynamoLedger(tables, watches),
        lane=SqsLane(client("sqs"), settings.resource("queue", "lane")),
        retry=settings.retry,
    )
