"""Writing header fields: seven bits, short lines, nothing a value could break out of.

The counterpart of `headers`, which reads them. The email package's own writer folds differently
from one Python release to the next; these lines are signed and must not.
"""

import base64
import re
from collections.abc import Iterable, Iterator

from mailroom.domain.address import Address

MAX_LINE = 998  # octets without CRLF, RFC 5322 section 2.1.1
_FOLD_AT = 76  # where lines are folded if they can be; with encoded words they must, RFC 2047
_WORD = 75  # an encoded word's limit, RFC 2047 section 2
_QUOTABLE = 60  # characters of a display name or parameter that are quoted, not encoded

_NAME = re.compile(r"[!-9;-~]{1,100}\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&+^_`{|}~.-]+\Z")
_Q_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!*+-/")
_PERCENT_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")


class UnfitHeaderError(ValueError):
    """A header name or value that must not be written; the message says why."""


def checked_name(name: str) -> str:
    """Return `name` if it can be a field name (RFC 5322 section 2.2, at most 100 characters).

    Raises UnfitHeaderError.
    """
    if not _NAME.match(name):
        raise UnfitHeaderError(f"{name[:40]!r} is not a header name")
    return name


def checked_text(text: str, name: str) -> str:
    """Return `text` stripped, if it holds no control character but tabs.

    Raises UnfitHeaderError, naming the field, for CR, LF, NUL and the like.
    """
    if _CONTROL.search(text):
        raise UnfitHeaderError(f"{name} must not contain line breaks or control characters")
    return text.strip(" \t")


def text_field(name: str, text: str) -> bytes:
    """Return an unstructured field (Subject and whatever else is text) with its CRLF.

    ASCII stays as it is, folded at its blanks; all else becomes encoded words (RFC 2047).
    Raises UnfitHeaderError.
    """
    text = checked_text(text, name)
    start = f"{checked_name(name)}:"
    if text.isascii():
        lines = _folded(start, text)
        if max(map(len, lines)) <= MAX_LINE:
            return _field(lines)
    first, *rest = _encoded_words(text, taken=len(start))
    return _field([f"{start} {first}", *rest])


def mailbox_field(name: str, mailboxes: Iterable[tuple[str, Address]]) -> bytes:
    """Return an address field (From, To, Reply-To ...) of (display name, address) pairs.

    Addresses must be ASCII. Raises UnfitHeaderError.
    """
    pieces: list[str] = []
    for display, address in mailboxes:
        if pieces:
            pieces[-1] += ","
        bare = str(address)
        if not bare.isascii():
            raise UnfitHeaderError(f"{name} has an address that is not ASCII")
        pieces += [*_phrase(display, name), f"<{bare}>"] if display else [bare]
    return _field(_filled(f"{checked_name(name)}:", pieces))


def parameter(name: str, value: str) -> str:
    """Return `; name=value` for a structured field, folded onto lines of its own.

    Anything but a plain token or a short quoted string is written by RFC 2231, in pieces.
    """
    if _TOKEN.match(value) and len(value) <= _QUOTABLE:
        return f";\r\n {name}={value}"
    if value.isascii() and value.isprintable() and len(value) <= _QUOTABLE:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f';\r\n {name}="{escaped}"'
    pieces = list(_percent_pieces(value, 50))
    if len(pieces) == 1:
        return f";\r\n {name}*=utf-8''{pieces[0]}"
    return "".join(
        f";\r\n {name}*{at}*={piece if at else 'utf-8' + chr(39) * 2 + piece}"
        for at, piece in enumerate(pieces)
    )


def _field(lines: Iterable[str]) -> bytes:
    return "\r\n ".join(lines).encode("ascii") + b"\r\n"


def _folded(start: str, text: str) -> list[str]:
    """Cut only at single blanks between words, so that unfolding gives `text` back."""
    return _filled(start, re.split(r"(?<=[^ \t]) (?=[^ \t])", text))


def _filled(start: str, pieces: Iterable[str]) -> list[str]:
    """Put `pieces` onto lines of at most 76 characters; the first one stays beside `start`."""
    lines = [start]
    fresh = True
    for piece in pieces:
        if not fresh and len(lines[-1]) + 1 + len(piece) > _FOLD_AT - 1:
            lines.append(piece)
        else:
            lines[-1] += f" {piece}"
        fresh = False
    return lines


def _phrase(display: str, name: str) -> list[str]:
    display = checked_text(display, name)
    if _ATOMS.match(display) and len(display) <= _QUOTABLE and "=?" not in display:
        return [display]
    if display.isascii() and len(display) <= _QUOTABLE:
        escaped = display.replace("\\", "\\\\").replace('"', '\\"')
        return [f'"{escaped}"']
    return list(_encoded_words(display, taken=len(name) + 1))


def _encoded_words(text: str, *, taken: int) -> Iterator[str]:
    """Yield encoded words, none cut inside a character, each fit for a line of 76 characters;
    the first shares its line with `taken` others."""
    octets = text.encode("utf-8")
    quoted = sum(map(_q_length, octets)) <= len(octets) * 4 / 3
    room = max(20, _WORD - taken) - len("=?utf-8?q??=")
    current, used = bytearray(), 0
    for character in text:
        unit = character.encode("utf-8")
        length = sum(map(_q_length, unit)) if quoted else len(unit)
        if current and used + length > (room if quoted else room // 4 * 3):
            yield _encoded_word(current, quoted=quoted)
            room = _WORD - len("=?utf-8?q??=")
            current, used = bytearray(), 0
        current += unit
        used += length
    yield _encoded_word(current, quoted=quoted)


def _q_length(octet: int) -> int:
    return 1 if octet in _Q_PLAIN or octet == 0x20 else 3


def _encoded_word(octets: bytes | bytearray, *, quoted: bool) -> str:
    if not quoted:
        return f"=?utf-8?b?{base64.b64encode(octets).decode()}?="
    marked = (
        "_" if octet == 0x20 else chr(octet) if octet in _Q_PLAIN else f"={octet:02X}"
        for octet in octets
    )
    return f"=?utf-8?q?{''.join(marked)}?="


def _percent_pieces(value: str, room: int) -> Iterator[str]:
    current = ""
    for octet in value.encode("utf-8"):
        unit = chr(octet) if octet in _PERCENT_PLAIN else f"%{octet:02X}"
        if len(current) + len(unit) > room:
            yield current
            current = ""
        current += unit
    yield current
