"""The ports about API requests on the `requests` table."""

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import PutError, UpdateError

from mailroom.adapters.tables import Row
from mailroom.ports.requests import Allowance, Remembered, Standing

RUNNING_SECONDS = 300.0
KEPT_SECONDS = 86_400.0
MAX_ANSWER = 300_000  # characters; DynamoDB takes 400 KB in a row
_CONDITION = "ConditionalCheckFailedException"
_SLICE = 20  # one write for so many requests
_MAX_KEYS = 10_000


class RequestRow(Row):
    """`idem#<owner>` / `<key>`: a request and its answer; `rate#<key>` / `<window>`: a count."""

    digest = UnicodeAttribute(null=True)
    at = NumberAttribute(null=True)
    answer = UnicodeAttribute(null=True)
    used = NumberAttribute(null=True)


class DynamoAnswers:
    """The Answers port."""

    def __init__(self, rows: type[RequestRow]) -> None:
        self._rows = rows

    def begin(self, owner: str, key: str, digest: str, now: float) -> Remembered:
        """See Answers.begin."""
        rows = self._rows
        row = rows(f"idem#{owner}", key)
        row.digest, row.at, row.ttl = digest, now, int(now + KEPT_SECONDS)
        over = (rows.answer.does_not_exist() & (rows.at < now - RUNNING_SECONDS)) | (
            rows.at < now - KEPT_SECONDS
        )
        try:
            row.save(condition=rows.pk.does_not_exist() | over)
        except PutError as error:
            if error.cause_response_code != _CONDITION:
                raise
            return self._standing(owner, key, digest)
        return Remembered(Standing.NEW)

    def finish(self, owner: str, key: str, answer: Remembered, now: float) -> None:
        """See Answers.finish. An answer too long to keep is kept without its body."""
        body = answer.body if len(answer.body) <= MAX_ANSWER else ""
        text = json.dumps({"status": answer.status, "body": body, "headers": answer.headers})
        self._rows(f"idem#{owner}", key).update(
            actions=[
                self._rows.answer.set(text),
                self._rows.at.set(now),
                self._rows.ttl.set(int(now + KEPT_SECONDS)),
            ]
        )

    def forget(self, owner: str, key: str) -> None:
        """See Answers.forget."""
        self._rows(f"idem#{owner}", key).delete()

    def _standing(self, owner: str, key: str, digest: str) -> Remembered:
        try:
            row = self._rows.get(f"idem#{owner}", key, consistent_read=True)
        except self._rows.DoesNotExist:  # forgotten this very moment
            return Remembered(Standing.RUNNING)
        if row.digest != digest:
            return Remembered(Standing.OTHER)
        if row.answer is None:
            return Remembered(Standing.RUNNING)
        stored = json.loads(row.answer)
        return Remembered(Standing.DONE, stored["status"], stored["body"], stored["headers"])


@dataclass(slots=True)
class _Share:
    """What this process may still let through in a window, and how many all have used of it."""

    window: int
    left: int = 0
    used: int = 0
    is_over: bool = False


class DynamoRequestLimits:
    """The RequestLimits port: each process reserves twenty requests at a time."""

    def __init__(self, rows: type[RequestRow]) -> None:
        self._rows = rows
        self._shares: OrderedDict[str, _Share] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str, limit: int, window: float, now: float) -> Allowance:
        """See RequestLimits.take."""
        number = int(now // window)
        resets_at = (number + 1) * window
        with self._lock:
            share = self._share(key, number)
            if not share.left and not share.is_over:
                self._reserve(share, key, limit, number, resets_at + window)
            if not share.left:
                return Allowance(allowed=False, limit=limit, remaining=0, resets_at=resets_at)
            share.left -= 1
            remaining = max(0, limit - share.used) + share.left
        return Allowance(allowed=True, limit=limit, remaining=remaining, resets_at=resets_at)

    def _share(self, key: str, number: int) -> _Share:
        share = self._shares.get(key)
        if share is None or share.window != number:
            share = self._shares[key] = _Share(number)
        self._shares.move_to_end(key)
        while len(self._shares) > _MAX_KEYS:
            self._shares.popitem(last=False)
        return share

    def _reserve(self, share: _Share, key: str, limit: int, number: int, expires_at: float) -> None:
        rows = self._rows
        size = min(_SLICE, limit)
        row = rows(f"rate#{key}", str(number))
        try:
            row.update(
                actions=[rows.used.add(size), rows.ttl.set(int(expires_at))],
                condition=rows.used.does_not_exist() | (rows.used <= limit - size),
            )
        except UpdateError as error:
            if error.cause_response_code != _CONDITION:
                raise
            share.is_over = True
            return
        share.left, share.used = size, int(row.used or size)
