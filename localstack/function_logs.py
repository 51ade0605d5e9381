"""What the deployed functions logged, read from their log groups in the running emulator."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from localstack.config import REGION, StackConfig
from localstack.naming import log_group

NOISE = ("START RequestId", "END RequestId")


def lines(config: StackConfig, function: str, *, since: int = 0) -> Iterator[tuple[int, str]]:
    """Yield (time, line) of a function's log from the moment `since` on, oldest first.

    Times are milliseconds since 1970. Yields nothing if the emulator does not answer.
    """
    client: Any = boto3.client(
        "logs",
        endpoint_url=config.emulator_url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the emulator asks for one and checks none
    )
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=log_group(f"{config.prefix}-{function}"), startTime=since
    )
    try:
        for page in pages:
            for event in page["events"]:
                if not event["message"].startswith(NOISE):
                    yield event["timestamp"], _line(event)
    except (BotoCoreError, ClientError):
        return


def _line(event: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    return f"{at:%H:%M:%S.%f} {event['message'].rstrip()}"
