"""Find and replace the links of an HTML part, and place the pixel, touching no other byte.

The tokenizer follows HTML (WHATWG) sections 13.2.5.1 to 13.2.5.46 as far as tag boundaries go:
quoted attributes, comments, bogus comments and raw-text elements. It works on octets of any
charset that keeps ASCII as it is, so a customer's conditional comments and odd nesting survive.
Two differences to a full parser: svg and math are read like the rest, and a script's
`<!--<script>` escape is not followed.
"""

import re
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from html import escape, unescape
from html.entities import html5

from mailroom.domain.tracking_token import is_too_long, is_trackable

MAX_ATTRIBUTES = 200  # of one tag; with more, the rest of the part is left alone

# Octet classes, repeats and their order are chosen so that every position has exactly one way to
# match: a failure costs linear time. Possessive marks stand on single classes only, because
# CPython before 3.11.5 mismatches them on groups.
_W = r"[ \t\n\f\r]"
_GAP = r"[ \t\n\f\r/]*+"
_ATTR = (
    rf"{_GAP}[^ \t\n\f\r/>][^ \t\n\f\r/>=]*+"
    rf"(?:{_W}*+={_W}*+(?:\"[^\"]*+\"|'[^']*+'|[^ \t\n\f\r\"'>][^ \t\n\f\r>]*+|(?=>))|(?!{_W}*+=))"
)
_REST = rf"(?:{_ATTR}){{0,{MAX_ATTRIBUTES}}}{_GAP}>"
_HREF = r"[hH][rR][eE][fF]"
_LINK = (
    rf"<[aA](?:[rR][eE][aA])?(?=[ \t\n\f\r/>])"
    rf"(?:(?!{_GAP}{_HREF}[ \t\n\f\r/>=]){_ATTR}){{0,{MAX_ATTRIBUTES}}}"
    rf"(?:{_GAP}{_HREF}{_W}*+={_W}*+"
    rf"(?:\"(?P<double>[^\"]*+)\"|'(?P<single>[^']*+)'"
    rf"|(?P<bare>[^ \t\n\f\r\"'>][^ \t\n\f\r>]*+)))?{_REST}"
)
_RAW_NAMES = "script|style|textarea|title|xmp|iframe|noembed|noframes|plaintext"


def _any_case(names: str) -> str:
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in names)


_NAME_END = r"(?=[ \t\n\f\r/>])"
_RAW = rf"<(?P<raw>{_any_case(_RAW_NAMES)}){_NAME_END}{_REST}"
_CLOSING = rf"(?:{_any_case('body|html')}){_NAME_END}"
_END = rf"<(?P<end>/{_CLOSING}){_REST}"
# Grouped by first letter, which is what tells nearly all other tags apart.
_OPENING = (
    rf"(?:[aA](?:{_any_case('rea')})?|[sS](?:{_any_case('cript|tyle')})"
    rf"|[tT](?:{_any_case('extarea|itle')})|[nN][oO](?:{_any_case('embed|frames')})"
    rf"|{_any_case('xmp|iframe|plaintext')}){_NAME_END}"
)
_TAG = rf"[a-zA-Z](?:[^\"'>]*+>|[^ \t\n\f\r/>]*+{_REST})"  # without quotes the first > ends it
_SKIPPED = (
    rf"<(?:/(?!{_CLOSING}){_TAG}|(?!{_OPENING}){_TAG}"
    r"|(?:!(?!--)|\?|/(?![a-zA-Z]))[^>]*+>|(?![a-zA-Z!?/]))"
)
_STEP = re.compile(
    rf"(?:[^<]*+{_SKIPPED}){{0,200}}[^<]*+(?:{_LINK}|{_RAW}|{_END}|(?P<comment><!--))?".encode()
)
_COMMENT_END = re.compile(rb"--!?>")
_EMPTY_COMMENT = re.compile(rb"-?>")
_RAW_END = {
    name: re.compile(rf"</{_any_case(name)}(?=[ \t\n\f\r/>])".encode())
    for name in _RAW_NAMES.split("|")
    if name != "plaintext"
}

_ENTITY = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[a-zA-Z][a-zA-Z0-9]*+(?:;|(?!=)))")
_EDGES = "".join(map(chr, range(0x21)))
_DROPPED = dict.fromkeys(map(ord, "\t\n\r"))
_LEFTOVER = re.compile(r"\{\{|\{%[ -]")
_NOTRACK_URL = re.compile(r"(https?)\+notrack(?=://)", re.IGNORECASE)
_NOTRACK = re.compile(rb"(?<![a-zA-Z0-9+.-])(https?)\+notrack(?=://)", re.IGNORECASE)

