"""Plain AWS clients: AWS_ENDPOINT_URL is the only thing that differs between stacks."""

from typing import Any

import boto3
from botocore.config import Config

_CONFIG = Config(
    connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 4}
)


def client(service: str) -> Any:
    """Return a client for one service, with time-outs short enough for a Lambda."""
    return boto3.client(service, config=_CONFIG)
