"""Content transfer encodings, by binascii, changing no line that need not change (RFC 2045)."""

import binascii

_PLAIN = frozenset({"", "7bit", "8bit"})
_WIDTH = 76  # characters of an encoded line, RFC 2045 sections 6.7 and 6.8
_FULL = _WIDTH - 1  # where a soft break follows
_VISIBLE = bytes(range(0x20, 0x7F))
_BLANKS = b"\r\n\t "


def is_plain(encoding: str) -> bool:
    """Say whether `encoding` leaves lines as they are ("" is 7bit, RFC 2045 section 6.1)."""
    return encoding in _PLAIN


def decoded(body: bytes, encoding: str) -> bytes | None:
    """Undo the transfer encoding `encoding` (lower case, "" for none given).

    None for one that is unknown, binary, or broken: base64 with stray characters, for instance.
    """
    if encoding in _PLAIN:
        return body
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    if encoding == "base64":
        try:
            return binascii.a2b_base64(body.translate(None, _BLANKS), strict_mode=True)
        except binascii.Error:
            return None
    return None


def reencoded(new: bytes, encoding: str, *, body: bytes, text: bytes) -> bytes:
    """Encode `new` the way `body` encodes `text`, where `text` is `decoded(body, encoding)`.

    Lines of a quoted-printable body that hold the same text keep their octets.
    """
    if encoding == "base64":
        tail = body[len(body.rstrip(_BLANKS)) :]
        line = binascii.b2a_base64(new, newline=False)
        return b"\r\n".join([line[at : at + _WIDTH] for at in range(0, len(line), _WIDTH)]) + tail
    if encoding == "quoted-printable":
        return _requoted(new, body, text)
    return new


def quoted_printable(text: bytes) -> bytes:
    """Encode `text`, whose CRLFs are its line ends, in lines of at most 76 characters."""
    return b"\r\n".join(map(_quoted_line, text.split(b"\r\n")))


def _requoted(new: bytes, body: bytes, text: bytes) -> bytes:
    before, after, quoted = text.split(b"\r\n"), new.split(b"\r\n"), body.split(b"\r\n")
    # A line of the text ends where an encoded line has no soft break.
    ends = [at for at, line in enumerate(quoted) if line[-1:] != b"="]
    if not len(before) == len(after) == len(ends):
        return quoted_printable(new)
    changed = [at for at, line in enumerate(after) if line != before[at]]
    for at in reversed(changed):
        lines = slice(ends[at - 1] + 1 if at else 0, ends[at] + 1)
        if binascii.a2b_qp(b"\r\n".join(quoted[lines])) != before[at]:
            return quoted_printable(new)
        quoted[lines] = [_quoted_line(after[at])]
    return b"\r\n".join(quoted)


def _quoted_line(line: bytes) -> bytes:
    """Return what binascii makes of one line; the common line of visible ASCII in a third less."""
    if line.translate(None, _VISIBLE) or line.endswith((b" ", b".", b"=")):
        return _any_quoted_line(line)
    text = line.replace(b"=", b"=3D")
    pieces = []
    start, last = 0, len(text) - _WIDTH
    while start < last:
        end = start + _FULL
        escape = text.find(b"=", end - 2, end)
        end = escape if escape >= 0 else end  # no soft break within an escape
        pieces.append(text[start:end])
        start = end
    pieces.append(text[start:])
    return b"=\r\n".join(pieces)


def _any_quoted_line(line: bytes) -> bytes:
    # As binary text a lone CR or LF is encoded, so the only LF left belongs to a soft break.
    return binascii.b2a_qp(line, istext=False).replace(b"\n", b"\r\n")