_Edit = tuple[int, int, bytes]  # start, end, new octets


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The new octets, how many links now lead to us, how many were too long to be tracked."""

    html: bytes
    links: int
    untracked_long: int


def rewrite_html(
    html: bytes,
    *,
    link: Callable[[str], str] | None,
    pixel: str | None,
    charset: str = "utf-8",
) -> Rewritten:
    """Return `html` with the http(s) `href` of every `a` and `area` replaced by `link(url)`.

    `link` is given the decoded URL and returns another, or the same one to leave it alone; with
    None nothing is tracked. `pixel` is the URL of the image to add, once, before the last real
    `</body>`. `http+notrack://` becomes `http://` untracked, whatever `link` is. `charset` must
    keep ASCII octets as they are and be known to Python. Raises nothing for any octets.
    """
    notrack = b"notrack" in html.lower()
    if link is None and pixel is None and not notrack:
        return Rewritten(html, 0, 0)
    found, place = _scan(html)
    edits: list[_Edit] = []
    links = untracked_long = 0
    for start, end, quoted in found:
        value = html[start:end]
        url = _url(value, charset)
        if url is None:
            continue
        if _NOTRACK_URL.match(url):
            edits.append((start, end, _restored(value, url, quoted=quoted)))
        elif link is not None and is_trackable(url):
            if is_too_long(url):
                untracked_long += 1
            elif (new := link(url)) != url:
                links += 1
                edits.append((start, end, _attribute(new, quoted=quoted)))
    if pixel is not None:
        insort(edits, (place, place, _image(pixel)))
    return Rewritten(_apply(html, edits, notrack=notrack), links, untracked_long)


def restore_notrack(octets: bytes) -> bytes:
    """Return `octets` with `http+notrack://` and `https+notrack://` as plain schemes."""
    return _NOTRACK.sub(rb"\1", octets)


def _scan(html: bytes) -> tuple[list[tuple[int, int, bool]], int]:
    """Return the href values (start, end, whether quoted) and the place for the pixel."""
    found: list[tuple[int, int, bool]] = []
    places: dict[bytes, int] = {}
    at = 0
    while (step := _STEP.match(html, at)) and step.end() > at:
        kind, at = step.lastgroup, step.end()
        if kind is None:
            continue
        start, end = step.span(kind)
        if kind == "end":
            places[step[kind].lower()] = start - 1
        elif kind in ("raw", "comment"):
            after = _after_raw(html, step[kind].lower(), at)
            if after is None:  # runs to the end of the part: whatever follows is not markup
                at = step.start(kind) - (kind == "raw")
                break
            at = after
        else:
            found.append((start, end, kind != "bare"))
    return found, places.get(b"/body", places.get(b"/html", at))


def _after_raw(html: bytes, opened: bytes, at: int) -> int | None:
    """Return where markup goes on after the comment or raw-text element that starts at `at`."""
    if opened == b"<!--":
        closed = _EMPTY_COMMENT.match(html, at) or _COMMENT_END.search(html, at)
        return closed.end() if closed else None
    ends = _RAW_END.get(opened.decode())
    closed = ends.search(html, at) if ends else None
    return closed.start() if closed else None


def _url(value: bytes, charset: str) -> str | None:
    """Read an attribute value as browsers do; None for what no one can mean as a web link."""
    try:
        text = value.decode(charset)
    except UnicodeDecodeError:
        return None
    if "&" in text:
        # Nearly always `&amp;` is all there is; replacing it costs a tenth of the general way.
        only_amp = text.count("&") == text.count("&amp;")
        text = text.replace("&amp;", "&") if only_amp else _ENTITY.sub(_character, text)
    text = text.strip(_EDGES)
    if not text.isprintable():
        text = text.translate(_DROPPED)
    if text[:4].lower() != "http" or _LEFTOVER.search(text):
        return None
    return text.replace(" ", "%20")


def _character(entity: re.Match[str]) -> str:
    """Decode one reference. In attributes `&copy=1` and `&copyx` are not references."""
    text = entity[0]
    # `unescape` drops control characters; a NUL in their place keeps the URL untracked.
    return (unescape(text) or "\0") if text[1] == "#" else html5.get(text[1:], text)


def _restored(value: bytes, url: str, *, quoted: bool) -> bytes:
    plain = restore_notrack(value)
    return plain if plain != value else _attribute(_NOTRACK_URL.sub(r"\1", url), quoted=quoted)


def _attribute(url: str, *, quoted: bool) -> bytes:
    value = escape(url).encode("ascii", "xmlcharrefreplace")
    return value if quoted else b'"' + value + b'"'


def _image(url: str) -> bytes:
    style = "display:block;width:1px;height:1px;border:0"
    source = _attribute(url, quoted=False)
    return b'<img src=%b width="1" height="1" alt="" style="%b">' % (source, style.encode())


def _apply(html: bytes, edits: list[_Edit], *, notrack: bool) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for start, end, new in edits:
        pieces += (html[at:start], new)
        at = end
    pieces.append(html[at:])
    if notrack:
        pieces[::2] = map(restore_notrack, pieces[::2])
    return b"".join(pieces)
