"""Header blocks of raw messages: any octets are read, and a hostile one costs little."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain import headers
from mailroom.domain.headers import Field, fields, problem_with, split, to_crlf

TOKENS = [b"From", b":", b" ", b"\t", b"\r\n", b"\r", b"\n", b"a@b.example", b"=?utf-8?q?=C3?="]
ODD = [b"\0", b"\xff", b"X-Y: z\r\n"]
PIECES = st.lists(st.sampled_from([*TOKENS, *ODD]) | st.binary(max_size=5), max_size=20).map(
    b"".join
)
MULTIPART = b'Content-Type: multipart/mixed; boundary="%s"\r\n\r\n--%s\r\n'


def value(text: bytes) -> str:
    return Field("subject", text, 0, len(text)).text


def nested(depth: int, ending: bytes = b"") -> bytes:
    names = [b"b%d" % level for level in range(depth)]
    opened = b"".join(MULTIPART % (name, name) for name in names)
    return opened + b"x" + b"".join(b"\r\n--%s--\r\n" % name for name in reversed(names)) + ending


def test_fields_keep_their_order_repeats_and_place() -> None:
    block = b"To: a\r\nX-Fold: one\r\n\ttwo\r\n three\r\nno field\r\nTO : b \r\nEmpty:\r\n"
    found = list(fields(block))
    assert [(f.name, f.value) for f in found] == [
        ("to", b"a"),
        ("x-fold", b"one\ttwo three"),
        ("to", b"b"),
        ("empty", b""),
    ]
    assert block[found[1].start : found[1].end] == b"X-Fold: one\r\n\ttwo\r\n three\r\n"


def test_a_last_field_without_its_line_end_is_read() -> None:
    assert [f.value for f in fields(b"A: 1\r\nB: 2")] == [b"1", b"2"]


@pytest.mark.parametrize(
    ("raw", "block", "rest"),
    [
        (b"A: 1\r\n\r\nbody", b"A: 1\r\n", b"\r\nbody"),
        (b"A: 1\r\n", b"A: 1\r\n", b""),
        (b"\r\nbody", b"", b"\r\nbody"),
        (b"", b"", b""),
    ],
)
def test_where_the_header_ends(raw: bytes, block: bytes, rest: bytes) -> None:
    assert split(raw) == (block, rest)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (b"a\nb\rc\r\nd", b"a\r\nb\r\nc\r\nd"),
        (b"\n\r", b"\r\n\r\n"),
        (b"\r\r\n", b"\r\n\r\n"),
        (b"a\r\nb\r\n", b"a\r\nb\r\n"),
        (b"", b""),
    ],
)
def test_every_line_end_becomes_crlf(raw: bytes, wanted: bytes) -> None:
    assert to_crlf(raw) == wanted


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        ("grüße".encode(), "grüße"),
        (b"=?utf-8?q?gr=C3=BC=C3=9Fe?=", "grüße"),
        (b"=?iso-8859-1?b?4Q==?= =?utf-8?q?b?=", "áb"),
        (b"=?utf-8?b?//8=?=", "=?utf-8?b?//8=?="),  # damaged: left alone
        (b"=?no-such?q?a?=", "=?no-such?q?a?="),
        ("=?ü?q?a?=".encode(), "=?ü?q?a?="),  # a charset that is not even ASCII
        (b"=?utf-7?q?+2AA-?=", "?"),  # half a surrogate pair: no UTF-8 can write it
        (b"=?unicode_escape?q?=5Cud800?=", "?"),
        (b"\xff", "\ufffd"),
        (b"=?utf-8?q?a?= " * 400, "=?utf-8?q?a?= " * 400),  # too long to be worth decoding
    ],
)
def test_encoded_words(raw: bytes, text: str) -> None:
    assert value(raw) == text


@given(st.lists(st.sampled_from(["=?", "?=", "?q?", "?b?", "utf-8", "utf-7", "ü", "+2AA-", " "])))
@settings(max_examples=100)
def test_any_value_has_a_text_that_can_be_stored(parts: list[str]) -> None:
    value("".join(parts).encode()).encode()


@given(PIECES)
@settings(max_examples=100)
def test_any_octets_are_read_without_overlap(raw: bytes) -> None:
    raw = to_crlf(raw)
    block, rest = split(raw)
    assert block + rest == raw
    end = 0
    for field in fields(block):
        assert end <= field.start < field.end <= len(block)
        end = field.end
    assert problem_with(raw) is None or problem_with(raw)


@given(PIECES)
@settings(max_examples=100)
def test_line_ends_are_mended_once_and_for_all(raw: bytes) -> None:
    mended = to_crlf(raw)
    assert to_crlf(mended) == mended
    assert mended.count(b"\n") == mended.count(b"\r") == mended.count(b"\r\n")


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"From: a@b.example\r\n\r\nx\r\n", None),
        (b"From: a@b.example", None),
        (b"", "no header fields"),
        (b"\r\nFrom: a@b.example\r\n", "no header fields"),
        (b"just text\r\n\r\nx", "no header fields"),
        (b"From: a\0b\r\n\r\n", "NUL"),
        (b"From: a@b.example\r\n\r\n\0", None),  # binary bodies are the body's business
        (b"A: 1\r\n" * 2_001 + b"\r\n", "longer than"),
        (b"A: " + b"x" * headers.MAX_HEADER_OCTETS + b"\r\n\r\n", "longer than"),
        (b"A: 1\r\n" * 2_000 + b"\r\n", None),
    ],
)
def test_what_makes_a_message_unfit(raw: bytes, complaint: str | None) -> None:
    problem = problem_with(raw)
    assert problem is None if complaint is None else complaint in (problem or "")


@pytest.mark.parametrize(("depth", "fit"), [(100, True), (101, False)])
def test_multiparts_may_be_nested_a_hundred_deep(depth: int, fit: bool) -> None:
    assert (problem_with(b"From: a@b.example\r\n" + nested(depth)) is None) == fit


def test_many_multiparts_side_by_side_are_no_depth() -> None:
    digest = b"".join(nested(1, b"%d" % number) for number in range(500))
    assert problem_with(b"From: a@b.example\r\n" + digest) is None


def test_a_boundary_used_again_is_counted_where_it_is_open() -> None:
    again = nested(99) + nested(99)
    assert problem_with(b"From: a@b.example\r\n" + again) is None


@pytest.mark.timeout(60)  # a search from every opening would take many minutes
def test_a_million_openings_cost_little() -> None:
    lines = b"content-type: multipart/x; boundary=abc\r\n" * 200_000
    assert problem_with(b"From: a@b.example\r\n\r\n" + lines)
