"""Records are the same wherever the chunks of their file were cut off."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.record_cut import MAX_LINES, MAX_RECORD, cut


def all_of(octets, size, *, quoted=True):
    """(line from 1, octets, problem) of a whole file read in chunks of `size`."""
    found, offset, line, skipping = [], 0, 0, False
    while offset < len(octets):
        chunk = octets[offset : offset + size]
        at_end = offset + len(chunk) >= len(octets)
        part = cut(chunk, at_end=at_end, quoted=quoted, skipping=skipping)
        assert part.octets > 0, "a chunk must come forward"
        found += [(line + r.line + 1, r.octets, r.problem) for r in part.records]
        offset, line, skipping = offset + part.octets, line + part.lines, part.skipping
    return found


SIZE = 3 * MAX_RECORD


@pytest.mark.parametrize(
    ("octets", "records"),
    [
        (b"", []),
        (b"a\nb", [(1, b"a", ""), (2, b"b", "")]),
        (b"a\r\n\r\nb\r\n", [(1, b"a", ""), (2, b"", ""), (3, b"b", "")]),
        (b'a,"x\ny"\nb', [(1, b'a,"x\ny"', ""), (3, b"b", "")]),
        (b'a,"x\nb\nc', [(1, b'a,"x\n', "a quote is not closed"), (2, b"b", ""), (3, b"c", "")]),
    ],
)
def test_records_end_where_lines_do_outside_quotes(octets, records):
    assert all_of(octets, SIZE) == records


def test_a_line_that_is_too_long_is_passed_over():
    long = b"x" * (10 * MAX_RECORD)
    found = all_of(b"a\n" + long + b"\nb\n", SIZE, quoted=False)
    assert found == [(1, b"a", ""), (2, b"", "the line is too long"), (3, b"b", "")]
    assert all_of(long, SIZE, quoted=False) == [(1, b"", "the line is too long")]


def test_a_quote_that_is_never_closed_costs_one_line():
    lines = [b'a,"x', *(b"r%d" % number for number in range(MAX_LINES * 30))]
    found = all_of(b"\n".join(lines), SIZE)
    assert [each for each in found if each[2]] == [(1, b'a,"x\n', "a quote is not closed")]
    assert len(found) == len(lines)


@given(st.lists(st.lists(st.text("ab\"'\n\r, é", max_size=9), min_size=1, max_size=3), max_size=40))
def test_what_a_csv_writer_wrote_is_cut_as_it_was_written(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerows(rows)
    found = all_of(out.getvalue().encode(), SIZE)
    again = [next(csv.reader([octets.decode()], strict=True)) for _, octets, _ in found]
    assert again == rows


@given(st.binary(max_size=200), st.booleans())
def test_every_octet_is_in_one_record_or_a_line_end(octets, quoted):
    found = all_of(octets, SIZE, quoted=quoted)
    joined = b"".join(each for _, each, _ in found)
    assert joined.replace(b"\r", b"").replace(b"\n", b"") == octets.replace(b"\r", b"").replace(
        b"\n", b""
    )
    assert all(not problem or quoted for _, _, problem in found)


@given(st.lists(st.integers(0, 2 * MAX_RECORD), max_size=12), st.integers(0, 2 * MAX_RECORD))
def test_where_a_chunk_ends_does_not_matter(lengths, more):
    octets = b"\n".join(b"y" * length for length in lengths)
    whole = all_of(octets, len(octets) + 1, quoted=False)
    assert all_of(octets, 2 * MAX_RECORD + 1 + more, quoted=False) == whole
