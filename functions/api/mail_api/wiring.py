"""Composition root of the API function: built at the first request, kept for the process's life.

Importing this module needs no environment and loads no AWS library; `from_environment` does.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from mailroom.adapters.lambda_limits import ENVELOPE, MAX_EVENT, Passage
from mailroom.adapters.xray import Tracing, traced, tracing_of
from mailroom.domain.message import Server
from mailroom.ports import DueWork
from mailroom.ports.last_use import LastUse
from mailroom.settings import SettingsError, load_settings
from mailroom.usecases.accept import AcceptPorts

if TYPE_CHECKING:
    from mailroom.adapters.queued_notifications import QueuedNotifications

_SLACK = 1024 * 1024  # octets of a request body that are not the message in base64


@dataclass(frozen=True, slots=True)
class Api:
    """The use cases' ports, plugged in, and what the door itself must know.

    `token_secret` and `signing_keys` (PEM, those that sign webhooks) are asked per call, since
    keys rotate; they are cached below. `gateway_limit` is how many octets of a request or an
    answer pass whatever stands before this app; `large_url` is the base URL of a place where more
    do, "" if there is none.
    """

    ports: AcceptPorts
    token_secret: Callable[[], bytes]
    return_path_domain: str
    web_hostname: str
    signing_keys: Callable[[], Sequence[str]] = tuple
    gateway_limit: int = MAX_EVENT
    large_url: str = ""
    work: DueWork | None = None  # what ends holds; only the native API needs it
    last_use: LastUse | None = None  # of keys; None where nobody asks for it

    @property
    def max_body(self) -> int:
        """The longest request body in octets: the largest message in base64, and its JSON."""
        return min(self.gateway_limit, self.ports.max_message_size * 3 // 2 + _SLACK)

    @property
    def max_answer(self) -> int:
        """The longest answer in octets, as the JSON string that the function hands back."""
        return self.gateway_limit - ENVELOPE

    @property
    def elsewhere(self) -> str:
        """Where the API takes and gives more, as the end of a sentence; "" if nowhere."""
        return f"; {self.large_url} takes and gives more, same path and key" * bool(self.large_url)


@cache
def tracing() -> Tracing:
    """Return what follows requests."""
    return tracing_of(load_settings(os.environ), lambda: os.environ.get("_X_AMZN_TRACE_ID", ""))


def passage() -> Passage:
    """Return what a Lambda function lets through; a refusal names MAILROOM_LARGE_API_URL."""
    return Passage(lambda: load_settings(os.environ).large_api_url)


def from_environment() -> Api:
    """Build everything from environment variables.

    Raises SettingsError if one is missing.
    """
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_directory import DynamoDirectory
    from mailroom.adapters.dynamo_ledger import DynamoDueWork, DynamoLedger
    from mailroom.adapters.dynamo_suppressions import DynamoSuppressions
    from mailroom.adapters.kms_keyring import KmsKeyring
    from mailroom.adapters.names import SHARDS
    from mailroom.adapters.s3_bodies import S3Bodies
    from mailroom.adapters.sqs_lane import both_lanes
    from mailroom.adapters.system import SystemChance, SystemClock
    from mailroom.adapters.tables import DirectoryRow, WatchRow, bound, mail_tables
    from mailroom.adapters.telling_limits import telling_limits

    settings = load_settings(os.environ)
    if not settings.return_path_domain:
        raise SettingsError("MAILROOM_RETURN_PATH_DOMAIN is not set (docs/settings.md)")
    clock = SystemClock()
    directory = DynamoDirectory(
        bound(DirectoryRow, settings.resource("table", "directory")),
        clock,
        KmsKeyring(client("kms")),
    )
    spans = tracing()
    tables = mail_tables(settings)
    watches = bound(WatchRow, settings.resource("table", "due"))
    ledger = DynamoLedger(tables, watches)
    bodies = S3Bodies(client("s3"), settings.resource("bucket", "bodies"))
    lane = both_lanes(settings, client("sqs"), trace=spans.header)
    work = traced(DynamoDueWork(tables, watches, SHARDS), "work", spans)
    suppressions = DynamoSuppressions(
        settings, clock, lambda: directory.current_key("recipients").secret
    )
    ports = AcceptPorts(
        directory=directory,
        ledger=traced(ledger, "ledger", spans),
        bodies=traced(bodies, "bodies", spans),
        lane=traced(lane, "lane", spans),
        clock=clock,
        chance=SystemChance(),
        max_message_size=settings.max_message_size,
        body_key=_body_key,
        delay_divisor=settings.delay_divisor,
        work=work,
        suppressions=traced(suppressions, "suppressions", spans),
        limits=traced(telling_limits(settings, clock), "limits", spans),
    )
    return Api(
        ports=ports,
        token_secret=lambda: directory.current_key("token").secret,
        return_path_domain=settings.return_path_domain,
        web_hostname=settings.web_hostname or settings.return_path_domain,
        signing_keys=lambda: [key.public for key in directory.keys("webhook").values()],
        large_url=settings.large_api_url,
        work=work,
        last_use=last_use(),
    )


def _body_key(server: Server, number: int, chance: int, days: int) -> str:
    from mailroom.adapters.names import body_key

    return body_key(server.id, number, chance, server.organisation, days)


@cache
def last_use() -> LastUse:
    """Return what remembers when keys were used. Raises SettingsError."""
    from mailroom.adapters.dynamo_last_use import DynamoLastUse
    from mailroom.adapters.dynamo_requests import RequestRow
    from mailroom.adapters.tables import bound

    settings = load_settings(os.environ)
    return DynamoLastUse(bound(RequestRow, settings.resource("table", "requests")))


@cache
def webhook_calls() -> "QueuedNotifications":
    """Return the webhook queue and its history. Raises SettingsError."""
    from mailroom.adapters.clients import client
    from mailroom.adapters.queued_notifications import QueuedNotifications
    from mailroom.adapters.tables import NotificationRow, bound

    settings = load_settings(os.environ)
    return QueuedNotifications(
        client("sqs"),
        settings.resource("queue", "webhooks"),
        bound(NotificationRow, settings.resource("table", "notifications")),
    )
