"""Accounting records as PowerMTA writes them, for programs that read such files."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

from pydantic import Field

from mail_api.v2.crud import read_cursor, write_cursor
from mail_api.v2.models.base import Query
from mail_api.v2.operation import Answer, Call, Operation, invalid
from mail_api.v2.resources.egress_calls import all_addresses
from mail_api.v2.resources.message_calls import refusals
from mailroom.domain.accounting import RecordType, SourceName, csv_text
from mailroom.domain.message import ServerId
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.record import Place
from mailroom.usecases.accounting import AccountingPorts, accounting_page
from mailroom.usecases.registrar import missing

_TYPES = "|".join(RecordType)
_NEXT = "x-next-cursor"


class AccountingQuery(Query):
    """Whose records of which day are wanted."""

    server: str = Field(min_length=1, max_length=64, description="Id of a server")
    day: str = Field(
        pattern=r"^20\d\d-[01]\d-[0-3]\d$", description="Day (UTC) of acceptance: YYYY-MM-DD"
    )
    types: str = Field(
        "d,b",
        max_length=20,
        pattern=rf"^(?:{_TYPES})(?:,(?:{_TYPES}))*$",
        description="d delivered, b bounced, t and tq deferred, r received, f complained of",
    )
    limit: int = Field(100, ge=1, le=100, description="Messages, not records")
    cursor: str = Field("", max_length=512, description="The x-next-cursor of the page before")


def export(call: Call) -> Answer:
    """Get accounting records of a server's messages of a day in PowerMTA's CSV layout.

    Messages come newest first, each with all its records. The header `x-next-cursor` leads to the
    next page and is not there on the last; only the first page has the line of names.
    """
    query = call.query
    if call.desk.registry.read(Place(f"server#{query.server}")) is None:
        raise missing(query.server, call.desk.registrar.environment)
    types = [RecordType(each) for each in query.types.split(",")]
    ports = AccountingPorts(
        search=call.desk.area("search"),
        ledger=call.desk.api().ports.ledger,
        clock=call.desk.registrar.clock,
        source=_sources(call),
    )
    with refusals():
        page = accounting_page(
            ServerId(query.server),
            _begins(query.day),
            types,
            ports,
            limit=query.limit,
            cursor=read_cursor(query.cursor),
        )
    headers = {_NEXT: write_cursor(page.cursor)} if page.cursor else {}
    return Answer(csv_text(page.rows, header=not query.cursor), headers=headers)


def _begins(day: str) -> float:
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise invalid("query.day", "there is no such day") from None


def _sources(call: Call) -> Callable[[str], SourceName]:
    @cache
    def known() -> dict[str, SourceName]:
        return {
            each.id: SourceName(
                each.fields.get("ipv4") or each.fields.get("ipv6") or "",
                each.parent.partition("#")[2],
            )
            for each in all_addresses(call)
        }

    return lambda id_: known().get(id_, SourceName())


OPERATIONS = (
    Operation("egress.accounting", "GET", "/egress/accounting", "Export accounting records",
              export, Scope.PLATFORM, query=AccountingQuery, gives="text/csv"),
)  # fmt: skip
