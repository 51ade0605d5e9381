"""The Notifications port: the webhook queue on SQS, its history in DynamoDB."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from botocore.exceptions import BotoCoreError, ClientError

from mailroom.adapters.notification_text import dump_notification
from mailroom.adapters.packing import packed
from mailroom.adapters.tables import NotificationRow
from mailroom.domain.message import ServerId
from mailroom.errors import HandOverError
from mailroom.ports import Answer, Notification

KEEP_SECONDS = 10 * 86_400  # as long as Postal keeps them
_MAX_DELAY = 900  # seconds, SQS's own limit


def without_password(url: str) -> str:
    """Return `url` without user and password, fit for history and logs."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(malformed)"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class QueuedNotifications:
    """Calls in batches of ten; one history row a try, kept for ten days."""

    def __init__(self, sqs: Any, queue_url: str, rows: type[NotificationRow]) -> None:
        self._sqs = sqs
        self._url = queue_url
        self._rows = rows

    def enqueue(self, notifications: Sequence[Notification], *, delay: float = 0.0) -> None:
        """See Notifications.enqueue. Raises HandOverError."""
        seconds = min(_MAX_DELAY, max(0, round(delay)))
        for batch in packed(map(dump_notification, notifications)):
            entries = [
                {"Id": str(position), "MessageBody": body, "DelaySeconds": seconds}
                for position, body in enumerate(batch)
            ]
            try:
                answer = self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries)
            except (ClientError, BotoCoreError) as error:
                raise HandOverError(str(error)) from error
            if answer.get("Failed"):
                raise HandOverError(f"{len(answer['Failed'])} notifications were refused")

    def remember(self, notification: Notification, *, at: float, answer: Answer) -> None:
        """See Notifications.remember."""
        row = self._rows(
            f"{notification.server}#{notification.webhook}",
            f"{round(at * 1000):014d}#{notification.uuid}#{notification.attempt}",
        )
        row.uuid, row.event = notification.uuid, notification.event
        row.url = without_password(notification.url)
        row.attempt, row.at = notification.attempt, round(at * 1000)
        row.status, row.answer, row.problem = answer.status, answer.body, answer.problem
        row.payload, row.again = notification.body, answer.will_retry
        row.ttl = int(at) + KEEP_SECONDS
        row.save()

    def history(
        self, server: ServerId, webhook: str, limit: int = 50
    ) -> list[tuple[Notification, Answer]]:
        """Return the newest `limit` tries of a webhook and what came of them, newest first."""
        rows = self._rows.query(f"{server}#{webhook}", scan_index_forward=False, limit=limit)
        return [_read_try(row, server, webhook) for row in rows]


def _read_try(row: NotificationRow, server: ServerId, webhook: str) -> tuple[Notification, Answer]:
    made = Notification(
        uuid=row.uuid,
        server=server,
        webhook=webhook,
        url=row.url,
        event=row.event,
        body=row.payload,
        attempt=int(row.attempt),
        first_at=row.at / 1000,
    )
    return made, Answer(int(row.status), row.answer, row.problem, row.again)
