"""Reading SQL dumps: whatever rows there are come back, however the file is cut into pieces."""

import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.errors import UsageError
from cli.postal.dump import DumpSource, read_rows, server_of
from cli.postal.sql import Words

ESCAPES = {
    "\0": "\\0", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\x1a": "\\Z", "\\": "\\\\"
}  # fmt: skip


def literal(value) -> bytes:
    """A value as mysqldump writes it."""
    if value is None:
        return b"NULL"
    if isinstance(value, bytes):
        return b"0x" + value.hex().upper().encode() if value else b"''"
    if isinstance(value, str):
        return b"'" + "".join(ESCAPES.get(c, c) for c in value).encode() + b"'"
    return repr(value).encode()


def dumped(table: str, columns, rows, *, named: bool = False, per_insert: int = 3) -> bytes:
    lines = [
        b"-- MariaDB dump 10.19\n--\n-- Host: localhost    Database: postal\n",
        b"/*!40101 SET NAMES utf8mb4 */;\n",
        f"DROP TABLE IF EXISTS `{table}`;\nCREATE TABLE `{table}` (\n".encode(),
        b",\n".join(b"  `%b` varchar(255) DEFAULT ';),('" % c.encode() for c in columns),
        b",\n  PRIMARY KEY (`id`),\n  KEY `k` (`id`(8),`x`)\n) ENGINE=InnoDB COMMENT='a;b';\n",
    ]
    listed = b" (" + b", ".join(b"`%b`" % c.encode() for c in columns) + b")" if named else b""
    for start in range(0, len(rows), per_insert):
        tuples = (b"(" + b",".join(map(literal, row)) + b")" for row in rows[start:][:per_insert])
        lines.append(
            b"INSERT INTO `%b`%b VALUES\n%b;\n" % (table.encode(), listed, b",\n".join(tuples))
        )
    return b"".join(lines)


def read(dump: bytes, *tables: str, piece: int = 1 << 20):
    return list(read_rows(Words(io.BytesIO(dump).read, piece), tables))


values = (
    st.none()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=30)
    | st.text(alphabet="\\'\"`;(),- #/*%_\n\r\0\x1a", max_size=30)
    | st.binary(min_size=1, max_size=20)
)


@given(
    st.lists(st.tuples(values, values, values), min_size=1, max_size=8),
    st.integers(1, 40),
    st.booleans(),
    st.integers(1, 4),
)
def test_what_was_dumped_is_read_however_it_is_cut(rows, piece, named, per_insert):
    columns = ("id", "one two", "three")
    dump = dumped("domains", columns, rows, named=named, per_insert=per_insert)
    found = read(dump, "domains", piece=piece)
    assert [(database, table) for database, table, _ in found] == [("postal", "domains")] * len(
        rows
    )
    assert [tuple(row.values()) for *_, row in found] == rows
    assert all(tuple(row) == columns for *_, row in found)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_octets_end_with_rows_or_with_one_clear_error(octets, piece):
    for dump in (octets, b"INSERT INTO `domains` VALUES (" + octets):
        try:
            read(dump, "domains", piece=piece)
        except UsageError:
            pass
        except StopIteration:
            pytest.fail("an iterator's end is no error of a dump")


def test_tables_that_are_not_wanted_are_passed_over_whatever_they_hold():
    raw = "INSERT INTO `domains` VALUES (1);\n" + "'" * 3 + "\\" * 5
    dump = dumped("raw-2026-01-01", ("id", "data"), [(1, raw), (2, raw.encode())])
    dump += dumped("domains", ("id", "name"), [(7, "a.example")])
    assert read(dump, "domains", piece=7) == [("postal", "domains", {"id": 7, "name": "a.example"})]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"'it''s'", "it's"),
        (b"'50\\% of \\_x'", "50% of _x"),
        (b"'gr\\\xc3\xbc\xc3\x9fe'", "grüße"),
        (b"_binary '\\0\xff'", b"\x00\xff"),
        (b"_utf8mb4 'x'", "x"),
        (b"'\xff\xfe'", b"\xff\xfe"),
        (b"x'00FF'", b"\x00\xff"),
        (b"0x00ff", b"\x00\xff"),
        (b"b'101'", 5),
        (b"-1.5e3", -1500.0),
        (b"1760000000.123456", 1760000000.123456),
        (b"true", 1),
        (b"null", None),
        (b'"double ""x"""', 'double "x"'),
    ],
)
def test_literals(text, expected):
    dump = b"CREATE TABLE `t` (`a` int);INSERT IGNORE INTO `d`.`t` (a) VALUES (" + text + b");"
    assert read(dump, "t") == [("d", "t", {"a": expected})]


@pytest.mark.parametrize(
    "dump",
    [
        b"INSERT INTO `t` VALUES (1);",  # no columns are known
        b"CREATE TABLE `t` (`a` int);INSERT INTO `t` VALUES (1,2);",
        b"CREATE TABLE `t` (`a` int);INSERT INTO `t` VALUES ('open);",
        b"CREATE TABLE `t` (`a` int);INSERT INTO `t` VALUES (1",
        b"CREATE TABLE `t` (`a` int);INSERT INTO `t` VALUES (NOW());",
        b"CREATE TABLE `t` (`a` int);INSERT INTO `t` SELECT 1;",
        b"CREATE TABLE `t` (`a` int);INSERT INTO `t` VALUES (0xZZ);",
        b"USE",
        b"INSERT INTO",
        b"INSERT INTO `a`.",
        b"\x01",
    ],
)
def test_what_is_no_dump_is_said_so(dump):
    with pytest.raises(UsageError):
        read(dump, "t")


def test_databases_are_told_apart_in_one_file_and_in_several(tmp_path):
    main = dumped("domains", ("id", "name"), [(1, "a")])
    links = dumped("links", ("id", "url"), [(5, "https://x")]).replace(b"Database: postal", b"")
    together = main + b"USE `postal-server-3`;\n" + links
    packed = tmp_path / "one.sql.gz"
    packed.write_bytes(gzip.compress(together))
    source = DumpSource([packed])
    assert list(source.main()) == [("domains", {"id": 1, "name": "a"})]
    assert list(source.messages("links")) == [(3, {"id": 5, "url": "https://x"})]
    one, other = tmp_path / "main.sql", tmp_path / "server.sql"
    one.write_bytes(main)
    other.write_bytes(
        dumped("links", ("id", "url"), [(6, "u")]).replace(b"postal", b"postal-server-12")
    )
    source = DumpSource([one, other])
    assert [table for table, _ in source.main()] == ["domains"]
    assert list(source.messages("links")) == [(12, {"id": 6, "url": "u"})]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        list(DumpSource([tmp_path / "nowhere.sql"]).main())
    cut = tmp_path / "cut.sql.gz"
    cut.write_bytes(gzip.compress(b"-- x" * 1000)[:-20])
    with pytest.raises(UsageError, match="cut"):
        list(DumpSource([cut]).main())


@pytest.mark.parametrize(
    ("name", "server"),
    [("postal", None), ("postal-server-7", 7), ("x-server-", None), ("my-server-1x", None)],
)
def test_a_message_database_is_known_by_its_name(name, server):
    assert server_of(name) == server


def test_a_long_word_is_not_scanned_again_for_each_piece():
    body = "x" * 3_000_000
    dump = dumped("links", ("id", "url"), [(1, body)])
    reads = []

    def reading(stream, size):
        reads.append(size)
        return stream.read(size)

    stream = io.BytesIO(dump)
    (found,) = read_rows(Words(lambda size: reading(stream, size), 1_000), ("links",))
    assert found[2]["url"] == body
    assert len(reads) < 40
