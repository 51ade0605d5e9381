"""Reading header blocks of raw messages, byte by byte and without surprises.

The email package re-serialises, guesses charsets and is slow per message; accepting and
rendering need only names, raw values and where they stand.
"""

import re
from collections.abc import Iterable, Iterator
from email.errors import MessageError
from email.header import decode_header, make_header
from typing import NamedTuple

MAX_HEADER_LINES = 2_000
MAX_HEADER_OCTETS = 512 * 1024
MAX_NESTING = 100
MAX_DECODED = 4_000  # octets of a value whose encoded words are decoded

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\r]*(?:(?:\r(?!\n)|\r\n[ \t])[^\r]*)*)(?:\r\n|\Z)")
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_NEWLINE = re.compile(rb"\r\n|\r|\n")
_MULTIPART = re.compile(
    rb"^content-type[ \t]*:[ \t]*multipart/(?:[^\r]|\r\n[ \t])*?boundary[ \t]*=[ \t]*"
    rb"(?:\"((?:[^\"\\\r]|\\.){1,200})\"|([^\s;\"]{1,200}))",
    re.IGNORECASE | re.MULTILINE,
)
_CLOSING = re.compile(rb"\r\n--([^\r\n]{1,200})--[ \t]*(?=\r\n|\Z)")


class Field(NamedTuple):
    """One header field; `value` is unfolded and stripped, `start`/`end` its place in the block."""

    name: str  # lower case
    value: bytes
    start: int
    end: int

    @property
    def text(self) -> str:
        """The value with encoded words decoded (RFC 2047); damaged or long ones stay as they are.

        Always text that UTF-8 can write, whatever charset the words claim.
        """
        raw = self.value.decode("utf-8", "replace")
        if len(self.value) > MAX_DECODED:
            return raw
        try:
            text = str(make_header(decode_header(raw)))
        except (MessageError, LookupError, UnicodeError, ValueError):
            return raw
        return text.encode("utf-8", "replace").decode("utf-8")


def to_crlf(raw: bytes) -> bytes:
    """Return `raw` with every line ending (CRLF, lone CR, lone LF) written as CRLF."""
    # One look for the common case: nothing to do costs two counts instead of a rewrite.
    if raw.count(b"\n") == raw.count(b"\r") == raw.count(b"\r\n"):
        return raw
    return _NEWLINE.sub(b"\r\n", raw)


def split(raw: bytes) -> tuple[bytes, bytes]:
    """Return (header block with its last CRLF, the rest from the empty line on). CRLF input."""
    if raw.startswith(b"\r\n"):
        return b"", raw
    end = raw.find(b"\r\n\r\n")
    return (raw, b"") if end < 0 else (raw[: end + 2], raw[end + 2 :])


def fields(block: bytes) -> Iterator[Field]:
    """Yield the fields of a header block in order. Lines that are no field are passed over."""
    at = 0
    while at < len(block):
        found = _FIELD.match(block, at)
        if found is None:
            following = block.find(b"\r\n", at)
            at = len(block) if following < 0 else following + 2
            continue
        value = found[2]
        if b"\r" in value:
            value = _FOLD.sub(b"", value)
        value = value.strip(b" \t\r\n")
        yield Field(found[1].decode("ascii").lower(), value, at, found.end())
        at = found.end()


def passes_through(header: Iterable[Field], host: str) -> int:
    """Count the Received fields that `host` wrote (`by HOST`, RFC 5321 section 4.4)."""
    wanted = ["by", host.lower()]
    words = (
        field.value.decode("latin-1").lower().replace(";", " ").split()
        for field in header
        if field.name == "received"
    )
    return sum(any(each[i : i + 2] == wanted for i in range(len(each))) for each in words)


def problem_with(raw: bytes) -> str | None:
    """Say in one sentence what makes `raw` unfit to be accepted, or None. CRLF input.

    Limits are ours: 2,000 header lines, 512 KiB of header, 100 nested multiparts.
    """
    block, _ = split(raw)
    if len(block) > MAX_HEADER_OCTETS or block.count(b"\r\n") > MAX_HEADER_LINES:
        return f"the header is longer than {MAX_HEADER_LINES} lines or {MAX_HEADER_OCTETS} octets"
    if next(fields(block), None) is None:
        return "the message has no header fields"
    if b"\0" in block:
        return "the header contains a NUL octet"
    if raw.lower().count(b"boundary") > MAX_NESTING and _nesting(raw) > MAX_NESTING:
        return f"MIME parts are nested more than {MAX_NESTING} deep"
    return None


def _nesting(raw: bytes) -> int:
    """Return how deep multiparts are nested, by the boundaries open at the same time."""
    openings = [(m.start(), m[1] or m[2]) for m in _MULTIPART.finditer(raw)]
    # Read once from the end: a search from each opening would take minutes for a hostile message.
    closings = [(m.start(), m[1]) for m in _CLOSING.finditer(raw)]
    next_end: dict[bytes, int] = {}
    ends = []
    for start, boundary in reversed(openings):
        while closings and closings[-1][0] > start:
            end, name = closings.pop()
            next_end[name] = end
        ends.append(next_end.get(boundary, len(raw)))
    depth = deepest = 0
    for _, step in sorted([(s, 1) for s, _ in openings] + [(e, -1) for e in ends]):
        depth += step
        deepest = max(deepest, depth)
    return deepest
