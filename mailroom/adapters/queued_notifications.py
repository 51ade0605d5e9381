"""The Notifications port: the webhook queue on SQS, its history in DynamoDB."""

import base64
import re
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mailroom.adapters.notification_text import dump_notification
from mailroom.adapters.packing import packed
from mailroom.adapters.tables import NotificationRow
from mailroom.domain.message import ServerId
from mailroom.domain.redaction import redact_text, redact_url
from mailroom.errors import HandOverError
from mailroom.ports import Answer, Notification, Try, TryPage

KEEP_SECONDS = 10 * 86_400  # as long as Postal keeps them
MAX_PAYLOAD = 65_536  # octets of a call's body that the history keeps
MAX_ANSWER = 4_096  # octets of an answer that it keeps
MAX_SEARCHED = 20_000  # tries that are read to find one
_SORT_KEY = re.compile(r"[0-9]{14}#[0-9A-Za-z-]{1,64}#[0-9]{1,6}\Z")
_MAX_DELAY = 900  # seconds, SQS's own limit


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
        row.url = redact_url(notification.url)
        row.attempt, row.at = notification.attempt, round(at * 1000)
        row.status, row.problem = answer.status, redact_text(answer.problem)
        row.answer = redact_text(_beginning(answer.body, MAX_ANSWER))
        row.payload = _beginning(notification.body, MAX_PAYLOAD)
        row.cut = True if row.payload != notification.body else None
        row.again, row.sec = answer.will_retry, round(answer.seconds, 3)
        row.replay = True if notification.replay else None
        row.ttl = int(at) + KEEP_SECONDS
        row.save()

    def page(self, server: ServerId, webhook: str, *, limit: int, cursor: str = "") -> TryPage:
        """See NotificationHistory.page. One query."""
        before = self._rows.sk < _read_cursor(cursor) if cursor else None
        rows = list(
            self._rows.query(f"{server}#{webhook}", before, scan_index_forward=False, limit=limit)
        )
        tries = [_read_try(row, server, webhook) for row in rows]
        return TryPage(tries, _cursor(rows[-1].sk) if len(rows) == limit else "")

    def find(self, server: ServerId, webhook: str, uuid: str) -> Try | None:
        """See NotificationHistory.find.

        Reads backwards rather than keep an index: an index would cost every call a write, and
        this is asked when somebody replays one.
        """
        rows = self._rows.query(f"{server}#{webhook}", scan_index_forward=False, limit=MAX_SEARCHED)
        found = next((row for row in rows if row.uuid == uuid), None)
        return _read_try(found, server, webhook) if found else None

    def since(self, server: ServerId, webhook: str, at: float, *, limit: int) -> Sequence[Try]:
        """See NotificationHistory.since."""
        start = self._rows.sk >= f"{max(0, round(at * 1000)):014d}"
        rows = self._rows.query(f"{server}#{webhook}", start, limit=limit)
        return [_read_try(row, server, webhook) for row in rows]


def _read_try(row: NotificationRow, server: ServerId, webhook: str) -> Try:
    at = row.at / 1000
    made = Notification(
        uuid=row.uuid,
        server=server,
        webhook=webhook,
        url=row.url,
        event=row.event,
        body=row.payload,
        attempt=int(row.attempt),
        first_at=at,
        replay=bool(row.replay),
    )
    seconds = float(row.sec or 0.0)
    answer = Answer(int(row.status), row.answer, row.problem, row.again, seconds=seconds)
    return Try(made, at, answer, is_whole=not row.cut)


def _beginning(text: str, octets: int) -> str:
    encoded = text.encode("utf-8", "replace")
    return text if len(encoded) <= octets else encoded[:octets].decode("utf-8", "ignore")


def _cursor(sk: str) -> str:
    return base64.urlsafe_b64encode(sk.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> str:
    try:
        sk = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        sk = ""
    if not _SORT_KEY.match(sk):
        raise ValueError("there is no such cursor")
    return sk
