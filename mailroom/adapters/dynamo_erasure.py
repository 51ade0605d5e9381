"""The Erasure port on the mail table."""

import json
from collections.abc import Callable
from typing import Any

from pynamodb.exceptions import UpdateError

from mailroom.adapters.mail_rows import dump_texts
from mailroom.adapters.names import SUBMISSION, delivery_sk, history_prefix, mail_pk
from mailroom.adapters.tables import MailTables
from mailroom.domain.event import Event, dump_event, load_event
from mailroom.domain.message import Delivery, DeliveryKey, Submission

_REFUSED = "ConditionalCheckFailedException"


class DynamoErasure:
    """Updates of single rows, each on condition that the row is still what was read.

    A delivery's last fact is removed, not rewritten: the table's stream publishes facts that
    change, and what is gone is filtered out of it.
    """

    def __init__(self, tables: MailTables) -> None:
        self._tables = tables

    def rewrite_submission(self, before: Submission, after: Submission) -> None:
        """See Erasure.rewrite_submission."""
        model = self._tables.submission
        actions: list[Any] = [
            model.subject.set(after.subject),
            _set_or_remove(model.dsn, after.dsn or None),
            _set_or_remove(model.meta, dump_texts(after.metadata)),
        ]
        if after.body != before.body:
            actions += [
                _set_or_remove(model.inline, after.body.inline),
                _set_or_remove(model.body, after.body.key),
            ]
        row = model(mail_pk(before.server, before.number), SUBMISSION)
        _update(row, actions, model.pk.exists())

    def rewrite_history(self, key: DeliveryKey, change: Callable[[Event], Event]) -> int:
        """See Erasure.rewrite_history. Rows that say what they should are left alone."""
        model = self._tables.history
        rows = model.query(
            mail_pk(key.server, key.number), model.sk.startswith(history_prefix(key.index))
        )
        rewritten = 0
        for row in rows:
            text = _dump(change(load_event(json.loads(row.event))))
            if text != row.event:
                rewritten += _update(row, [model.event.set(text)], model.pk.exists())
        return rewritten

    def rewrite_recipient(self, before: Delivery, recipient: str) -> bool:
        """See Erasure.rewrite_recipient."""
        model = self._tables.delivery
        row = model(mail_pk(before.key.server, before.key.number), delivery_sk(before.key.index))
        actions: list[Any] = [
            model.rcpt.set(recipient),
            model.rcpt_key.remove(),
            model.merge.remove(),
            model.event.remove(),
        ]
        same = (model.rcpt == before.recipient) & (model.state == str(before.state))
        return _update(row, actions, same & (model.gen == before.generation))


def _dump(event: Event) -> str:
    return json.dumps(dump_event(event), separators=(",", ":"))


def _set_or_remove(attribute: Any, value: Any) -> Any:
    return attribute.remove() if value is None else attribute.set(value)


def _update(row: Any, actions: list[Any], condition: Any) -> bool:
    try:
        row.update(actions=actions, condition=condition)
    except UpdateError as error:
        if error.cause_response_code != _REFUSED:
            raise
        return False
    return True
