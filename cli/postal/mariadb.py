"""Postal's tables in its own MariaDB, read row by row over one connection."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pymysql
import pymysql.cursors

from cli.errors import NetworkError, UsageError
from cli.postal.dump import server_of
from cli.postal.source import MAIN_TABLES, Row

_PORT = 3306
_SECONDS = 30  # for connecting; reading has no end a large installation would not meet


class MariaDbSource:
    """`mysql://user:password@host:port/postal`, or `?unix_socket=/path`; only SELECTs are sent.

    The message databases are those of the same server named `<prefix>-server-<number>`.
    """

    def __init__(self, url: str, *, prefix: str = "postal") -> None:
        """Raises UsageError for what is no such URL."""
        parts = urlsplit(url)
        if parts.scheme not in ("mysql", "mariadb") or not parts.path.strip("/"):
            raise UsageError("the source is no URL such as mysql://user:password@host/postal")
        query = parse_qs(parts.query)
        self._options: dict[str, Any] = {
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "database": unquote(parts.path.strip("/")),
            "charset": "utf8mb4",
            "connect_timeout": _SECONDS,
            "cursorclass": pymysql.cursors.SSDictCursor,
        }
        if "unix_socket" in query:
            self._options["unix_socket"] = query["unix_socket"][-1]
        else:
            self._options |= {"host": parts.hostname or "localhost", "port": parts.port or _PORT}
        self._prefix = prefix

    def main(self) -> Iterator[tuple[str, Row]]:
        """See Source.main. A table this version of Postal does not have has no rows."""
        there = {name for (name,) in self._names("SHOW TABLES")}
        for table in MAIN_TABLES:
            if table in there:
                for row in self._select(_all_of(table)):
                    yield table, row

    def messages(self, table: str) -> Iterator[tuple[int, Row]]:
        """See Source.messages."""
        for (database,) in self._names("SHOW DATABASES"):
            server = server_of(database)
            if server is None or database != f"{self._prefix}-server-{server}":
                continue
            for row in self._select(_all_of(database, table)):
                yield server, row

    def _names(self, statement: str) -> list[tuple[str, ...]]:
        return [tuple(map(str, row.values())) for row in self._select(statement)]

    def _select(self, statement: str) -> Iterator[Row]:
        try:
            # closing: a driver that is left in the middle of a result closes the connection.
            with (
                closing(pymysql.connect(**self._options)) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(statement)
                for row in cursor:
                    yield {name: _cell(value) for name, value in row.items()}
        except pymysql.err.OperationalError as error:
            raise NetworkError(f"MariaDB does not answer: {error.args[-1]}") from None
        except pymysql.err.MySQLError as error:
            raise UsageError(f"MariaDB refuses: {error.args[-1]}") from None


def _all_of(*names: str) -> str:
    # Names are our own or the server's, and quoted all the same; they cannot be parameters.
    place = ".".join("`" + name.replace("`", "``") + "`" for name in names)
    return f"SELECT * FROM {place}"  # noqa: S608  # see above


def _cell(value: Any) -> str | int | float | bytes | None:
    # Dates and decimals become text, as they are in a dump.
    return value if isinstance(value, str | int | float | bytes | None) else str(value)
