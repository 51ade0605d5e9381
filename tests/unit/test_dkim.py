"""DKIM signing input: the canonical forms, the list of signed fields, the refusals."""

import hashlib
import re
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain import dkim

PLAIN = b"From: a@example.com\r\nTo: b@example.org\r\nSubject: hi\r\n\r\nbody\r\n"


def prepared(raw: bytes, **how: object) -> dkim.SigningInput:
    arguments = {"domain": "example.com", "selector": "s1", "timestamp": 1_700_000_000} | how
    return dkim.signing_input(raw, **arguments)  # type: ignore[arg-type]


def tag(header: bytes, name: bytes) -> bytes:
    flat = re.sub(rb"\s+", b"", header.partition(b":")[2])
    return dict(part.partition(b"=")[::2] for part in flat.split(b";"))[name]


@pytest.mark.parametrize(
    ("body", "relaxed"),
    [
        (b"", b""),
        (b"\r\n", b""),
        (b"\r\n\r\n", b""),
        (b" \t\r\n \r\n", b""),
        (b"a", b"a\r\n"),
        (b"a \t", b"a\r\n"),
        (b"a\r\n\r\n\r\n", b"a\r\n"),
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),  # RFC 6376 section 3.4.5
        (b"\r\na\r\n", b"\r\na\r\n"),
        (b"a\t \tb" + b" " * 999 + b"c\r\n", b"a b c\r\n"),
        (b"\xff\xa0 \xe9\r\n", b"\xff\xa0 \xe9\r\n"),
    ],
)
def test_bodies_in_the_relaxed_form(body: bytes, relaxed: bytes) -> None:
    assert dkim.relaxed_body(body) == relaxed


@given(st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"a", b"\xe9"]), max_size=40).map(b"".join))
@settings(max_examples=100)
def test_the_relaxed_form_says_what_the_rfc_says_line_by_line(body: bytes) -> None:
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    assert dkim.relaxed_body(body) == b"".join(line + b"\r\n" for line in lines)


def test_fields_are_signed_in_the_relaxed_form() -> None:
    raw = b"SUBJect :  a \t b\r\n\t c  \r\nfrom:x@example.com\r\nX-Other: no\r\n\r\n"
    signed = prepared(raw).to_sign
    assert signed.startswith(b"from:x@example.com\r\nsubject:a b c\r\ndkim-signature:v=1; ")
    assert signed.endswith(b"; b=")
    assert b"\r\n" not in signed.partition(b"dkim-signature:")[2]


def test_each_field_that_matters_is_listed_once_more_than_present() -> None:
    names = tag(prepared(PLAIN).header_without_b, b"h").split(b":")
    for name in dkim.OVERSIGNED:
        present = name in (b"from", b"to", b"subject")
        assert names.count(name) == 1 + present, name
    assert not set(names) & set(dkim.SIGNED)


def test_repeated_fields_are_signed_from_the_bottom_up() -> None:
    raw = b"References: 1\r\nFrom: a@example.com\r\nReferences: 2\r\nReferences: 3\r\n\r\n"
    made = prepared(raw)
    assert b"references:3\r\nreferences:2\r\nreferences:1\r\n" in made.to_sign
    assert tag(made.header_without_b, b"h").split(b":").count(b"references") == 3


def test_the_body_hash_can_be_brought_along() -> None:
    known = dkim.body_hash(PLAIN)
    assert known == hashlib.sha256(b"body\r\n").digest()
    assert prepared(PLAIN, body_hash=known) == prepared(PLAIN)
    other = prepared(PLAIN, body_hash=b"\0" * 32)
    assert tag(other.header_without_b, b"bh") == b64encode(b"\0" * 32)


def test_a_message_of_fields_only_has_an_empty_body() -> None:
    ends = (b"", b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n")
    hashes = {tag(prepared(b"From: a@example.com" + end).header_without_b, b"bh") for end in ends}
    assert hashes == {b64encode(hashlib.sha256(b"").digest())}


def test_the_finished_field_is_folded_and_complete() -> None:
    made = prepared(PLAIN)
    signature = bytes(range(256))
    field = dkim.finished_header(made, signature)
    assert field.endswith(b"\r\n")
    assert tag(field, b"b") == b64encode(signature)
    lines = field.removesuffix(b"\r\n").split(b"\r\n")
    assert all(len(line) <= 78 for line in lines)
    assert all(line.startswith(b"\t") for line in lines[1:])


@pytest.mark.parametrize(
    "raw",
    [
        PLAIN + b"bare\n",
        PLAIN + b"bare\r",
        PLAIN + b"a\n\rb\r\n",
        PLAIN.replace(b"\r\n", b"\n"),
        b"From: a@example.com\r\nX: a\rb\r\n\r\n",
    ],
)
def test_bare_line_ends_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="bare CR or LF"):
        prepared(raw)
    with pytest.raises(ValueError, match="bare CR or LF"):
        dkim.body_hash(raw)


def test_a_message_without_from_is_refused() -> None:
    with pytest.raises(ValueError, match="From"):
        prepared(b"Subject: x\r\n\r\nFrom: a@example.com\r\n")


@pytest.mark.parametrize(
    "name", ["", "a b", "a;d=other.example", "b\u00fccher.example", "a\r\nb", "-"]
)
def test_domains_and_selectors_cannot_add_tags(name: str) -> None:
    with pytest.raises(ValueError, match="host names"):
        prepared(PLAIN, domain=name)
    with pytest.raises(ValueError, match="host names"):
        prepared(PLAIN, selector=name)
