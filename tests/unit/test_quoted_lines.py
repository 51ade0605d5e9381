"""Lines of visible ASCII are quoted as binascii does it."""

from binascii import b2a_qp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.tracking_token import TrackingKey, click_token, click_tokens
from mailroom.domain.transfer_encoding import quoted_printable

LINES = st.text(alphabet="ab =.<\t\x01é", max_size=320).map(str.encode)


@given(LINES)
def test_a_line_is_quoted_as_binascii_quotes_it(line: bytes) -> None:
    assert quoted_printable(line) == b2a_qp(line, istext=False).replace(b"\n", b"\r\n")


@pytest.mark.parametrize("size", [16, 32, 64, 65, 200])
def test_tokens_made_together_are_those_made_one_by_one(size: int) -> None:
    key = TrackingKey("a", b"k" * size)
    make = click_tokens(key, server="abcdefghij", number=7, index=3)
    for url in ("https://a.example/", "https://b.example/?c=1&d=é"):
        one = click_token(key, server="abcdefghij", number=7, index=3, url=url)
        assert make(url) == one
