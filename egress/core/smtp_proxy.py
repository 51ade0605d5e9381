"""The PROXY protocol of HAProxy, versions 1 and 2: who really connected, said by the balancer.

It is read octet for octet: what follows the header may be a TLS handshake, which nobody else
could be given back.
"""

import re
from ipaddress import IPv4Address, IPv6Address

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # section 2.2 of the specification
_FIXED = len(_SIGNATURE) + 4
_SHORTEST = len(b"PROXY UNKNOWN\r\n")
_LONGEST_LINE = 107  # section 2.1
_MAX_OCTETS = 536  # section 2.2: what any receiver must take; TLVs beyond that are not for us
_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: [ -~]*)?|TCP([46]) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4}))\r\n\Z"
)
_IPV4, _IPV6, _NO_ADDRESS = 0x11, 0x21, frozenset({0x00, 0x31})  # TCP only; UNSPEC and UNIX


class MalformedProxyHeaderError(ValueError):
    """The octets are no PROXY header, or one that cannot be about a TCP connection."""


class ProxyHeader:
    """A header that comes in pieces. `source` is the client's IP address once `wanted` is 0, or
    None when the balancer speaks for itself (LOCAL) or does not know (UNKNOWN, UNSPEC).
    """

    def __init__(self) -> None:
        self._octets = bytearray()
        self.wanted = _SHORTEST  # at most so many octets may be read: all belong to the header
        self.source: str | None = None

    def feed(self, octets: bytes) -> None:
        """Take at most `wanted` octets. Raises MalformedProxyHeaderError."""
        self._octets += octets
        known = bytes(self._octets[: len(_SIGNATURE)])
        if _SIGNATURE.startswith(known):
            self._feed_binary()
        elif b"PROXY ".startswith(known[:6]):
            self._feed_line()
        else:
            raise MalformedProxyHeaderError("no PROXY header")

    def _feed_line(self) -> None:
        line = bytes(self._octets)
        if line.endswith(b"\r\n"):
            self.wanted, self.source = 0, _source_of_line(line)
            return
        if len(line) >= _LONGEST_LINE or b"\n" in line:
            raise MalformedProxyHeaderError("a line without an end")
        at_least = _SHORTEST - len(line)
        self.wanted = max(at_least, 1 if line.endswith(b"\r") else 2)
        self.wanted = min(self.wanted, _LONGEST_LINE - len(line))

    def _feed_binary(self) -> None:
        if len(self._octets) < _FIXED:
            self.wanted = _FIXED - len(self._octets)
            return
        size = _FIXED + int.from_bytes(self._octets[_FIXED - 2 : _FIXED], "big")
        if size > _MAX_OCTETS:
            raise MalformedProxyHeaderError("a header that is too long")
        self.wanted = size - len(self._octets)
        if not self.wanted:
            self.source = _source_of_binary(bytes(self._octets))


def _source_of_line(line: bytes) -> str | None:
    found = _LINE.match(line)
    if found is None:
        raise MalformedProxyHeaderError("a malformed line")
    if found[1] is None:
        return None
    kind = IPv4Address if found[1] == b"4" else IPv6Address
    try:
        source, _ = (kind(text.decode("ascii")) for text in (found[2], found[3]))
    except ValueError:
        raise MalformedProxyHeaderError("an address that is none") from None
    if max(int(found[4]), int(found[5])) > 65_535:
        raise MalformedProxyHeaderError("a port that is none")
    return _written(source)


def _source_of_binary(header: bytes) -> str | None:
    command, family = header[_FIXED - 4], header[_FIXED - 3]
    addresses = header[_FIXED:]
    if command == 0x20:  # LOCAL: a health check, say
        return None
    if command != 0x21:
        raise MalformedProxyHeaderError("a command or version that is none")
    if family in _NO_ADDRESS:
        return None
    if family == _IPV4 and len(addresses) >= 12:
        return _written(IPv4Address(addresses[:4]))
    if family == _IPV6 and len(addresses) >= 36:
        return _written(IPv6Address(addresses[:16]))
    raise MalformedProxyHeaderError("an address that is none")


def _written(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if isinstance(address, IPv6Address) and address.scope_id:
        raise MalformedProxyHeaderError("an address with a zone")
    return str(mapped or address)
