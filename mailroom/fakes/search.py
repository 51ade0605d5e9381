"""The Search port over a MemoryLedger, with indexes of its own."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from mailroom.domain.message import BodyRef, DeliveryKey, Submission
from mailroom.domain.search_keys import normal_address, normal_message_id, tags_of
from mailroom.domain.stored_message import Place, StoredMessage
from mailroom.fakes.memory import MemoryLedger
from mailroom.ports.search import MAX_SLICE, By, Slice, Span, Where

_UNIT = 0.5  # of a query and of each row, as DynamoDB has it for small ones
_Entry = tuple[int, int, int]  # milliseconds, number, index


class MemorySearch:
    """See Search. Submissions are entered in the indexes when the next search comes.

    A recipient has an entry for each delivery; everything else has one for each submission, at
    the last of its places.
    """

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._entered = 0
        self._entries: dict[Where, list[_Entry]] = {}

    def newest(
        self, where: Where, span: Span, *, after: Place | None = None, limit: int = MAX_SLICE
    ) -> Slice:
        """See Search.newest. It is as bounded as the adapter's, by `limit` alone."""
        self._catch_up()
        limit = min(max(limit, 1), MAX_SLICE)
        entries = self._entries.get(_normal(where), [])
        first = bisect_left(entries, (_ms(span.since), 0, 0))
        end = bisect_left(entries, (_ms(span.until), 0, 0))
        if after is not None:
            end = min(end, bisect_left(entries, (after.at_ms, after.number, after.index)))
        keys = self._keys(where, entries, (first, end), after)
        page = list(islice(keys, limit))
        place = None
        if len(page) == limit and next(keys, None) is not None:
            submission = self._ledger.submissions[where.server, page[-1].number]
            place = Place(_ms(submission.accepted_at), page[-1].number, page[-1].index)
        messages = tuple(found for key in page if (found := self._message(key)) is not None)
        rows = len(page) + len({key.number for key in page})
        return Slice(messages, place, len(page), _UNIT * (1 + rows))

    def _keys(
        self, where: Where, entries: list[_Entry], places: tuple[int, int], after: Place | None
    ) -> Iterator[DeliveryKey]:
        first, end = places
        for at in range(end - 1, first - 1, -1):
            ms, number, index = entries[at]
            submission = self._ledger.submissions.get((where.server, number))
            if submission is None:
                continue
            if where.by is By.RECIPIENT:
                yield submission.key(index)
                continue
            below = submission.recipients
            if after is not None and (after.at_ms, after.number) == (ms, number):
                below = min(below, after.index)
            yield from (submission.key(each) for each in range(below - 1, -1, -1))

    def _message(self, key: DeliveryKey) -> StoredMessage | None:
        submission = self._ledger.submissions.get((key.server, key.number))
        delivery = self._ledger.rows.get(key)
        if submission is None or delivery is None:
            return None
        without_body = replace(submission, body=BodyRef())
        return StoredMessage(without_body, delivery, self._ledger.outbox.get(key))

    def _catch_up(self) -> None:
        submissions = self._ledger.submissions
        if len(submissions) < self._entered:  # something was erased
            self._entries, self._entered = {}, 0
        for submission in islice(submissions.values(), self._entered, None):
            self._enter(submission)
        self._entered = len(submissions)

    def _enter(self, submission: Submission) -> None:
        server, number = submission.server, submission.number
        at = _ms(submission.accepted_at)
        wheres = [Where(server)]
        if submission.message_id:
            wheres.append(Where(server, By.MESSAGE_ID, submission.message_id))
        wheres += [Where(server, By.TAG, tag) for tag in tags_of(submission)]
        for where in wheres:
            insort(self._entries.setdefault(_normal(where), []), (at, number, 0))
        for index in range(submission.recipients):
            delivery = self._ledger.rows.get(submission.key(index))
            if delivery is not None:
                where = Where(server, By.RECIPIENT, delivery.recipient)
                insort(self._entries.setdefault(_normal(where), []), (at, number, index))


def _normal(where: Where) -> Where:
    if where.by is By.RECIPIENT:
        return replace(where, value=normal_address(where.value))
    if where.by is By.MESSAGE_ID:
        return replace(where, value=normal_message_id(where.value))
    return where


def _ms(at: float) -> int:
    return round(at * 1000)
