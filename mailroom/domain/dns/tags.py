"""Tag lists, `v=DKIM1; k=rsa; p=...`: the form of DKIM and DMARC records (RFC 6376 section 3.2)."""

import re

MAX_TAGS = 64
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


class TagListError(ValueError):
    """The text is no tag list; the message says what is wrong with it."""


def parse_tags(text: str) -> dict[str, str]:
    """Return the tags of a record in their order, names in lower case, values without outer space.

    White space around names and values and a final `;` mean nothing. Raises TagListError for a
    part without `=`, a strange name, a name that comes twice and too many tags.
    """
    found: dict[str, str] = {}
    parts = text.split(";")
    if len(parts) > MAX_TAGS:
        raise TagListError("it has too many tags")
    for number, part in enumerate(parts):
        if not part.strip() and number == len(parts) - 1:
            continue
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not _NAME.match(name):
            raise TagListError(f"{part.strip()[:40]!r} is not name=value")
        if name.lower() in found:
            raise TagListError(f"the tag {name.lower()} comes twice")
        found[name.lower()] = value
    return found
