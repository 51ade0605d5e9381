"""SMTP replies out of bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egress.core.replies import MAX_LINE, MAX_REPLY, MalformedReplyError, take_reply


@pytest.mark.parametrize(
    ("octets", "reply", "rest"),
    [
        (b"250 ok\r\n", (250, "ok"), b""),
        (b"250\r\n", (250, ""), b""),
        (b"250-a\r\n250-\r\n250 b\r\n354 x", (250, "a\n\nb"), b"354 x"),
        (b"250 bare\n", (250, "bare"), b""),
        (b"250-a\r\n250\r\n", (250, "a\n"), b""),
        (b"554 5.7.1 \xe2\x82\xac \xff\x00\x1b[m\r\n", (554, "5.7.1 \u20ac \ufffd [m"), b""),
        (b"250-fine\r\n451 not\r\n", (451, "fine\nnot"), b""),
    ],
)
def test_replies_are_read(octets: bytes, reply: tuple[int, str], rest: bytes) -> None:
    buffer = bytearray(octets)
    assert take_reply(buffer) == reply
    assert buffer == rest


@pytest.mark.parametrize("octets", [b"", b"2", b"250 ok", b"250-a\r\n", b"250-a\r\n250 b\r"])
def test_what_has_not_ended_is_left_alone(octets: bytes) -> None:
    buffer = bytearray(octets)
    assert take_reply(buffer) is None
    assert buffer == octets


@pytest.mark.parametrize(
    "octets",
    [
        b"\r\n",
        b"hello\r\n",
        b"25 x\r\n",
        b"1_0 x\r\n",
        b"+25 x\r\n",
        b"150 x\r\n",
        b"650 x\r\n",
        b"250x\r\n",
        b"2500 x\r\n",
        b"250-a\r\nnext\r\n",
        b"x" * MAX_LINE,
        b"250 " + b"x" * MAX_LINE + b"\r\n",
        b"250-\r\n" * 300,
        (b"250-" + b"x" * 1000 + b"\r\n") * (MAX_REPLY // 1000 + 1),
    ],
)
def test_what_can_never_be_a_reply_is_malformed(octets: bytes) -> None:
    with pytest.raises(MalformedReplyError):
        take_reply(bytearray(octets))


@given(
    st.integers(200, 599),
    st.lists(st.text("abc \t.", max_size=20), min_size=1, max_size=5),
    st.data(),
)
@settings(max_examples=100)
def test_a_reply_reads_the_same_in_pieces(code: int, lines: list[str], draw: st.DataObject) -> None:
    marks = ["-"] * (len(lines) - 1) + [" "]
    octets = "".join(f"{code}{m}{t}\r\n" for m, t in zip(marks, lines, strict=True)).encode()
    cut = draw.draw(st.integers(0, len(octets) - 1))
    buffer = bytearray(octets[:cut])
    assert take_reply(buffer) is None
    buffer += octets[cut:]
    assert take_reply(buffer) == take_reply(bytearray(octets))
