"""Each recipient's own texts in one stored message: `{{name}}` in its subject and its bodies.

Substitution and nothing more: no conditions, no loops, no code. A placeholder whose name the
recipient has no text for stays as it is written.
"""

import re
from collections.abc import Mapping
from html import escape

from mailroom.domain import headers
from mailroom.domain.address import MalformedAddressError, parse_mailboxes
from mailroom.domain.header_encoding import UnfitHeaderError, mailbox_field, text_field

MAX_PAIRS = 50
MAX_NAME, MAX_VALUE = 64, 2_000  # characters
MAX_OCTETS = 16 * 1024  # of all names and values of one recipient
_PERSONAL = frozenset({"subject", "to"})

_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z")
_PLACEHOLDER = re.compile(r"\{\{[ \t]{0,8}([A-Za-z0-9_.-]{1,64})[ \t]{0,8}\}\}")
_IN_OCTETS = re.compile(_PLACEHOLDER.pattern.encode())
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BLANKS = re.compile(r"\s+")
_NEWLINE = re.compile(r"\r\n|\r|\n")


class UnfitMergeError(ValueError):
    """Texts that cannot be taken; the message says which and why."""


def checked(merge: Mapping[str, str]) -> Mapping[str, str]:
    """Return one recipient's texts if they are fit to be kept. Raises UnfitMergeError."""
    if len(merge) > MAX_PAIRS:
        raise UnfitMergeError(f"a recipient has more than {MAX_PAIRS} substitutions")
    for name, value in merge.items():
        if len(name) > MAX_NAME or not _NAME.match(name):
            raise UnfitMergeError(
                f"a substitution is named by 1 to {MAX_NAME} letters, digits, dots, hyphens and"
                " underscores"
            )
        if len(value) > MAX_VALUE or _CONTROL.search(value):
            raise UnfitMergeError(
                f"the substitution {name} is longer than {MAX_VALUE} characters or has control"
                " characters"
            )
    octets = sum(len(name) + len(value.encode("utf-8", "replace")) for name, value in merge.items())
    if octets > MAX_OCTETS:
        raise UnfitMergeError(f"the substitutions of a recipient are over {MAX_OCTETS} octets")
    return merge


def merge_body(text: bytes, merge: Mapping[str, str], *, charset: str, html: bool) -> bytes:
    """Return the decoded octets of a text part with its placeholders filled in.

    In HTML a value is escaped, quotes too, so that it stays text in an attribute as well; what
    the charset cannot write becomes a reference there and a question mark elsewhere. Line breaks
    in plain text are CRLF.
    """
    if not merge or b"{{" not in text:
        return text

    def value(found: re.Match[bytes]) -> bytes:
        own = merge.get(found[1].decode("ascii"))
        if own is None:
            return found[0]
        if html:
            return escape(own).encode(charset, "xmlcharrefreplace")
        return _NEWLINE.sub("\r\n", own).encode(charset, "replace")

    return _IN_OCTETS.sub(value, text)


def merge_header(raw: bytes, merge: Mapping[str, str]) -> bytes:
    """Return `raw` with the placeholders in Subject and in the names of To filled in.

    A field without one keeps its octets, and so does one that cannot be written again safely.
    """
    if not merge:
        return raw
    block, rest = headers.split(raw)
    if b"{{" not in block and b"=?" not in block:
        return raw
    for each in reversed(list(headers.fields(block))):
        written = _written(each, block, merge) if each.name in _PERSONAL else None
        if written is not None:
            block = block[: each.start] + written + block[each.end :]
    return block + rest


def _written(each: headers.Field, block: bytes, merge: Mapping[str, str]) -> bytes | None:
    text = each.text
    merged = _merged(text, merge)
    if merged == text:
        return None
    name = block[each.start : each.end].partition(b":")[0].decode("ascii").strip()
    try:
        if each.name == "subject":
            return text_field(name, merged)
        return _mailboxes(name, each.value.decode("utf-8", "replace"), merge)
    except (UnfitHeaderError, MalformedAddressError):
        return None


def _mailboxes(name: str, text: str, merge: Mapping[str, str]) -> bytes:
    # Parsed first and decoded after: a comma or bracket in an encoded name is no separator.
    named = [(_decoded(display), address) for display, address in parse_mailboxes(text)]
    return mailbox_field(name, [(_merged(display, merge), address) for display, address in named])


def _decoded(display: str) -> str:
    return headers.Field("to", display.encode("utf-8", "replace"), 0, 0).text


def _merged(text: str, merge: Mapping[str, str]) -> str:
    """Fill in a header's text, where a value has no line breaks."""

    def value(found: re.Match[str]) -> str:
        own = merge.get(found[1])
        return found[0] if own is None else _BLANKS.sub(" ", own)

    return _PLACEHOLDER.sub(value, text)
