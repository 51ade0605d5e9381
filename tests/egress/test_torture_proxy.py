"""Torture: PROXY headers of both versions, each field of them wrong once."""

from dataclasses import replace

import pytest

from egress.core.smtp_proxy import MalformedProxyHeaderError, ProxyHeader
from tests.egress.submission_stand import CALM
from tests.support.submission_torture import Case, Start, cases, run

BALANCER = ("127.0.0.1/32",)
TRUSTED = b"PROXY TCP4 192.0.2.77 127.0.0.1 40000 587\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
IPV4 = bytes([192, 0, 2, 78, 127, 0, 0, 1, 1, 1, 2, 2])
IPV6 = bytes([0x20, 1, 0xD, 0xB8, *[0] * 11, 1, *[0] * 15, 1, 1, 1, 2, 2])


def binary(command: int, family: int, addresses: bytes, size: int | None = None) -> bytes:
    length = len(addresses) if size is None else size
    return SIGNATURE + bytes([command, family]) + length.to_bytes(2, "big") + addresses


LINES = {
    "small-letters": b"proxy TCP4 192.0.2.77 127.0.0.1 40000 587",
    "leading-space": b" PROXY TCP4 192.0.2.77 127.0.0.1 40000 587",
    "two-spaces": b"PROXY  TCP4 192.0.2.77 127.0.0.1 40000 587",
    "tabs": b"PROXY\tTCP4 192.0.2.77 127.0.0.1 40000 587",
    "trailing-space": b"PROXY TCP4 192.0.2.77 127.0.0.1 40000 587 ",
    "one-word-more": b"PROXY TCP4 192.0.2.77 127.0.0.1 40000 587 x",
    "one-word-less": b"PROXY TCP4 192.0.2.77 127.0.0.1 40000",
    "udp": b"PROXY UDP4 192.0.2.77 127.0.0.1 40000 587",
    "tcp5": b"PROXY TCP5 192.0.2.77 127.0.0.1 40000 587",
    "no-protocol": b"PROXY 192.0.2.77 127.0.0.1 40000 587",
    "joined-unknown": b"PROXY UNKNOWNX 1",
    "source-too-big": b"PROXY TCP4 192.0.2.256 127.0.0.1 40000 587",
    "source-with-zeros": b"PROXY TCP4 192.000.002.077 127.0.0.1 40000 587",
    "source-short": b"PROXY TCP4 192.0.2 127.0.0.1 40000 587",
    "source-a-name": b"PROXY TCP4 localhost 127.0.0.1 40000 587",
    "source-a-number": b"PROXY TCP4 3221226061 127.0.0.1 40000 587",
    "source-8-bit": b"PROXY TCP4 192.0.2.\xb2 127.0.0.1 40000 587",
    "source-with-nul": b"PROXY TCP4 192.0.2.7\0 127.0.0.1 40000 587",
    "source-of-ipv6": b"PROXY TCP4 ::1 ::1 40000 587",
    "destination-none": b"PROXY TCP4 192.0.2.77 nowhere 40000 587",
    "families-mixed": b"PROXY TCP6 2001:db8::1 127.0.0.1 40000 587",
    "ipv4-as-ipv6": b"PROXY TCP6 192.0.2.77 127.0.0.1 40000 587",
    "ipv6-in-brackets": b"PROXY TCP6 [2001:db8::1] [::1] 40000 587",
    "ipv6-with-a-zone": b"PROXY TCP6 fe80::1%eth0 ::1 40000 587",
    "ipv6-too-long": b"PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 40000 587",
    "port-too-big": b"PROXY TCP4 192.0.2.77 127.0.0.1 65536 587",
    "port-negative": b"PROXY TCP4 192.0.2.77 127.0.0.1 -1 587",
    "port-with-zeros": b"PROXY TCP4 192.0.2.77 127.0.0.1 00400 587",
    "port-a-word": b"PROXY TCP4 192.0.2.77 127.0.0.1 smtp 587",
    "other-port-too-big": b"PROXY TCP4 192.0.2.77 127.0.0.1 40000 99999",
    "too-long": b"PROXY UNKNOWN " + b"x" * 200,
    "unknown-with-controls": b"PROXY UNKNOWN \x1b[2J",
}
BINARIES = {
    **{
        f"signature-octet-{at}": SIGNATURE[:at] + b"?" + SIGNATURE[at + 1 :] + b"\x21\x11\0\0"
        for at in range(12)
    },
    "version-1": binary(0x11, 0x11, IPV4),
    "version-3": binary(0x31, 0x11, IPV4),
    "version-0": binary(0x01, 0x11, IPV4),
    "command-2": binary(0x22, 0x11, IPV4),
    "command-15": binary(0x2F, 0x11, IPV4),
    "family-udp": binary(0x21, 0x12, IPV4),
    "family-udp6": binary(0x21, 0x22, IPV6),
    "family-unix-datagram": binary(0x21, 0x32, bytes(216)),
    "family-9": binary(0x21, 0x91, IPV4),
    "protocol-9": binary(0x21, 0x19, IPV4),
    "ipv4-of-11": binary(0x21, 0x11, IPV4[:11]),
    "ipv4-of-nothing": binary(0x21, 0x11, b""),
    "ipv6-of-35": binary(0x21, 0x21, IPV6[:35]),
    "ipv6-of-an-ipv4": binary(0x21, 0x21, IPV4),
    "length-65535": binary(0x21, 0x11, IPV4, 65_535),
    "length-537": binary(0x21, 0x11, IPV4 + bytes(525)),
}
OTHERS = {
    "none-but-ehlo": b"EHLO a\r\n",
    "none-but-tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "none-but-http": b"GET / HTTP/1.1\r\n\r\n",
    "none-but-nuls": bytes(100),
    "none-but-noise": b"\xff" * 100,
    "an-empty-line": b"\r\n" + TRUSTED,
    "a-bare-lf": TRUSTED.replace(b"\r\n", b"\n"),
    "cr-cr-lf": TRUSTED.replace(b"\r\n", b"\r\r\n"),
}
MALFORMED = {**{n: line + b"\r\n" for n, line in LINES.items()}, **BINARIES, **OTHERS}
REFUSED = tuple(
    Case(f"proxy-{name}", header + b"EHLO a\r\n", "502 5.5.2", Start.CONNECTED, stays=False,
         proxies=BALANCER)
    for name, header in MALFORMED.items()
)  # fmt: skip
UNFINISHED = tuple(
    Case(f"proxy-{name}-{how}", header, "", Start.CONNECTED, stays=False, ends=ends,
         proxies=BALANCER, limits=replace(CALM, proxy_time=0.05))
    for name, header in (
        ("nothing", b""),
        ("half-a-line", TRUSTED[:20]),
        ("line-without-lf", TRUSTED[:-1]),
        ("half-a-signature", SIGNATURE[:6]),
        ("half-addresses", binary(0x21, 0x11, IPV4)[:-3]),
        ("more-announced", binary(0x21, 0x11, IPV4, 500)),
    )
    for how, ends in (("waited-for", False), ("half-closed", True))
)  # fmt: skip
SPOKEN_FOR = tuple(
    Case(f"proxy-{name}", header + b"EHLO a\r\n", "220, 250", Start.CONNECTED, proxies=BALANCER)
    for name, header in (
        ("of-a-client", TRUSTED),
        ("unknown", b"PROXY UNKNOWN\r\n"),
        ("unknown-with-more", b"PROXY UNKNOWN ffff:f::f ffff:f::f 65535 65535\r\n"),
        ("binary", binary(0x21, 0x11, IPV4)),
        ("binary-ipv6", binary(0x21, 0x21, IPV6)),
        ("binary-with-more", binary(0x21, 0x11, IPV4 + bytes(500))),
        ("binary-local", binary(0x20, 0, b"")),
        ("binary-local-with-more", binary(0x20, 0x11, IPV4)),
        ("binary-unspecified", binary(0x21, 0, bytes(100))),
    )
)
OTHER_PLACES = (
    Case("a-second-header", TRUSTED * 2, "220, 502 5.5.1", Start.CONNECTED, proxies=BALANCER),
    Case("a-header-from-anybody", TRUSTED, "502 5.5.1", Start.STRANGER),
    Case("a-binary-header-from-anybody", binary(0x21, 0x11, IPV4),
         ", ".join(["500 5.5.2"] * 4), Start.STRANGER, stays=False, ends=True),
)  # fmt: skip
CASES = REFUSED + UNFINISHED + SPOKEN_FOR + OTHER_PLACES


@cases(CASES)
async def test_any_proxy_header_gets_the_right_codes(case: Case) -> None:
    await run(case)


def octets_read(header: bytes) -> int:
    """How many octets were taken before the header was refused."""
    reading = ProxyHeader()
    for number, octet in enumerate(header, 1):
        try:
            reading.feed(bytes([octet]))
        except MalformedProxyHeaderError:
            return number
        assert reading.wanted, "taken for a whole header"
    raise AssertionError("not refused")


@pytest.mark.parametrize("header", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_header_is_refused_however_it_comes(header: bytes) -> None:
    assert octets_read(header) <= 536
