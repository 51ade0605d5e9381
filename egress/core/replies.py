"""Reads SMTP replies out of bytes (RFC 5321 section 4.2). The peer is hostile until proven idle."""

import re

MAX_LINE = 2048  # octets; RFC 5321 section 4.5.3.1.5 allows servers 512
MAX_REPLY = 16384  # octets of all lines of one reply
MAX_LINES = 200

_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?\Z", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class MalformedReplyError(ValueError):
    """The bytes are no SMTP reply, or a longer one than any honest server sends."""


def take_reply(buffer: bytearray) -> tuple[int, str] | None:
    """Remove the first whole reply from `buffer`; return its code and text, or None if not whole.

    Lines of text are joined with newlines; what is not UTF-8 is replaced, control characters
    become spaces. A bare LF ends a line too: the reply is read, not passed on. The last line's
    code counts. Raises MalformedReplyError for anything that can never become a reply.
    """
    texts: list[bytes] = []
    start = 0
    while (end := buffer.find(b"\n", start, start + MAX_LINE)) >= 0:
        line = bytes(buffer[start:end]).rstrip(b"\r")
        found = _LINE.match(line)
        if not found:
            raise MalformedReplyError(f"malformed reply {line[:80]!r}")
        texts.append(found[3] or b"")
        start = end + 1
        if found[2] != b"-":
            del buffer[:start]
            return int(found[1]), _readable(texts)
        if len(texts) >= MAX_LINES or start > MAX_REPLY:
            raise MalformedReplyError("endless reply")
    if len(buffer) - start >= MAX_LINE:
        raise MalformedReplyError("over-long reply line")
    return None


def _readable(texts: list[bytes]) -> str:
    lines = (each.decode("utf-8", "replace") for each in texts)
    return "\n".join(_CONTROL.sub(" ", line).strip() for line in lines)
