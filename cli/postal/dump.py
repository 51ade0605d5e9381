"""Postal's tables in a file that mysqldump or mariadb-dump wrote, of one database or of several.

Understood are `USE`, `CREATE TABLE` (for the names of columns) and `INSERT`; all else is passed
over. A database named `...-server-7` holds the messages of server 7.
"""

import gzip
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from cli.errors import UsageError
from cli.postal.source import MAIN_TABLES, Row, Value
from cli.postal.sql import Word, Words, name_of, value_of

_MESSAGES = re.compile(r".*-server-(\d{1,10})\Z")
_MAX_COLUMNS = 500
Found = tuple[str, str, Row]


class DumpSource:
    """One or several files, plain or gzip; a single one may hold all databases."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def main(self) -> Iterator[tuple[str, Row]]:
        """See Source.main."""
        for database, table, row in self._rows(MAIN_TABLES):
            if server_of(database) is None:
                yield table, row

    def messages(self, table: str) -> Iterator[tuple[int, Row]]:
        """See Source.messages."""
        for database, _, row in self._rows((table,)):
            server = server_of(database)
            if server is not None:
                yield server, row

    def _rows(self, tables: Collection[str]) -> Iterator[Found]:
        for path in self._paths:
            try:
                with _opened(path) as stream:
                    yield from read_rows(Words(stream.read), tables)
            except (OSError, EOFError) as error:
                raise UsageError(f"{path} cannot be read: {error}") from None
            except UsageError as error:
                raise UsageError(f"{path}: {error}") from None


def server_of(database: str) -> int | None:
    """Return the number of the server whose message database has that name, or None."""
    found = _MESSAGES.match(database)
    return int(found[1]) if found else None


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as stream:
        is_packed = stream.read(2) == b"\x1f\x8b"
    # cast: a GzipFile reads octets like any binary stream.
    return cast("BinaryIO", gzip.open(path)) if is_packed else path.open("rb")


def read_rows(words: Words, tables: Collection[str]) -> Iterator[Found]:
    """Yield (database, table, row) of the wanted tables. Raises UsageError for what is no dump."""
    database, columns = "", dict[tuple[str, str], list[str]]()
    for word in words:
        current = database or words.database
        if word.upper == b"USE":
            database = name_of(words.take())
        elif word.upper == b"CREATE":
            table, found = _created(words)
            columns[current, table] = found
            continue
        elif word.upper in (b"INSERT", b"REPLACE"):
            place = _target(words, current)
            if place[1] in tables:
                yield from _inserted(words, place, columns.get(place, []))
            # What is left is the end of the statement, or all of it.
        elif word.is_sign(b";"):
            continue
        _skip_statement(words)


def _skip_statement(words: Words) -> None:
    for word in words:
        if word.is_sign(b";"):
            return


def _target(words: Words, database: str) -> tuple[str, str]:
    """Read `INTO [database.]table` and return both names."""
    for word in words:
        if word.upper not in (b"INTO", b"IGNORE", b"LOW_PRIORITY", b"DELAYED"):
            return _qualified(words, word, database)
    raise UsageError("the dump ends within an INSERT")


def _qualified(words: Words, first: Word, database: str) -> tuple[str, str]:
    name = name_of(first)
    after = next(words, None)
    if after is not None and after.kind == "word" and after.octets == b".":
        return name, name_of(words.take())
    if after is not None:
        words.push(after)
    return database, name


def _created(words: Words) -> tuple[str, list[str]]:
    """Read a CREATE statement to its end; return the table and its columns, if it is a table."""
    table, columns, depth, is_first = "", list[str](), 0, False
    for word in words:
        if word.is_sign(b";") and depth == 0:
            break
        if word.is_sign(b"("):
            depth += 1
            is_first = depth == 1
            continue
        if word.is_sign(b")"):
            depth -= 1
        elif word.is_sign(b",") and depth == 1:
            is_first = True
            continue
        elif depth == 0 and word.kind == "name":
            table = name_of(word)
        elif depth == 1 and is_first and word.kind == "name" and len(columns) < _MAX_COLUMNS:
            columns.append(name_of(word))
        is_first = False
    return table, columns


def _inserted(words: Words, place: tuple[str, str], columns: Sequence[str]) -> Iterator[Found]:
    """Yield the rows of an INSERT from behind its table's name up to the `;`."""
    names = _named(words) or columns
    for word in words:
        if word.is_sign(b";"):
            words.push(word)
            return
        if word.is_sign(b"("):
            values = _values(words)
            if len(values) != len(names):
                raise UsageError(
                    f"a row of {place[1]} has {len(values)} values for {len(names)} columns "
                    f"before octet {words.position}"
                )
            yield *place, dict(zip(names, values, strict=True))
        elif not word.is_sign(b","):
            raise UsageError(f"the dump makes no sense before octet {words.position}")


def _named(words: Words) -> list[str]:
    """Read the list of columns an INSERT may have, and the word VALUES behind it."""
    names: list[str] = []
    for word in words:
        if word.upper in (b"VALUES", b"VALUE"):
            return names
        if word.kind in ("name", "word"):
            names.append(name_of(word))
        elif not (word.is_sign(b"(") or word.is_sign(b")") or word.is_sign(b",")):
            break
    raise UsageError(f"no VALUES before octet {words.position}")


def _values(words: Words) -> list[Value]:
    """Read the values of one row up to its `)`."""
    values: list[Value] = []
    is_binary = False
    for word in words:
        if word.is_sign(b")"):
            return values
        if word.is_sign(b","):
            continue
        if word.kind == "word" and word.octets.startswith(b"_"):  # a character set: _binary 'x'
            is_binary = word.upper == b"_BINARY"
            continue
        values.append(value_of(word, binary=is_binary))
        is_binary = False
    raise UsageError("the dump ends within a row")
