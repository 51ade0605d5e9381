"""Rewrite links and fill in texts in the text parts of a raw message, and change no other octet.

Only the text leaves that change are decoded and encoded again. Parts that carry their own proof
or their own mail (signed, encrypted, forwarded, attached) are never entered. Everything doubtful
is left alone: an untracked link costs a statistic, a damaged message costs the mail.
"""

import codecs
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from mailroom.domain.html_links import rewrite_html
from mailroom.domain.merge import merge_body
from mailroom.domain.mime_entity import Entity, body_start, part_spans, read_entity
from mailroom.domain.text_links import rewrite_text
from mailroom.domain.transfer_encoding import decoded, is_plain, quoted_printable, reencoded

MAX_DEPTH = 30  # multiparts inside multiparts
MAX_PARTS = 500  # of one message, multiparts included
MAX_LINE = 998  # octets without CRLF, RFC 5322 section 2.1.1

_WALKED = frozenset({"multipart/mixed", "multipart/alternative", "multipart/related"})
_TEXT = frozenset({"text/html", "text/plain"})
_PROTECTED = frozenset({"multipart/signed", "multipart/encrypted", "application/pkcs7-mime"})
_PGP = b"-----BEGIN PGP"
_ASCII = frozenset({"us-ascii", "ascii", "ansi_x3.4-1968"})
# A list, not a trial: utf-7, hz and iso-2022 decode plain ASCII too and give it other meanings.
_CHARSET = re.compile(
    r"us-ascii|ascii|ansi_x3\.4-1968|utf-?8|iso[-_]8859[-_]\d{1,2}(?:-i)?|latin-?\d"
    r"|(?:windows-|cp)(?:874|125\d|932|936|949|950)|windows-31j|koi8-[rut]|gb2312|gbk|gb18030"
    r"|big5(?:-hkscs)?|euc-(?:jp|kr|cn)|shift[-_]jis|ks_c_5601-1987|tis-620|macintosh"
)
_Edit = tuple[int, int, bytes]  # start, end, new octets


class Skip(StrEnum):
    """Why a whole message went untracked."""

    X_AMP = "x-amp"  # the sender asked for it with `X-AMP: skip`, as in Postal
    PROTECTED = "signed or encrypted"
    TOO_MANY_PARTS = "too many parts"
    HEADER_TOO_LONG = "header too long"


@dataclass(frozen=True, slots=True)
class RewrittenMessage:
    """The message with its links and pixel: counts, and why it was left alone if it was."""

    raw: bytes
    links: int = 0
    pixels: int = 0
    untracked_long: int = 0
    skipped: Skip | None = None


@dataclass(frozen=True, slots=True)
class _Change:
    edits: list[_Edit]
    links: int
    untracked_long: int
    pixels: int


def rewrite_message(
    raw: bytes,
    *,
    link: Callable[[str], str] | None,
    pixel: str | None,
    merge: Mapping[str, str] | None = None,
) -> RewrittenMessage:
    """Return `raw` (CRLF line ends) with its links replaced and one pixel added.

    `link` is given each http(s) URL of the text/html and text/plain parts and returns another
    (in ASCII, without blanks), or the same to leave it alone. `pixel` is the URL of the image for
    the first HTML part that can be rewritten. None turns either off; `+notrack` schemes are
    restored all the same. `merge` fills in placeholders first (`merge.py`). Raises nothing for any
    octets; what is not understood stays unchanged.
    """
    if body_start(raw, 0, len(raw)) is None:
        return RewrittenMessage(raw, skipped=Skip.HEADER_TOO_LONG)
    top = read_entity(raw, 0, len(raw))
    leaves = _leaves(raw, top)
    if leaves is None:
        return RewrittenMessage(raw, skipped=Skip.TOO_MANY_PARTS)
    skipped = Skip.PROTECTED if top.media in _PROTECTED else None
    if top.word(b"x-amp") == "skip":
        link, pixel, skipped = None, None, Skip.X_AMP
    edits: list[_Edit] = []
    links = pixels = untracked_long = 0
    for leaf in leaves:
        change = _rewritten(raw, leaf, link=link, pixel=None if pixels else pixel, merge=merge)
        if change is not None:
            edits += change.edits
            links += change.links
            pixels += change.pixels
            untracked_long += change.untracked_long
    return RewrittenMessage(_apply(raw, edits), links, pixels, untracked_long, skipped)


