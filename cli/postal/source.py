"""What the tables of a Postal installation can be read from."""

from collections.abc import Iterator, Mapping
from typing import Protocol

Value = str | int | float | bytes | None
Row = Mapping[str, Value]

# The tables of the main database that are wanted, in an order in which parents come first.
MAIN_TABLES = (
    "organizations",
    "ip_pools",
    "ip_addresses",
    "organization_ip_pools",
    "servers",
    "domains",
    "track_domains",
    "credentials",
    "http_endpoints",
    "smtp_endpoints",
    "address_endpoints",
    "routes",
    "additional_route_endpoints",
    "webhooks",
    "webhook_events",
    "ip_pool_rules",
)
# Of a server's message database; its mail is not imported.
MESSAGE_TABLES = ("suppressions", "links")


class Source(Protocol):
    """Rows by table. Each call reads anew; rows come one at a time."""

    def main(self) -> Iterator[tuple[str, Row]]:
        """Yield the table's name and the row, of MAIN_TABLES. Raises UsageError."""

    def messages(self, table: str) -> Iterator[tuple[int, Row]]:
        """Yield the number of the server and the row, of one of MESSAGE_TABLES.

        Raises UsageError.
        """
