"""The JobQueue port on SQS, and how a wake-up of a job is written."""

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mailroom.errors import HandOverError

_MAX_DELAY = 900  # seconds, SQS's own limit
_MAX_ID = 64


class SqsJobs:
    """One message a wake-up: they are few, and a worker takes one job at a time."""

    def __init__(self, sqs: Any, queue_url: str) -> None:
        self._sqs = sqs
        self._url = queue_url

    def wake(self, id_: str, *, delay: float = 0.0) -> None:
        """See JobQueue.wake."""
        seconds = min(_MAX_DELAY, max(0, round(delay)))
        body = json.dumps({"v": 1, "job": id_})
        try:
            self._sqs.send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=seconds)
        except (ClientError, BotoCoreError) as error:
            raise HandOverError(str(error)) from error


def load_job_wake_up(body: str) -> str:
    """Return the id of the job to work on. Raises ValueError or KeyError for anything else."""
    id_ = json.loads(body)["job"]
    if not isinstance(id_, str) or not 0 < len(id_) <= _MAX_ID:
        raise ValueError("no job is called that")
    return id_
