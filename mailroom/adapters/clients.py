"""Plain AWS clients: AWS_ENDPOINT_URL is the only thing that differs between stacks."""

from typing import Any

import boto3
from botocore.config import Config
from botocore.handlers import add_recursion_detection_header

_CONFIG = Config(
    connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 4}
)


def client(service: str) -> Any:
    """Return a client for one service, with time-outs short enough for a Lambda."""
    return boto3.client(service, config=_CONFIG)


def file_client() -> Any:
    """Return an S3 client whose links are signed with version 4, which signs a length as well."""
    return boto3.client("s3", config=_CONFIG.merge(Config(signature_version="s3v4")))


def queue_client() -> Any:
    """Return an SQS client that does not hand the invocation's trace on.

    What waits for hours passes its queue a hundred times; Lambda takes a trace that long for a
    loop and stops it (its recursive loop detection, after about 16 rounds).
    """
    sqs = client("sqs")
    sqs.meta.events.unregister("before-call", add_recursion_detection_header)
    return sqs
