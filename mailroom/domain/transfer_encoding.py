"""Content transfer encodings, by binascii, changing no line that need not change (RFC 2045)."""

import binascii

_PLAIN = frozenset({"", "7bit", "8bit"})
_WIDTH = 76  # characters of an encoded line, RFC 2045 sections 6.7 and 6.8
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
    return _hard(b"\r\n".join(map(_quoted_line, text.split(b"\r\n"))))


def _requoted(new: bytes, body: bytes, text: bytes) -> bytes:
    # Soft breaks lose their CR for a moment, so that a split at CRLF gives the lines of the text.
    quoted = body.replace(b"=\r\n", b"=\n").split(b"\r\n")
    before, after = text.split(b"\r\n"), new.split(b"\r\n")
    if not len(quoted) == len(before) == len(after) or b"=\n" in body:
        return quoted_printable(new)
    for at, line in enumerate(after):
        if line != before[at]:
            if binascii.a2b_qp(quoted[at]) != before[at]:
                return quoted_printable(new)
            quoted[at] = _quoted_line(line)
    return _hard(b"\r\n".join(quoted))


def _quoted_line(line: bytes) -> bytes:
    """Encode one line; its soft breaks end in a bare LF."""
    return binascii.b2a_qp(line, istext=False)


def _hard(quoted: bytes) -> bytes:
    return quoted.replace(b"=\n", b"=\r\n")
