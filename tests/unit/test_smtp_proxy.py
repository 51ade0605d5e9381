"""The PROXY header in any pieces, against aiosmtpd's own reader as the oracle."""

import asyncio
import struct
from ipaddress import ip_address

import pytest
from aiosmtpd.proxy_protocol import get_proxy
from hypothesis import given, settings
from hypothesis import strategies as st

from egress.core.smtp_proxy import MalformedProxyHeaderError, ProxyHeader

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FOUR = bytes([192, 0, 2, 1, 192, 0, 2, 9]) + struct.pack("!HH", 40_000, 587)
SIX = ip_address("2001:db8::1").packed + ip_address("2001:db8::9").packed + FOUR[8:]


def binary(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(rest)) + rest


def read(wire: bytes, step: int = 10**6) -> tuple[str | None, bytes]:
    """Feed at most `step` octets at a time; return the source and what was left alone."""
    header, at = ProxyHeader(), 0
    while header.wanted:
        piece = wire[at : at + min(step, header.wanted)]
        assert piece, "the header is not complete"
        header.feed(piece)
        at += len(piece)
    return header.source, wire[at:]


GOOD = [
    (b"PROXY TCP4 192.0.2.1 192.0.2.9 40000 587\r\n", "192.0.2.1"),
    (b"PROXY TCP6 2001:db8::1 2001:db8::9 40000 587\r\n", "2001:db8::1"),
    (b"PROXY TCP4 1.1.1.1 2.2.2.2 0 0\r\n", "1.1.1.1"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
    (binary(0x21, 0x11, FOUR), "192.0.2.1"),
    (binary(0x21, 0x21, SIX), "2001:db8::1"),
    (binary(0x21, 0x11, FOUR + b"\x04\0\x03abc"), "192.0.2.1"),  # with a TLV
    (binary(0x20, 0x00, b""), None),
    (binary(0x20, 0x11, FOUR), None),
    (binary(0x21, 0x00, b"\x04\0\x03abc"), None),
    (binary(0x21, 0x31, b"a" * 216), None),
]


@pytest.mark.parametrize(("wire", "source"), GOOD)
@pytest.mark.parametrize("step", [1, 2, 3, 15, 10**6])
def test_a_header_is_read_to_its_last_octet_and_no_further(
    wire: bytes, source: str | None, step: int
) -> None:
    assert read(wire + b"\x16\x03\x01", step) == (source, b"\x16\x03\x01")


@pytest.mark.parametrize(("wire", "source"), GOOD)
async def test_good_headers_mean_the_same_to_the_library(wire: bytes, source: str | None) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(wire)
    reader.feed_eof()
    theirs = await get_proxy(reader)
    assert theirs.valid
    if source is not None:
        assert str(theirs.src_addr) == source


def test_a_mapped_address_is_the_ipv4_address_it_means() -> None:
    assert read(b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n")[0] == "192.0.2.1"


@pytest.mark.parametrize(
    "wire",
    [
        b"EHLO app.test\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"PROXY\r\nEHLO app.test\r\n",
        b"proxy TCP4 192.0.2.1 192.0.2.9 40000 587\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.9 40000\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.9 40000 70000\r\n",
        b"PROXY TCP4 192.0.2.1  192.0.2.9 40000 587\r\n",
        b"PROXY TCP4 192.0.2.01 192.0.2.9 40000 587\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::9 40000 587\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.9 40000 587\r\n",
        b"PROXY TCP6 fe80::1%eth0 fe80::2 40000 587\r\n",
        b"PROXY TCP4 host.test 192.0.2.9 40000 587\r\n",
        b"PROXY UDP4 192.0.2.1 192.0.2.9 40000 587\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.9 40000 587\n" + b" " * 80,
        b"PROXY UNKNOWN" + b"x" * 200,
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n" + b"x" * 20,
        SIGNATURE + b"\x11\x11\0\x0c" + FOUR,
        binary(0x22, 0x11, FOUR),
        binary(0x21, 0x11, FOUR[:11]),
        binary(0x21, 0x21, FOUR),
        binary(0x21, 0x12, FOUR),
        binary(0x21, 0x41, FOUR),
        binary(0x21, 0x11, FOUR + b"x" * 600),
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
@pytest.mark.parametrize("step", [1, 7, 10**6])
def test_anything_else_is_malformed(wire: bytes, step: int) -> None:
    with pytest.raises(MalformedProxyHeaderError):
        read(wire, step)


@settings(max_examples=100)
@given(
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY UNKNOWN", SIGNATURE,
                     SIGNATURE + b"\x21\x11\0", SIGNATURE + b"\x21\x21\0\x24"]),
    st.binary(max_size=700),
    st.integers(1, 40),
)  # fmt: skip
def test_no_octets_make_it_wait_for_more_than_a_header_or_raise_anything_else(
    start: bytes, rest: bytes, step: int
) -> None:
    wire, header, at = start + rest, ProxyHeader(), 0
    try:
        while header.wanted and at < len(wire):
            piece = wire[at : at + min(step, header.wanted)]
            header.feed(piece)
            at += len(piece)
            assert at + header.wanted <= 536
    except MalformedProxyHeaderError:
        return
    if header.source is not None:
        ip_address(header.source)
