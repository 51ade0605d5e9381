"""Composition: made at the first request, so that importing needs no environment."""

import os
from functools import cache
from typing import TYPE_CHECKING

from mailroom.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from mailroom.adapters.dynamo_directory import DynamoDirectory
    from mailroom.adapters.xray import Tracing
    from mailroom.usecases.track import TrackPorts, Trust
    from mailroom.usecases.track_legacy import LegacyPorts


@cache
def hops() -> int:
    """Return how many proxies of ours stand before the gateway (MAILROOM_TRUSTED_HOPS).

    Raises SettingsError for what is no small number.
    """
    text = os.environ.get("MAILROOM_TRUSTED_HOPS", "") or "0"
    if not text.isdecimal() or int(text) > 10:
        raise SettingsError(f"MAILROOM_TRUSTED_HOPS is not a number from 0 to 10: {text!r}")
    return int(text)


@cache
def tracing() -> "Tracing":
    """Return what follows invocations."""
    from mailroom.adapters.xray import tracing_of

    return tracing_of(load_settings(os.environ), lambda: os.environ.get("_X_AMZN_TRACE_ID", ""))


@cache
def ports() -> "TrackPorts":
    """Return what tracking needs."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from pynamodb.exceptions import PynamoDBException

    from mail_tracking.trust import KeptTrust
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_directory import DynamoDirectory
    from mailroom.adapters.kms_keyring import KmsKeyring
    from mailroom.adapters.sns_facts import SnsFacts
    from mailroom.adapters.system import SystemChance, SystemClock
    from mailroom.adapters.tables import DirectoryRow, bound
    from mailroom.usecases.track import TrackPorts

    settings, clock = load_settings(os.environ), SystemClock()
    rows = bound(DirectoryRow, settings.resource("table", "directory"))
    directory = DynamoDirectory(rows, clock, KmsKeyring(client("kms")))
    # A reader waits for this call: rather lose the event than hold the redirect for long.
    brief = Config(
        connect_timeout=1, read_timeout=2, retries={"mode": "standard", "max_attempts": 2}
    )
    return TrackPorts(
        trust=KeptTrust(
            lambda: read_trust(directory), clock, (PynamoDBException, BotoCoreError, ClientError)
        ),
        facts=SnsFacts(boto3.client("sns", config=brief), settings.resource("topic", "events")),
        clock=clock,
        chance=SystemChance(),
    )


@cache
def legacy() -> "LegacyPorts":
    """Return what old links of Postal's need (docs/migrate.md)."""
    from mailroom.adapters.dynamo_legacy_links import DynamoLegacyLinks
    from mailroom.adapters.system import SystemClock
    from mailroom.adapters.tables import DirectoryRow, bound
    from mailroom.usecases.track_legacy import LegacyPorts

    settings, clock = load_settings(os.environ), SystemClock()
    rows = bound(DirectoryRow, settings.resource("table", "directory"))
    return LegacyPorts(
        DynamoLegacyLinks(rows, clock), ports().trust, clock, settings.legacy_tracking
    )


def read_trust(directory: "DynamoDirectory") -> "Trust":
    """Return keys, block list and private servers; the directory keeps each for 60 seconds."""
    from mailroom.domain.tracking_token import TrackingKey
    from mailroom.usecases.track import Trust

    blocked = directory.block_list()
    keys = directory.keys("tracking").values()
    return Trust(
        {key.kid: TrackingKey(key.kid, key.secret) for key in keys},
        blocked.servers,
        blocked.hosts,
        directory.private_servers(),
    )
