"""Find and replace the links of a plain-text part, touching no other byte."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from mailroom.domain.html_links import restore_notrack
from mailroom.domain.tracking_token import is_too_long, is_trackable

_RUN = re.compile(
    rb"(?<![a-zA-Z0-9+.-])[hH][tT][tT][pP][sS]?(?P<opt_out>\+(?i:notrack))?://[^\x00-\x20\x7f<>\"]++"
)
# Blanks and punctuation of other scripts end a URL for the reader, so for us too.
_FOREIGN_END = re.compile(
    "[\x80-\xa0\u00ab\u00bb\u2000-\u206f\u3000-\u303f\uff00-\uff0f\uff1a-\uff20]"
)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_TRAILING = ".,;:!?'\""
_PAIRS = {")": "(", "]": "[", "}": "{"}  # each closer with its opener
_ENDING = frozenset((*_TRAILING, *_PAIRS))


@dataclass(frozen=True, slots=True)
class RewrittenText:
    """The new octets, how many links now lead to us, how many were too long to be tracked."""

    text: bytes
    links: int
    untracked_long: int


def rewrite_text(
    text: bytes, *, link: Callable[[str], str] | None, charset: str = "utf-8"
) -> RewrittenText:
    """Return `text` with every http(s) URL replaced by `link(url)`.

    Punctuation that ends a sentence or closes a bracket opened before the URL is not part of it
    and stays. `link` may return the URL itself to leave it alone; with None nothing is tracked.
    `http+notrack://` becomes `http://` untracked. `charset` must keep ASCII octets as they are
    and be known to Python. Raises nothing for any octets.
    """
    pieces: list[bytes] = []
    at = links = untracked_long = 0
    for run in _RUN.finditer(text) if link is not None else ():
        url, size = ("", 0) if run["opt_out"] else _url(run[0], charset)
        if is_trackable(url):
            if is_too_long(url):
                untracked_long += 1
            elif link is not None and (new := link(url)) != url:
                links += 1
                pieces += (text[at : run.start()], new.encode("ascii", "xmlcharrefreplace"))
                at = run.start() + size
    pieces.append(text[at:])
    if b"+notrack" in text.lower():
        pieces[::2] = map(restore_notrack, pieces[::2])
    return RewrittenText(b"".join(pieces), links, untracked_long)


def _url(run: bytes, charset: str) -> tuple[str, int]:
    """Return the URL that `run` begins with, and how many octets of `run` it takes."""
    text = _decoded(run, charset)
    if not text.isascii() and (end := _FOREIGN_END.search(text)):
        text = text[: end.start()]
    url = _without_trailing(text)
    return url, len(url) if url.isascii() else len(url.encode(charset))


def _decoded(run: bytes, charset: str) -> str:
    """Decode `run`; where `charset` would not give the same octets back, its ASCII start."""
    try:
        text = run.decode(charset)
        if text.encode(charset) == run:
            return text
    except UnicodeError:
        pass
    return _NOT_ASCII.split(run, maxsplit=1)[0].decode("ascii")


def _without_trailing(text: str) -> str:
    if text[-1:] not in _ENDING:
        return text
    end = len(text)
    unopened = {close: text.count(close) - text.count(opened) for close, opened in _PAIRS.items()}
    while (last := text[end - 1 : end]) and (last in _TRAILING or unopened.get(last, 0) > 0):
        if last in unopened:
            unopened[last] -= 1
        end -= 1
    return text[:end]
