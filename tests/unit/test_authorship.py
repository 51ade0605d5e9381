"""Who a message says it is from, and which domain answers for it."""

import pytest

from mailroom.domain.authorship import authors, signing_domain
from mailroom.domain.headers import fields

VERIFIED = {"demo.example", "other.example"}


def signer(header: bytes) -> str | None:
    return signing_domain(list(fields(header)), VERIFIED.__contains__)


@pytest.mark.parametrize(
    ("header", "domain"),
    [
        (b"From: a@demo.example\r\n", "demo.example"),
        (b"FROM : Ann <a@Demo.Example>\r\n", "demo.example"),
        (b"From: Ann\r\n <a@demo.example>\r\n", "demo.example"),
        (b"From: =?utf-8?q?J=C3=B6rg?= <j@demo.example>\r\n", "demo.example"),
        ("From: Jörg <j@demo.example>\r\n".encode(), "demo.example"),
        (b"From: a@demo.example, b@other.example\r\n", "demo.example"),
        (b"From: a@other.example\r\nFrom: b@demo.example\r\n", "other.example"),
        (b"From: eve@evil.example\r\n", None),
        (b"From: a@sub.demo.example\r\n", None),
        (b"From: a@demo.example, eve@evil.example\r\n", None),
        (b"From: a@demo.example\r\nFrom: eve@evil.example\r\n", None),
        (b"From: a@demo.example\r\nFrom: nonsense\r\n", None),
        (b"From: a@demo.example\r\nFrom: a@demo.example>\r\n", None),
        (b'From: "a@demo.example" <eve@evil.example>\r\n', None),
        (b"From: a@demo.example <eve@evil.example>\r\n", None),
        (b"From: a@demo.example\0\r\n", None),
        (b"From: \xff@demo.example\xff\r\n", None),
        (b"From:\r\n", None),
        (b"Sender: a@demo.example\r\n", None),  # only From is looked at
        (b"X-From: a@demo.example\r\n", None),
        (b"", None),
    ],
)
def test_the_first_author_signs_if_all_are_verified(header: bytes, domain: str | None) -> None:
    assert signer(header) == domain


def test_authors_of_all_from_fields_in_order() -> None:
    header = list(fields(b"From: a@x.example\r\nTo: t@x.example\r\nFrom: B <b@y.example>\r\n"))
    assert [str(author) for author in authors(header)] == ["a@x.example", "b@y.example"]
