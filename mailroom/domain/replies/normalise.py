"""A reply's text without what differs from message to message, so that like replies count as one.

For showing and counting: nothing decides by it. What it keeps may be stored: no address, no
number of a message, no name of a host.
"""

import re

from mailroom.domain.replies.pattern import MAX_TEXT

MAX_NORMALISED = 300
_LINE = re.compile(r"\n[ \t]*(?:[245]\d\d[ -])?(?:[245]\.\d{1,3}\.\d{1,3}(?![.\d]))?")
_KINDS = re.compile(
    r"""
      (?P<url>\bhttps?://[^\s<>"')\]]{1,400})
    | (?P<address>[^\s<>"(,;:\[]{1,64}@[^\s<>"'),;\]]{1,255})
    | (?P<code>(?<![\w.])[245x]\.\d{1,3}\.\d{1,3}(?![\w]|\.\d))
    | (?P<ip>(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?(?![\w.]\w)
        |(?<![\w:])(?=[0-9a-f:]{0,40}::|(?:[0-9a-f]{1,4}:){7})[0-9a-f:]{2,45}(?:/\d{1,3})?)
    | (?P<time>\b\d{1,2}:\d\d(?::\d\d)?\b|\b\d{4}-\d\d-\d\d(?:t[\d:.]{4,16}z?)?)
    | (?P<host>(?<![\w.-])(?:[a-z0-9_-]{1,63}\.){1,8}[a-z]{2,24}(?![\w-])(?!\.\w))
    | (?P<id>(?=[a-z0-9_.+/=-]{0,80}\d)[a-z0-9][a-z0-9_.+/=-]{8,200})
    | (?P<hex>\b(?=[a-f]{0,8}\d)[0-9a-f]{8,64}\b)
    | (?P<n>(?<![\w<-])\d{1,30}\b(?!\w))
    """,
    re.VERBOSE,
)
_KEPT = "code"
_NAMES = {"hex": "id"}


def normalise(text: str) -> str:
    """Return `text` as one line in lower case with `<address>`, `<ip>`, `<host>`, `<url>`,
    `<time>`, `<id>` and `<n>` in place of such things, cut at 300 characters.

    Enhanced codes and short words with digits (`[tss04]`, `s3150`) stay: they say which reply
    it is.
    """
    text = _LINE.sub(" ", text[:MAX_TEXT])
    text = " ".join(text.lower().split())
    text = _KINDS.sub(_placeholder, text)[:MAX_NORMALISED]
    return " ".join(text.split())


def _placeholder(found: "re.Match[str]") -> str:
    kind = found.lastgroup or ""
    return found[0] if kind == _KEPT else f"<{_NAMES.get(kind, kind)}>"
