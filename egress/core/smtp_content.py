"""The octets of a message: behind DATA ended by CRLF.CRLF and by nothing else, or behind BDAT.

A bare CR or LF anywhere refuses the message: what one server reads as the end of a message and
another as part of it lets a sender smuggle a second message past the first one's checks.
"""

from collections.abc import Callable
from typing import Protocol

from egress.core.smtp_answer import BARE_NEWLINE, NO_MEMORY, NUL_OCTET, TOO_LARGE, Answer

_END = b"\r\n.\r\n"
_KEPT = len(_END) - 1  # octets of a cut end that may already be there
_LEAD = b"\r\n"  # stands for the CRLF of the DATA line: a lone dot may come first


class Gathered(Protocol):
    """A message that came in: `held` octets are reserved until somebody gives them back."""

    held: int

    def message(self) -> bytes | Answer:
        """Return the message, or its refusal."""


class Content:
    """Gathers one message of at most `limit` octets, as RFC 1870 counts them.

    `reserve` is asked before memory grows by that many octets and may say no. After a limit is
    hit everything up to the end is read and dropped, so that the reply is in step.
    """

    def __init__(self, limit: int, reserve: Callable[[int], bool]) -> None:
        self._limit = limit
        self._reserve = reserve
        self._octets = bytearray(_LEAD)
        self._refusal: Answer | None = None
        self.held = 0  # octets reserved; whoever made this gives them back

    def feed(self, chunk: bytes) -> bytes | None:
        """Take what came; return what lies behind the end of the message, None before it."""
        self._make_room(len(chunk))
        start = max(0, len(self._octets) - _KEPT)
        self._octets += chunk
        end = self._octets.find(_END, start)
        if end < 0:
            if self._refusal is not None:
                del self._octets[:-_KEPT]
            return None
        rest = bytes(self._octets[end + len(_END) :])
        del self._octets[end + len(_LEAD) :]
        return rest

    def message(self) -> bytes | Answer:
        """Return the message without dot-stuffing (RFC 5321 section 4.5.2), or its refusal.

        Call it after `feed` has seen the end.
        """
        if self._refusal is not None:
            return self._refusal
        octets = self._octets
        problem = _problem(octets)
        if problem is not None:
            return problem
        message = bytes(octets.replace(b"\r\n.", b"\r\n"))[len(_LEAD) :]
        return message if len(message) <= self._limit else TOO_LARGE

    def _make_room(self, count: int) -> None:
        if self._refusal is not None:
            return
        # Stuffed dots do not count, and the worst message is one of dot lines: 4 octets for 3.
        if len(self._octets) + count > self._limit * 4 // 3 + 65_536:
            self._refusal = TOO_LARGE
        elif self._reserve(count):
            self.held += count
            return
        else:
            self._refusal = NO_MEMORY
        del self._octets[:-_KEPT]


class ChunkedContent:
    """Gathers one message of at most `limit` octets out of chunks (RFC 3030).

    Memory grows with what has come, not with what was announced; `reserve` as for Content. Once
    there is a `refusal` everything else is dropped.
    """

    def __init__(self, limit: int, reserve: Callable[[int], bool]) -> None:
        self._limit = limit
        self._reserve = reserve
        self._octets = bytearray()
        self.refusal: Answer | None = None
        self.held = 0

    def feed(self, octets: bytes) -> None:
        """Take a piece of a chunk."""
        if self.refusal is not None:
            return
        if len(self._octets) + len(octets) > self._limit:
            self.refusal = TOO_LARGE
        elif self._reserve(len(octets)):
            self.held += len(octets)
            self._octets += octets
            return
        else:
            self.refusal = NO_MEMORY
        self._octets.clear()

    def message(self) -> bytes | Answer:
        """Return the message, or its refusal. Its last line is ended where the client did not:
        mail goes out by DATA, which has lines only.
        """
        problem = self.refusal or _problem(self._octets)
        if problem is not None:
            return problem
        ends = self._octets.endswith(b"\r\n") or not self._octets
        return bytes(self._octets) + (b"" if ends else b"\r\n")


def _problem(octets: bytearray) -> Answer | None:
    if not octets.count(b"\r\n") == octets.count(b"\r") == octets.count(b"\n"):
        return BARE_NEWLINE
    return NUL_OCTET if b"\0" in octets else None
