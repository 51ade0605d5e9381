"""Composition root of the API function: built at the first request, kept for the process's life.

Importing this module needs no environment and loads no AWS library; `from_environment` does.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from mailroom.domain.message import Server
from mailroom.settings import SettingsError, load_settings
from mailroom.usecases.accept import AcceptPorts

_SLACK = 1024 * 1024  # octets of a request body that are not the message in base64
_RETENTION_DAYS = 30


@dataclass(frozen=True, slots=True)
class Api:
    """The use cases' ports, plugged in, and what the door itself must know.

    `token_secret` is asked per call, since keys rotate; it is cached below.
    """

    ports: AcceptPorts
    token_secret: Callable[[], bytes]
    return_path_domain: str
    web_hostname: str

    @property
    def max_body(self) -> int:
        """The longest request body in octets: the largest message in base64, and its JSON."""
        return self.ports.max_message_size * 3 // 2 + _SLACK


def from_environment() -> Api:
    """Build everything from environment variables.

    Raises SettingsError if one is missing.
    """
    from mailroom.adapters.clients import client
    from mailroom.adapters.dynamo_directory import DynamoDirectory
    from mailroom.adapters.dynamo_ledger import DynamoLedger
    from mailroom.adapters.kms_keyring import KmsKeyring
    from mailroom.adapters.names import body_key
    from mailroom.adapters.s3_bodies import S3Bodies
    from mailroom.adapters.sqs_lane import SqsLane
    from mailroom.adapters.system import SystemChance, SystemClock
    from mailroom.adapters.tables import DirectoryRow, WatchRow, bound, mail_tables

    settings = load_settings(os.environ)
    if not settings.return_path_domain:
        raise SettingsError("MAILROOM_RETURN_PATH_DOMAIN is not set (docs/settings.md)")
    clock = SystemClock()
    directory = DynamoDirectory(
        bound(DirectoryRow, settings.resource("table", "directory")),
        clock,
        KmsKeyring(client("kms")),
    )

    def key_of(server: Server, number: int, chance: int) -> str:
        return body_key(server.id, number, chance, server.organisation, _RETENTION_DAYS)

    ports = AcceptPorts(
        directory=directory,
        ledger=DynamoLedger(
            mail_tables(settings), bound(WatchRow, settings.resource("table", "due"))
        ),
        bodies=S3Bodies(client("s3"), settings.resource("bucket", "bodies")),
        lane=SqsLane(client("sqs"), settings.resource("queue", "lane")),
        clock=clock,
        chance=SystemChance(),
        max_message_size=settings.max_message_size,
        body_key=key_of,
        delay_divisor=settings.delay_divisor,
    )
    return Api(
        ports=ports,
        token_secret=lambda: directory.current_key("token").secret,
        return_path_domain=settings.return_path_domain,
        web_hostname=settings.web_hostname or settings.return_path_domain,
    )
