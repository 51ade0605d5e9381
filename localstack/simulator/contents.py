"""What a mail program would show of a message: headers, texts, attachments, links, pixels. Pure.

Total: whatever the octets are, there is an answer, if need be an empty one.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.policy import compat32

from localstack.simulator.tags import links_and_pixels

MAX_PARTS = 1_000
MAX_HEADER_OCTETS = 1_048_576

_FOLD = re.compile(r"\r?\n(?=[ \t])")
_URL = re.compile(r"https?://[^\s<>\"']+", re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part to save. `body` is decoded."""

    filename: str
    content_type: str
    body: bytes

    @property
    def sha256(self) -> str:
        """Of the decoded body, in hex."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class Contents:
    """A message taken apart. `links` and `pixels` are the HTML part's, as a browser sees them."""

    headers: tuple[tuple[str, str], ...]
    text: str
    html: str
    attachments: tuple[Attachment, ...]
    links: tuple[str, ...]
    text_links: tuple[str, ...]
    pixels: tuple[str, ...]


def read_contents(raw: bytes) -> Contents:
    """Take a message apart. The first text/plain and the first text/html part are its texts."""
    headers = tuple((name, _unfolded(value)) for name, value in _headers(raw).raw_items())
    text, html = "", ""
    attachments: list[Attachment] = []
    for part in _leaves(raw):
        kind = part.get_content_type()
        named = _filename(part)
        is_inline = part.get_content_disposition() != "attachment" and not named
        if is_inline and kind == "text/plain" and not text:
            text = _text(part)
        elif is_inline and kind == "text/html" and not html:
            html = _text(part)
        else:
            attachments.append(Attachment(named or "unnamed", kind, _body(part)))
    links, pixels = links_and_pixels(html)
    in_text = tuple(_URL.findall(text))
    return Contents(headers, text, html, tuple(attachments), links, in_text, pixels)


def read_subject_and_id(raw: bytes) -> tuple[str, str]:
    """The decoded Subject and the Message-ID without its brackets, each empty when missing."""
    headers = _headers(raw)
    subject = _decoded(str(headers.get("Subject", "")))
    message_id = _unfolded(headers.get("Message-ID", "")).strip()
    return subject, message_id.removeprefix("<").removesuffix(">")


def _headers(raw: bytes) -> Message:
    end = _BLANK_LINE.search(raw, 0, MAX_HEADER_OCTETS)
    return BytesHeaderParser(policy=compat32).parsebytes(
        raw[: end.end() if end else MAX_HEADER_OCTETS]
    )


def _leaves(raw: bytes) -> Iterator[Message]:
    try:
        parts = list(BytesParser(policy=compat32).parsebytes(raw).walk())
    except RecursionError:
        return
    for part in parts[:MAX_PARTS]:
        if not part.is_multipart():
            yield part


def _filename(part: Message) -> str:
    try:
        return _decoded(part.get_filename() or "")
    except (LookupError, ValueError, TypeError):
        return "unreadable-name"


def _body(part: Message) -> bytes:
    try:
        body = part.get_payload(decode=True)
    except (LookupError, ValueError, TypeError):
        body = None
    return body if isinstance(body, bytes) else b""


def _text(part: Message) -> str:
    try:
        charset = part.get_content_charset() or "utf-8"
        return _body(part).decode(charset, "replace")
    except (LookupError, ValueError, TypeError):
        return _body(part).decode("utf-8", "replace")


def _decoded(value: str) -> str:
    try:
        text = str(make_header(decode_header(_unfolded(value))))
    except (LookupError, ValueError, HeaderParseError, TypeError):
        text = _unfolded(value)
    return _clean(text)


def _unfolded(value: object) -> str:
    return _clean(_FOLD.sub("", str(value)))


def _clean(text: str) -> str:
    """Octets that are not ASCII come as surrogates, which no JSON encoder may write."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
