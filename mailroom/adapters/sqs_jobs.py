"""The JobQueue port on SQS."""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mailroom.adapters.job_text import dump_job_wake_up
from mailroom.errors import HandOverError

_MAX_DELAY = 900  # seconds, SQS's own limit


class SqsJobs:
    """One message a wake-up: they are few, and a worker takes one job at a time."""

    def __init__(self, sqs: Any, queue_url: str) -> None:
        self._sqs = sqs
        self._url = queue_url

    def wake(self, id_: str, *, delay: float = 0.0) -> None:
        """See JobQueue.wake."""
        seconds = min(_MAX_DELAY, max(0, round(delay)))
        body = dump_job_wake_up(id_)
        try:
            self._sqs.send_message(QueueUrl=self._url, MessageBody=body, DelaySeconds=seconds)
        except (ClientError, BotoCoreError) as error:
            raise HandOverError(str(error)) from error
