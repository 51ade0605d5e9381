"""Accounting records of one server's messages of a day, page by page."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from mailroom.domain.accounting import RecordType, SourceName, record, record_type
from mailroom.domain.message import ServerId
from mailroom.domain.stored_message import StoredMessage
from mailroom.ports import Clock, Ledger
from mailroom.ports.search import Search
from mailroom.usecases.find_messages import FindPorts, Wanted, find_messages

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class AccountingPorts:
    """The world of `accounting_page`. `source` tells what the id of an address stands for."""

    search: Search
    ledger: Ledger
    clock: Clock
    source: Callable[[str], SourceName]


@dataclass(frozen=True, slots=True)
class AccountingPage:
    """Records in the order of `accounting.FIELDS`; `cursor` is "" after the last page."""

    rows: Sequence[Sequence[str]]
    cursor: str


def accounting_page(
    server: ServerId,
    day_begins: float,
    types: Collection[RecordType],
    ports: AccountingPorts,
    *,
    limit: int,
    cursor: str = "",
) -> AccountingPage:
    """Return the records of up to `limit` messages that were accepted on a day, newest first.

    All records of a message come with it, those of later days too. Raises BadCursorError.
    """
    wanted = Wanted(
        server, since=day_begins, until=day_begins + DAY_SECONDS, limit=limit, cursor=cursor
    )
    page = find_messages(wanted, FindPorts(ports.search, ports.clock))
    rows = [row for message in page.messages for row in _rows(message, types, ports)]
    return AccountingPage(rows, page.cursor)


def _rows(
    message: StoredMessage, types: Collection[RecordType], ports: AccountingPorts
) -> Iterator[Sequence[str]]:
    for event in ports.ledger.history(message.delivery.key):
        type_ = record_type(event)
        if type_ is not None and type_ in types:
            address = event.attempt.address if event.attempt else ""
            source = ports.source(address) if address else SourceName()
            yield record(type_, event, message.submission, message.delivery, source)
