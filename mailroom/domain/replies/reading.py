"""A reply's text as rules see it: one line in lower case, and the codes and times in it."""

import re

from mailroom.domain.replies.codes import Enhanced
from mailroom.domain.replies.pattern import MAX_TEXT
from mailroom.domain.reply import SmtpReply

SHORTEST_WAIT = 30.0  # seconds
LONGEST_WAIT = 4 * 3_600.0

# The code comes again before each line, and may break a sentence that a rule looks for.
_BREAK = re.compile(r"\n[ \t]*(?:[245]\d\d[ -])?(?:[245]\.\d{1,3}\.\d{1,3}(?![.\d]))?")
_ENHANCED = re.compile(r"\s*(?:[245]\d\d[ -])?[\[(<#]{0,2}([245])\.(\d{1,3})\.(\d{1,3})(?![.\d])")
_HASHED = re.compile(r"#([245])\.(\d{1,3})\.(\d{1,3})(?![.\d])")
_ADDRESS = re.compile(r"[^\s<>\"'(,;]{1,64}@[^\s<>\"'),;:]{0,255}")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0}
_WAITS = ("again", "retry", "back in", "wait", "resend", "greylist", "graylist")
_WAIT = re.compile(
    r"(?:again|retry|back in|wait|resend|gr[ea]ylist)[^\d]{0,40}?"
    r"(?:(\d{1,2}):(\d\d):(\d\d)"
    r"|\b(\d{1,6})(?:\.\d{1,3})? ?-?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b)"
)
_BARE = re.compile(r"retry[- ]after:? (?:about )?(\d{1,6})(?![\d:.])")


def readable(text: str) -> str:
    """Return the first 1,000 characters of `text` as one line in lower case.

    Addresses become `@`, so that no rule takes a name in one for what the server says.
    """
    text = text[:MAX_TEXT]
    if "@" in text:
        text = _ADDRESS.sub("@", text)
    if "\n" in text:
        text = _BREAK.sub(" ", text)
    return " ".join(text.lower().split())


def enhanced_of(reply: SmtpReply) -> Enhanced | None:
    """Return the enhanced code of a reply, if it opens the text or stands behind a `#`.

    Some servers write it in brackets, or behind a repeated basic code; qmail and its kin end
    their sentences with `(#5.1.1)`.
    """
    text = reply.text[:MAX_TEXT]
    found = _ENHANCED.match(text) or ("#" in text and _HASHED.search(text))
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def wait_asked_for(readable_text: str) -> float | None:
    """Return the seconds that a reply asks to wait, kept between 30 s and 4 h; None if it does
    not say. A time without a unit counts only behind "retry after", in seconds.
    """
    if not any(word in readable_text for word in _WAITS):
        return None
    if found := _WAIT.search(readable_text):
        hours, minutes, seconds, amount, unit = found.groups()
        if amount:
            asked = float(amount) * _SECONDS[unit[0]]
        else:
            asked = int(hours) * 3_600.0 + int(minutes) * 60.0 + int(seconds)
    elif found := _BARE.search(readable_text):
        asked = float(found[1])
    else:
        return None
    return min(max(asked, SHORTEST_WAIT), LONGEST_WAIT)
