"""The Mailings port on the mail table: a batch of events costs one read call or two."""

from collections.abc import Collection, Iterable, Mapping

from mailroom.adapters.mail_rows import load_tags
from mailroom.adapters.names import SUBMISSION, delivery_sk, mail_pk
from mailroom.adapters.tables import MailingRow
from mailroom.domain.event import Event, EventType
from mailroom.domain.message import METADATA_DAYS, TRANSACTIONAL
from mailroom.domain.provider import provider_of
from mailroom.domain.statistic import Mailing

_Key = tuple[str, str]
_ATTRIBUTES = ("pk", "sk", "domain", "tag", "tags", "days", "stream", "rcpt", "rcpts", "test")


class DynamoMailings:
    """Reads submissions and deliveries, a hundred rows a call."""

    def __init__(self, rows: type[MailingRow]) -> None:
        self._rows = rows

    def of(self, events: Collection[Event]) -> Mapping[str, Mailing]:
        """See Mailings.of.

        Read without waiting for the newest state, then with it what was not there: a row is
        written well before its first event comes here.
        """
        rows = self._read([key for event in events for key in _keys(event)])
        # An acceptance counts all its recipients, and only its row says how many those are.
        more = [
            (_pk(event), delivery_sk(index))
            for event in events
            if event.type is EventType.ACCEPTED
            for index in range(1, _recipients(rows.get((_pk(event), SUBMISSION))))
        ]
        rows |= self._read(more)
        found = {event.id: _mailing(event, rows) for event in events}
        return {id_: mailing for id_, mailing in found.items() if mailing is not None}

    def _read(self, keys: Iterable[_Key]) -> dict[_Key, MailingRow]:
        wanted = list(dict.fromkeys(keys))
        rows = self._batch(wanted, certain=False)
        missing = [key for key in wanted if key not in rows]
        return rows | self._batch(missing, certain=True)

    def _batch(self, keys: list[_Key], *, certain: bool) -> dict[_Key, MailingRow]:
        if not keys:
            return {}
        found = self._rows.batch_get(
            keys, consistent_read=certain, attributes_to_get=list(_ATTRIBUTES)
        )
        return {(row.pk, row.sk): row for row in found}


def _keys(event: Event) -> tuple[_Key, _Key]:
    return (_pk(event), SUBMISSION), (_pk(event), delivery_sk(event.key.index))


def _pk(event: Event) -> str:
    return mail_pk(event.key.server, event.key.number)


def _recipients(row: MailingRow | None) -> int:
    return int(row.rcpts or 1) if row is not None else 0


def _mailing(event: Event, rows: Mapping[_Key, MailingRow]) -> Mailing | None:
    submission = rows.get((_pk(event), SUBMISSION))
    if submission is None:
        return None
    first = event.key.index
    many = event.type is EventType.ACCEPTED
    indexes = range(first, _recipients(submission) if many else first + 1)
    providers: dict[str, int] = {}
    for index in indexes:
        row = rows.get((_pk(event), delivery_sk(index)))
        if row is not None and row.rcpt:
            provider = provider_of(row.rcpt)
            providers[provider] = providers.get(provider, 0) + 1
    tags = ([submission.tag] if submission.tag else []) + list(load_tags(submission.tags))
    return Mailing(
        domain=submission.domain or "",
        tags=tuple(dict.fromkeys(tags)),
        stream=submission.stream or TRANSACTIONAL,
        providers=providers,
        days=int(submission.days or METADATA_DAYS),
        test=bool(submission.test),
    )
