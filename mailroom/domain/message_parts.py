"""A raw message as its reader sees it: the text, the HTML and the files.

The counterpart of `mime`, which rewrites and leaves everything doubtful alone. Reading changes
nothing, so what is damaged is shown as well as can be: wrong octets as U+FFFD, base64 without
what does not belong there.
"""

import binascii
import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import MessageError
from email.message import Message

from mailroom.domain.headers import Field
from mailroom.domain.mime_entity import Entity, part_spans, read_entity
from mailroom.domain.transfer_encoding import decoded

MAX_DEPTH = 30  # multiparts inside multiparts
MAX_PARTS = 500  # of one message; what comes after them is not shown
_MAX_NAME_FIELD = 2_000  # octets of a field that a file's name is read from
_MAX_NAME = 255  # characters

_UNKNOWN = "application/octet-stream"
# A list, not a trial: Python has "charsets" that run for minutes or are none (idna, hex).
_CHARSET = re.compile(
    r"utf-?(?:8|16|32)(?:-?[bl]e)?|us-ascii|ascii|iso[-_]?8859[-_]\d{1,2}|latin-?\d"
    r"|(?:windows-?|cp)\d{3,4}|koi8-[rut]|gb2312|gbk|gb18030|big5(?:-hkscs)?|euc-(?:jp|kr)"
    r"|shift[-_]jis|iso-2022-(?:jp|kr)|macintosh|tis-620"
)
_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
)


@dataclass(frozen=True, slots=True)
class File:
    """An attachment, decoded. `name` is "" when it has none; `media_type` has no parameters."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class MessageParts:
    """The first text and the first HTML, line ends as LF, and every file in order."""

    plain: str | None = None
    html: str | None = None
    files: tuple[File, ...] = ()


def read_parts(raw: bytes) -> MessageParts:
    """Return the parts of `raw` (CRLF). Raises nothing for any octets.

    A file is a part that is named or marked as an attachment (RFC 2183), or that is no text at
    all; a forwarded message is one file and is not entered.
    """
    texts: dict[str, str] = {}
    files: list[File] = []
    for leaf in _leaves(raw):
        if not leaf.is_attachment and leaf.media in ("text/plain", "text/html"):
            texts.setdefault(leaf.media, _text(raw, leaf))
        elif leaf.is_attachment or not leaf.media.startswith("text/"):
            files.append(File(_name(leaf), leaf.media or _UNKNOWN, _content(raw, leaf)))
    return MessageParts(texts.get("text/plain"), texts.get("text/html"), tuple(files))


def _leaves(raw: bytes) -> Iterator[Entity]:
    stack = [(read_entity(raw, 0, len(raw)), 0)]
    seen = 0
    while stack and seen < MAX_PARTS:
        entity, depth = stack.pop()
        seen += 1
        if not entity.media.startswith("multipart/"):
            yield entity
        elif depth < MAX_DEPTH:
            spans = part_spans(raw, entity, limit=MAX_PARTS - seen)
            stack += [(read_entity(raw, start, end), depth + 1) for start, end in reversed(spans)]


def _content(raw: bytes, leaf: Entity) -> bytes:
    body, encoding = raw[leaf.body : leaf.end], leaf.word(b"content-transfer-encoding")
    content = decoded(body, encoding)
    if content is not None:
        return content
    return _mended_base64(body) if encoding == "base64" else body


def _mended_base64(body: bytes) -> bytes:
    kept = body.translate(None, _NOT_BASE64)
    # A lone last character holds six bits: no octet.
    whole = kept[:-1] if len(kept) % 4 == 1 else kept
    return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def _text(raw: bytes, leaf: Entity) -> str:
    name = leaf.parameters.get("charset", "").strip().lower()
    charset = "utf-8"  # what mislabelled mail most often holds
    if _CHARSET.fullmatch(name) and name not in ("us-ascii", "ascii"):
        try:
            charset = codecs.lookup(name.replace("windows", "cp").replace("cp-", "cp")).name
        except LookupError:
            charset = "utf-8"
    return _content(raw, leaf).decode(charset, "replace").replace("\r\n", "\n")


def _name(leaf: Entity) -> str:
    """Return the file's name: RFC 2183, 2231, and the encoded words many writers use instead."""
    holder: Message = Message()
    for name in (b"content-disposition", b"content-type"):
        value = leaf.fields.get(name, ("", 0, 0))[0]
        if value and len(value) <= _MAX_NAME_FIELD:
            holder[name.decode()] = _as_utf8(value)
    try:
        found = holder.get_filename() or ""
    except (MessageError, ValueError, LookupError, TypeError):
        return ""
    return Field("", found.encode("utf-8", "replace"), 0, 0).text[:_MAX_NAME]


def _as_utf8(value: str) -> str:
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