def _leaves(raw: bytes, top: Entity) -> list[Entity] | None:
    """Return the parts that may be rewritten, in order; None when there are too many parts."""
    leaves: list[Entity] = []
    stack = [(top, 0)]
    seen = 1
    while stack:
        entity, depth = stack.pop()
        if entity.media in _WALKED and depth < MAX_DEPTH:
            spans = part_spans(raw, entity, limit=MAX_PARTS)
            seen += len(spans)
            if seen > MAX_PARTS:
                return None
            stack += [(read_entity(raw, start, end), depth + 1) for start, end in reversed(spans)]
        elif entity.media in _TEXT and not entity.is_attachment:
            leaves.append(entity)
    return leaves


def _rewritten(
    raw: bytes,
    leaf: Entity,
    *,
    link: Callable[[str], str] | None,
    pixel: str | None,
    merge: Mapping[str, str] | None,
) -> _Change | None:
    """Return what to change in a text part; None when it must stay as it is."""
    charset = leaf.parameters.get("charset", "us-ascii").lower()
    codec = _codec(charset)
    encoding = leaf.word(b"content-transfer-encoding")
    body = raw[leaf.body : leaf.end]
    text = decoded(body, encoding)
    if codec is None or not text or _PGP in text:
        return None
    is_html = leaf.media == "text/html"
    pixel = pixel if is_html else None
    own = "ascii" if charset in _ASCII else codec  # a value must not break the part's promise
    filled = merge_body(text, merge or {}, charset=own, html=is_html)
    if is_html:
        html = rewrite_html(filled, link=link, pixel=pixel, charset=codec)
        new, links, untracked_long = html.html, html.links, html.untracked_long
    else:
        plain = rewrite_text(filled, link=link, charset=codec)
        new, links, untracked_long = plain.text, plain.links, plain.untracked_long
    edits: list[_Edit] = []
    if new != text and is_plain(encoding) and _needs_encoding(new, text):
        edits = [*_header_edits(leaf), (leaf.body, leaf.end, quoted_printable(new))]
    elif new != text:
        edits = [(leaf.body, leaf.end, reencoded(new, encoding, body=body, text=text))]
    return _Change(edits, links, untracked_long, int(pixel is not None))


def _needs_encoding(new: bytes, text: bytes) -> bool:
    if max(map(len, new.split(b"\r\n"))) > MAX_LINE:
        return True
    return text.isascii() and not new.isascii()  # a value may be the first that is not


@lru_cache(maxsize=64)
def _codec(charset: str) -> str | None:
    """Return Python's name of a charset that keeps ASCII; None for any other."""
    if not _CHARSET.fullmatch(charset):
        return None
    if charset in _ASCII:
        return "utf-8"  # what mislabelled mail most often holds; the same for the rest
    try:
        return codecs.lookup(charset.replace("windows-", "cp").removesuffix("-i")).name
    except LookupError:
        return None


def _header_edits(leaf: Entity) -> list[_Edit]:
    """Return what declares quoted-printable in the header of `leaf`."""
    added = b""
    # Without MIME-Version a reader may take the encoding for text (RFC 2045 section 4).
    if leaf.start == 0 and b"mime-version" not in leaf.fields:
        added = b"MIME-Version: 1.0\r\n"
    given = leaf.fields.get(b"content-transfer-encoding")
    if given is None:
        added += b"Content-Transfer-Encoding: quoted-printable\r\n"
    # The empty line that ends the header is the last thing before the body.
    place = leaf.body - 2
    edits = [(given[1], given[2], b" quoted-printable")] if given else []
    return [*edits, (place, place, added)]


def _apply(raw: bytes, edits: list[_Edit]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for start, end, new in edits:
        pieces += (raw[at:start], new)
        at = end
    return b"".join([*pieces, raw[at:]]) if pieces else raw
